"""Files that earlier versions made: every later version decodes them.

Each holds two seconds in stereo: left 330 Hz, trembling at 3 Hz, right 550 Hz, made with
``neucodec.encode(audio, 44100, bitrate="8kbps")`` of the version that the file is named after, and
with the model after that, if there is one. Those in ``WHISTLES`` have 3,000 Hz on the left,
5,000 Hz on the right instead, for which there are layers.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import neucodec
from neucodec.coding import entropy, payloads
from neucodec.formats import Chunk

FOLDER = Path(__file__).parent / "released"
CODES = {
    "0.3.0": "15fe6d66d3a534f574a3a5a8b8a83784f9477fabe639b98530a6280cb9cb4b53",
    "0.4.0": "1472270f18fbca7e2228bea45abace20d21bc2cf78583b56970b0eed5d1c6d71",
    "0.5.0": "73cc970aa281eea34d1feafa588263cc7b00a2f6e7009d69196317b63ecfcdfa",
    "0.6.0": "c8cc37645b298eded0f9e00ab80f1ba9560b21966616e0d4700efa3dd17b7915",
    "0.6.0-neu-16khz": "e5b9c622df9d9d569474cffad4552e5fcbc5fe709c7a87f932ea8c05eab3c21a",
    "0.7.0": "c8cc37645b298eded0f9e00ab80f1ba9560b21966616e0d4700efa3dd17b7915",
    "0.7.0-specmini-16khz": "b6286b5052a1835a4a19f21d3abeac8474f9d64c784fd11d59e700d109f1688c",
    "0.8.0": "c8cc37645b298eded0f9e00ab80f1ba9560b21966616e0d4700efa3dd17b7915",
    "0.8.0-neu2-44khz": "173e788351bb65b4100a9a34781952967d32b30c2c8d158ff297663b5b755445",
}
"""SHA-256 of the codes, chunk by chunk [streams, codebooks, frames], as 16-bit integers."""
WHISTLES = {"0.8.0-neu2-44khz"}


class Once:
    """Unpacks the same payloads with the same model once: nothing else here takes as long."""

    def __init__(self) -> None:
        self._decode = payloads._decode
        self._found: dict[tuple[object, ...], list[entropy.Codes | None]] = {}

    def __call__(
        self, chunks: Sequence[Chunk], streams: Sequence[int], model: entropy.EntropyModel
    ) -> list[entropy.Codes | None]:
        """See `neucodec.coding.payloads._decode`."""
        shapes = ((chunk.payload, chunk.codebooks, chunk.frames) for chunk in chunks)
        key = (model.name, model.fingerprint, *streams, *shapes)
        if key not in self._found:
            self._found[key] = self._decode(chunks, streams, model)
        return self._found[key]


ONCE = Once()


@pytest.fixture(autouse=True)
def unpacked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both tests of a file share its codes."""
    monkeypatch.setattr(payloads, "_decode", ONCE)


def test_there_is_one_of_each_version() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(CODES)
    assert neucodec.__version__ in CODES


@pytest.mark.parametrize("name", CODES)
def test_codes_come_back_as_they_were(name: str) -> None:
    with neucodec.open(FOLDER / f"{name}.ncf") as file:
        version, _, model = name.partition("-")
        assert file.header.encoder == f"neucodec {version}"
        assert file.header.codec == model or not model
        found = hashlib.sha256()
        for codes in file.all_codes():
            assert codes is not None
            found.update(codes.astype("<i2").tobytes())
    assert found.hexdigest() == CODES[name]


@pytest.mark.parametrize("name", CODES)
def test_they_sound_as_they_did(name: str) -> None:
    audio, rate = neucodec.decode((FOLDER / f"{name}.ncf").read_bytes())
    assert (audio.shape, rate) == ((88200, 2), 44100)
    spectrum = np.abs(np.fft.rfft(audio[:rate] * np.hanning(rate)[:, None], axis=0))
    for channel, tone in enumerate((3000, 5000) if name in WHISTLES else (330, 550)):
        power = spectrum[:, channel] ** 2
        assert power[tone - 8 : tone + 9].sum() > 0.9 * power.sum()
