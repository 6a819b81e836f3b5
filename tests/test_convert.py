"""Peers' files: decoded and converted as their own command lines do it, with random weights.

The peers' commands run in this process, on small models in the place of those that they would
download, with soundfile in the place of what reads and writes their audio files.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from conftest import Run
from networks import peer, signal
from published import codes_in, small
from published_configs import ENCODEC_24KHZ, ENCODEC_48KHZ
from test_dac import VARIANTS
from test_dac import saved as saved_dac
from test_dac import theirs as their_dac
from test_encodec import saved as saved_encodec
from test_encodec import theirs as their_encodec

from neucodec.errors import NeucodecError
from neucodec.formats import NcfReader
from neucodec.formats.peers.dac import read_dac
from neucodec.formats.peers.ecdc import read_ecdc, write_ecdc
from neucodec.interchange.peers import as_ncf, from_ncf, to_ncf
from neucodec.models.catalogue.card import Card, find_card
from neucodec.models.codec import Codec
from neucodec.models.families.dac.network import DacConfig

pytestmark = pytest.mark.filterwarnings("ignore")
NARROW = {"filters": 4, "latent": 16}
ENCODECS = {
    "encodec_24khz": replace(ENCODEC_24KHZ, **NARROW),
    "encodec_48khz": replace(ENCODEC_48KHZ, **NARROW),
}


def dac_config(variant: str) -> DacConfig:
    return replace(VARIANTS[variant], encoder_width=4, decoder_width=32, latent=16)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models: cards and weights for ``-m``, and for the peers."""
    folder = tmp_path_factory.mktemp("models")
    with torch.no_grad():
        for name, config in ENCODECS.items():
            (folder / name).mkdir()
            saved_encodec(their_encodec(config), folder / name)
        for variant in ("44khz", "24khz"):
            (folder / variant).mkdir()
            path = saved_dac(their_dac(dac_config(variant)), folder / variant)
            checkpoint = torch.load(path, weights_only=True)
            checkpoint["metadata"]["kwargs"]["sample_rate"] = find_card(
                f"dac-{variant}"
            ).sample_rate
            torch.save(checkpoint, path)
    return folder


class Loaded:
    """Gives the small codec of a card, and remembers for which it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.codecs: dict[str, Codec] = {}

    def __call__(self, card: Card) -> Codec:
        if card.name not in self.codecs:
            name = card.name
            if card.family == "dac":
                variant = name.removeprefix("dac-")
                path, config = self.folder / variant / "weights.pth", dac_config(variant)
                self.codecs[name] = small(name, path, config)
            else:
                theirs = name.replace("-", "_")
                weights = self.folder / theirs / "encodec.th"
                self.codecs[name] = small(name, weights, ENCODECS[theirs])
        return self.codecs[card.name]


@pytest.fixture
def load(folder: Path) -> Loaded:
    return Loaded(folder)


def converted(data: bytes, load: Loaded, **options: Any) -> bytes:
    target = io.BytesIO()
    to_ncf(data, target, load, **options)
    return target.getvalue()


def back(data: bytes, kind: str, load: Loaded) -> tuple[bytes, list[str]]:
    found = from_ncf(NcfReader(io.BytesIO(data)), kind, load)
    return found.data, found.lost


def decoded(data: bytes, load: Loaded) -> np.ndarray:
    from neucodec.coding.decoder import Decoder

    reader = NcfReader(as_ncf(io.BytesIO(data), load))
    codec = load(find_card(reader.header.codec))
    return np.concatenate(list(Decoder(reader, codec).blocks()))


class Encodec:
    """The command ``encodec``, on the small models."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        command, compress = peer("encodec.__main__"), peer("encodec.compress")
        torchaudio = peer("torchaudio")

        def model(name: str) -> Any:
            made = their_encodec(ENCODECS[name])
            made.load_state_dict(torch.load(folder / name / "encodec.th", weights_only=True))
            made.name = name
            made.target_bandwidths = [1.5, 3.0, 6.0, 12.0, 24.0]
            return made

        for name in ENCODECS:
            monkeypatch.setitem(compress.MODELS, name, lambda name=name: model(name))
        monkeypatch.setattr(torchaudio, "load", self._load)
        monkeypatch.setattr(torchaudio, "save", self._save)
        self._main, self._patch = command.main, monkeypatch

    @staticmethod
    def _load(path: Path) -> tuple[torch.Tensor, int]:
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return torch.from_numpy(audio.T.copy()), rate

    @staticmethod
    def _save(path: str, audio: torch.Tensor, sample_rate: int, **_: Any) -> None:
        soundfile.write(path, audio.numpy().T, sample_rate, "FLOAT")

    def __call__(self, *arguments: str | Path) -> None:
        self._patch.setattr(sys, "argv", ["encodec", *map(str, arguments)])
        self._main()


