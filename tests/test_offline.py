"""``--offline``: no command asks the network for a model, its weights or its entropy model."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import ncf_examples as ncf
import numpy as np
import pytest
from conftest import MakeClip, Run
from huggingface_hub.utils import close_session
from servers import Server

from neucodec.commands import play
from neucodec.formats import Chunk, EntropyCoder, NcfWriter, ScaleKind
from neucodec.models.catalogue.card import find_card

COMMANDS = {
    "encode": ("encode", "clip.wav", "-m", "encodec-24khz", "--entropy", "lm", "-o", "new.ncf"),
    "decode": ("decode", "lm.ncf", "-o", "new.wav"),
    "play": ("play", "lm.ncf", "--player", "aplay"),
    "convert": ("convert", "lm.ncf", "--to", "ecdc"),
    "tokens": ("tokens", "lm.ncf"),
    "verify": ("verify", "--codes", "lm.ncf"),
    "compare": ("compare", "--metrics", "mel", "clip.wav", "lm.ncf"),
    "evaluate": (
        "evaluate",
        ".",
        "-m",
        "encodec-24khz",
        "-b",
        "6kbps",
        "-o",
        "report",
        "--metrics",
        "mel",
    ),
    "export": ("export", "--onnx", "encodec-24khz", "-o", "graphs"),
}


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """All of it: every request goes to a proxy that counts and refuses."""
    monkeypatch.setenv("NEUCODEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("NEUCODEC_OFFLINE", "HF_HUB_OFFLINE", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    close_session()  # of the Hub's client, which remembers its proxy
    with Server() as proxy:
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        yield proxy
    close_session()


@pytest.fixture
def folder(clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip, and a file whose codes need an entropy model that is not in the package."""
    clip(seconds=1.2, rate=24000)
    card = find_card("encodec-24khz")
    assert card.entropy is not None
    header = ncf.header(
        codec=card.name, sample_rate=24000, source_rate=24000, codebooks=2, codebook_size=1024,
        hop=320, chunk_frames=card.chunk_frames, chunk_stride=card.chunk_stride, overlap=0,
        channels=1, streams=1, scale_kind=ScaleKind.NONE, entropy=EntropyCoder.LM,
        entropy_model=card.entropy.name, entropy_fingerprint=bytes(8), tags={},
    )  # fmt: skip
    target = io.BytesIO()
    writer = NcfWriter(target, header)
    writer.write(Chunk(index=0, codebooks=2, frames=75, payload=b"12345678"))
    writer.close(24000)
    (tmp_path / "lm.ncf").write_bytes(target.getvalue())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(play, "_command", lambda player: ["cat"])
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_offline_asks_nobody(run: Run, folder: Path, network: Server, command: str) -> None:
    ran = run(*COMMANDS[command], "--offline")
    assert ran.code in (1, 2)
    assert "is not here, and --offline forbids to fetch it" in ran.err
    assert network.requests == []


@pytest.mark.parametrize("command", COMMANDS)
def test_without_it_the_network_is_asked(
    run: Run, folder: Path, network: Server, command: str
) -> None:
    assert run(*COMMANDS[command]).code in (1, 2)
    assert network.requests


def test_an_embedded_codec_asks_nobody_anyway(run: Run, folder: Path, network: Server) -> None:
    assert run("encode", "clip.wav", "-b", "4kbps").code == 0
    assert run("decode", "clip.ncf", "-o", "back.wav").code == 0
    assert run("tokens", "clip.ncf").code == 0
    assert network.requests == [] and np.load("clip.npz")["codes"].size
