"""The embedded entropy model: the same frequencies and the same bytes everywhere and for ever."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from conftest import Run

import neucodec
from neucodec.coding.entropy import Learned
from neucodec.formats import Chunk, EntropyCoder, Header, NcfWriter, ScaleKind, encode_intervals
from neucodec.models.catalogue.card import find_card
from neucodec.models.lm.frequencies import digest
from neucodec.models.lm.load import fetch_entropy_model, load_entropy_model

PINNED = {
    "neu2-44khz": (
        "0265cc43037f4f12",
        "531aee2fec0fa9f95aaf9852df129222badd028ff855ccb50f25a2837150c1e0",
        "2be5dc802c71cb5e864f23639d692d7f9ff955ec7506ac54ade844218dbfb04d",
    ),
    "neu-44khz": (
        "1150a4a06fc2a73a",
        "411af243f74aeb63e0951087a07e28b8d283cb711593cb14f1f005d48a3daa01",
        "31aff0286198a8e28143f962d702cb75dc25acc73956e70ef257fd85190e13f4",
    ),
}
"""Of each codec's model: fingerprint, digest of its frequencies, SHA-256 of a chunk's payload."""
CODES = (np.arange(16 * 86).reshape(1, 16, 86) * 7919 % 1024).astype(np.int64)


def model(codec: str = "neu2-44khz") -> Learned:
    found = load_entropy_model(find_card(codec), fetch_entropy_model(find_card(codec)))
    assert found is not None
    return Learned(found)


@pytest.mark.parametrize("codec", PINNED)
def test_its_frequencies_are_the_same_on_every_machine(codec: str) -> None:
    found = load_entropy_model(find_card(codec), fetch_entropy_model(find_card(codec)))
    assert found is not None
    assert (found.fingerprint.hex(), digest(found)) == PINNED[codec][:2]


@pytest.mark.parametrize("codec", PINNED)
def test_a_chunk_of_these_codes_has_this_payload(codec: str) -> None:
    left, width = (part.transpose(2, 1, 0).reshape(-1) for part in model(codec).intervals(CODES))
    payload = encode_intervals(left, width)
    assert hashlib.sha256(payload).hexdigest() == PINNED[codec][2]


def test_real_sound_is_coded_smaller_and_its_codes_come_back() -> None:
    time = np.arange(3 * 44100) / 44100
    swell = np.sin(2 * np.pi * 220 * time) * (0.3 + 0.2 * np.sin(5 * time))
    noise = np.random.default_rng(0).standard_normal(len(time))
    audio = 0.2 * swell + 0.01 * noise
    sizes = {}
    codes = {}
    for entropy in ("none", "lm"):
        data = neucodec.encode(audio, 44100, codebooks=5, entropy=entropy)
        sizes[entropy] = len(data)
        with neucodec.open(io.BytesIO(data)) as file:
            codes[entropy] = [file.codes(k) for k in range(3)]
    assert sizes["lm"] < 0.9 * sizes["none"]
    for plain, coded in zip(codes["none"], codes["lm"], strict=True):
        np.testing.assert_array_equal(plain, coded)


@pytest.mark.parametrize(
    "change", [{"codebook_size": 16}, {"codebook_size": 2048}, {"frames": 256}]
)
def test_a_header_that_its_model_cannot_serve_is_refused(
    run: Run, tmp_path: Path, change: dict[str, int]
) -> None:
    found, path = model(), tmp_path / "hostile.ncf"
    frames = change.get("frames", 86)
    header = Header(
        codec="neu2-44khz", fingerprint=bytes(8), sample_rate=44100, source_rate=44100,
        channels=1, streams=1, codebooks=16, codebook_size=change.get("codebook_size", 1024),
        hop=512, chunk_frames=frames, chunk_stride=512 * frames, scale_kind=ScaleKind.LOG,
        entropy=EntropyCoder.LM, entropy_model=found.name, entropy_fingerprint=found.fingerprint,
    )  # fmt: skip
    with path.open("wb") as file:
        writer = NcfWriter(file, header)
        writer.write(
            Chunk(index=0, codebooks=16, frames=frames, scales=(140,), payload=b"12345678")
        )
        writer.close(header.chunk_stride)
    assert run("verify", path).code == 0
    ran = run("verify", "--codes", path)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, b"", 1)
    assert "its header does not fit its entropy model neu2-44khz-lm" in ran.err