@pytest.fixture
def encodec(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Encodec:
    return Encodec(folder, monkeypatch)


class Dac:
    """The commands ``dac encode`` and ``dac decode``."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def load(path: str, sr: None, mono: bool, **_: Any) -> tuple[np.ndarray, int]:
            audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
            return audio.T, rate

        peer("dac")
        monkeypatch.setitem(sys.modules, "librosa", SimpleNamespace(load=load))
        self._folder = folder

    def encode(self, source: Path, variant: str, seconds: float = 5.0) -> Path:
        weights = self._folder / variant / "weights.pth"
        peer("dac.utils.encode").encode(
            str(source), str(source.parent), str(weights), device="cpu", win_duration=seconds
        )
        return source.with_suffix(".dac")

    def decode(self, source: Path, variant: str) -> np.ndarray:
        weights = self._folder / variant / "weights.pth"
        peer("dac.utils.decode").decode(
            str(source), str(source.parent / "theirs"), str(weights), device="cpu"
        )
        found: np.ndarray = soundfile.read(
            source.parent / "theirs" / f"{source.stem}.wav", always_2d=True
        )[0]
        return found


@pytest.fixture
def dac(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Dac:
    return Dac(folder, monkeypatch)


def same_but_for_the_level(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Of one shape, and within half a dB of the level that they measure by their own filters.

    Their files end at full scale.
    """
    inside = np.abs(theirs) < 0.9
    level = (ours * theirs)[inside].sum() / np.square(ours[inside]).sum()
    assert abs(20 * np.log10(level)) < 0.5
    np.testing.assert_allclose(np.clip(level * ours, -1, 1), theirs, atol=1e-3)


def write_clip(path: Path, rate: int, channels: int, samples: int) -> Path:
    audio = signal(samples, rate, channels, seed=samples)[0].numpy().T
    soundfile.write(path, audio, rate, "FLOAT")
    return path


ECDC_CASES = pytest.mark.parametrize(
    ("name", "samples", "options"),
    [
        ("encodec_24khz", 1, ["-b", "1.5"]),
        ("encodec_24khz", 50_001, ["-b", "6"]),
        ("encodec_48khz", 30_000, ["-q", "-b", "3"]),
        ("encodec_48khz", 120_000, ["-q", "-b", "12"]),
    ],
)


@ECDC_CASES
def test_an_ecdc_of_the_package_decodes_and_converts_code_for_code(
    encodec: Encodec, load: Loaded, tmp_path: Path, name: str, samples: int, options: list[str]
) -> None:
    config = ENCODECS[name]
    rate = 24000 if config.channels == 1 else 48000
    encodec(write_clip(tmp_path / "a.wav", rate, config.channels, samples), *options)
    data = (tmp_path / "a.ecdc").read_bytes()
    encodec(tmp_path / "a.ecdc", tmp_path / "theirs.wav")
    theirs, _ = soundfile.read(tmp_path / "theirs.wav", always_2d=True)
    ours = decoded(data, load)
    assert ours.shape == theirs.shape == (samples, config.channels)
    # They never write beyond 0.99.
    np.testing.assert_allclose(np.clip(ours, -0.99, 0.99), theirs, atol=1e-4)

    ncf = converted(data, load)
    segments = read_ecdc(data).segments
    found = np.concatenate([codes[0].numpy() for codes in codes_in(ncf)], axis=-1)
    assert np.array_equal(found, np.concatenate([s.codes for s in segments], axis=-1))
    again, left = back(ncf, "ecdc", load)
    assert again == data and not left


@pytest.mark.parametrize("name", ENCODECS)
@pytest.mark.parametrize("samples", [6720, 47_520 + 100, 70_000])
def test_the_package_decodes_an_ncf_made_into_an_ecdc(
    encodec: Encodec, load: Loaded, tmp_path: Path, name: str, samples: int
) -> None:
    from published import from_ncf as audio_of
    from published import to_ncf as encoded

    card = find_card(name.replace("_", "-"))
    codec, channels = load(card), ENCODECS[name].channels
    audio = signal(samples, card.sample_rate, channels)[0]
    ncf = encoded(codec, audio, codebooks=4)
    data, left = back(ncf, "ecdc", load)
    (tmp_path / "b.ecdc").write_bytes(data)
    encodec(tmp_path / "b.ecdc", tmp_path / "b.wav")
    theirs, rate = soundfile.read(tmp_path / "b.wav", always_2d=True)
    ours = np.clip(audio_of(codec, ncf).numpy().T, -0.99, 0.99)
    assert (theirs.shape, rate) == (ours.shape, card.sample_rate)
    alike = len(ours)
    if name == "encodec_48khz" and samples == 47_620:
        assert left == ["its last 100 samples, which fade out: an .ncf lacks their own segment"]
        alike = 47_520
    elif name == "encodec_48khz" and samples == 6720:
        alike = 0  # the package reads a frame more than it writes here, and normalises over all
    np.testing.assert_allclose(ours[:alike], theirs[:alike], atol=1e-4)
    assert read_ecdc(data).samples == samples


def test_an_ecdc_from_a_language_model_is_refused(load: Loaded) -> None:
    data = write_ecdc(read_ecdc(back(mono_ncf(load), "ecdc", load)[0]))
    with pytest.raises(Exception, match="decode it with encodec itself"):
        converted(data.replace(b'"lm": false', b'"lm": true '), load)


def mono_ncf(load: Loaded, name: str = "encodec-24khz", **options: Any) -> bytes:
    from published import to_ncf as encoded

    codec = load(find_card(name))
    rate = codec.card.sample_rate
    return encoded(codec, signal(rate, rate)[0], **options)


@pytest.mark.parametrize(
    ("variant", "rate", "channels", "seconds", "window"),
    [
        ("44khz", 44100, 1, 0.6, 5.0),
        ("44khz", 44100, 1, 1.1, 0.5),
        ("24khz", 24000, 1, 1.5, 0.8),
        ("24khz", 32000, 2, 1.0, 0.8),
    ],
)
def test_a_dac_of_the_package_decodes_and_converts_code_for_code(
    dac: Dac, load: Loaded, tmp_path: Path,
    variant: str, rate: int, channels: int, seconds: float, window: float,
) -> None:  # fmt: skip
    clip = write_clip(tmp_path / "a.wav", rate, channels, int(seconds * rate))
    data = dac.encode(clip, variant, window).read_bytes()
    theirs = dac.decode(tmp_path / "a.dac", variant)
    assert read_dac(data).padding == (seconds <= window)
    ncf = converted(data, load)
    found = np.concatenate([codes.numpy() for codes in codes_in(ncf)], axis=-1)
    assert np.array_equal(found, read_dac(data).codes)
    header = NcfReader(io.BytesIO(ncf)).header
    assert (header.codec, header.source_rate, header.channels) == (
        f"dac-{variant}", rate, channels,
    )  # fmt: skip

    ours = decoded(ncf, load)
    assert ours.shape == theirs.shape == (int(seconds * rate), channels)
    if channels == 1 and rate == load(find_card(header.codec)).card.sample_rate:
        same_but_for_the_level(ours, theirs)
    again, _ = back(ncf, "dac", load)
    assert np.array_equal(read_dac(again).codes, read_dac(data).codes)
    assert read_dac(again).input_db == pytest.approx(read_dac(data).input_db, abs=0.05)


@pytest.mark.parametrize(
    ("variant", "samples"), [("44khz", 50_001), ("24khz", 16_000), ("24khz", 26_001)]
)
def test_the_package_decodes_an_ncf_made_into_a_dac(
    dac: Dac, load: Loaded, tmp_path: Path, variant: str, samples: int
) -> None:
    from published import from_ncf as audio_of
    from published import to_ncf as encoded

    codec = load(find_card(f"dac-{variant}"))
    rate = codec.card.sample_rate
    ncf = encoded(codec, signal(samples, rate)[0], codebooks=codec.card.codebooks)
    data, left = back(ncf, "dac", load)
    (tmp_path / "b.dac").write_bytes(data)
    theirs, ours = dac.decode(tmp_path / "b.dac", variant), audio_of(codec, ncf).numpy().T
    assert theirs.shape == ours.shape and not left
    before = samples - 12 * codec.card.hop  # a frame that they need may change the last few
    same_but_for_the_level(ours[:before], theirs[:before])
    found = np.concatenate([c.numpy() for c in codes_in(converted(data, load))], axis=-1)
    assert np.array_equal(found, np.concatenate([c.numpy() for c in codes_in(ncf)], axis=-1))


def test_what_the_other_formats_cannot_hold_is_refused_or_said(load: Loaded) -> None:
    with pytest.raises(NeucodecError, match=r"made with encodec-24khz, which is no DAC"):
        back(mono_ncf(load), "dac", load)
    with pytest.raises(NeucodecError, match=r"made with dac-24khz: an \.ecdc holds encodec-24khz"):
        back(mono_ncf(load, "dac-24khz"), "ecdc", load)
    data = mono_ncf(load)
    with pytest.raises(NeucodecError, match="damaged or cut off"):
        back(data[:-30], "ecdc", load)
    _, left = back(mono_ncf(load, tags={"TITLE": "A"}, gain_db=3.0), "ecdc", load)
    assert left == ["its tags", "the change of level by -3.00 dB when decoding"]


def test_a_dac_that_fits_several_models_needs_the_name(load: Loaded) -> None:
    data, _ = back(mono_ncf(load, "dac-44khz", codebooks=3), "dac", load)
    with pytest.raises(NeucodecError, match=r"dac-44khz or dac-44khz-16kbps: say which with -m"):
        converted(data, load)
    assert NcfReader(io.BytesIO(converted(data, load, model=find_card("dac-44khz")))).complete
    with pytest.raises(NeucodecError, match="cannot have been made with dac-16khz"):
        converted(data, load, model=find_card("dac-16khz"))


def test_the_commands_take_the_peers_files(
    dac: Dac, folder: Path, run: Run, tmp_path: Path
) -> None:
    """With a checkpoint of one's own, since there are no others here."""
    clip = write_clip(tmp_path / "a.wav", 44100, 1, 50_000)
    dac.encode(clip, "44khz", 0.7)
    clip.unlink()
    model = folder / "44khz" / "weights.pth"
    ran = run("convert", tmp_path / "a.dac", "-m", model)
    assert ran.code == 0, ran.err
    assert "weights, 9 codebooks, 1 channel, 1.1 s to" in ran.err
    for name in ("a.dac", "a.ncf"):
        assert run("decode", tmp_path / name, "-m", model, "-o", tmp_path / f"{name}.wav").code == 0
    one, other = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("a.dac", "a.ncf"))
    assert len(one) == 50_000 and np.array_equal(one, other)
    ran = run("decode", "-", "-m", model, "-o", "-", stdin=(tmp_path / "a.dac").read_bytes())
    assert (ran.code, ran.out) == (0, (tmp_path / "a.dac.wav").read_bytes())
    assert run("convert", tmp_path / "a.ncf", "-m", model, "-o", tmp_path / "b.dac").code == 0
    assert np.array_equal(
        read_dac((tmp_path / "b.dac").read_bytes()).codes,
        read_dac((tmp_path / "a.dac").read_bytes()).codes,
    )


def test_bad_input_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.dac").write_bytes(b"\x93NUMPYrubbish")
    (tmp_path / "bad.ecdc").write_bytes(b"ECDC")
    for command in (["convert"], ["decode"]):
        for name in ("bad.dac", "bad.ecdc"):
            ran = run(*command, tmp_path / name)
            assert (ran.code, ran.out, ran.err.count("\n")) == (1, b"", 1)
            assert ran.err.startswith(f"neucodec: {tmp_path / name}: not a")
    ran = run("convert", tmp_path / "bad.dac", "-o", tmp_path / "x.mp3")
    assert ran.code == 2
    assert "cannot convert to .mp3 files; to .ncf, .ecdc and .dac" in ran.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.dac", "bad.ecdc"]
