"""The embedded codec as ONNX graphs: the same codes and the same audio, in onnxruntime."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pytest
import torch
from conftest import PATIENCE, Run
from networks import signal

import neucodec
from neucodec.models import DECODER, ENCODER, export_onnx
from neucodec.models.errors import ModelError
from neucodec.models.families.neu.codec import NeuCodec

pytest.importorskip("onnx", reason="exports with the package onnx")
pytest.importorskip("onnxscript", reason="exports with the package onnxscript")
runtime = pytest.importorskip("onnxruntime", reason="runs graphs with onnxruntime")
pytestmark = pytest.mark.slow  # torch traces whole networks


@pytest.fixture(scope="module")
def codec() -> NeuCodec:
    found = neucodec.load_model(device="cpu").codec
    assert isinstance(found, NeuCodec)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the command has written the graphs, in a process of its own."""
    folder = tmp_path_factory.mktemp("onnx") / "graphs"
    ran = processes.run(["export", "--onnx", "-o", folder])
    assert (ran.returncode, ran.stdout) == (0, b""), ran.stderr
    assert ran.stderr.decode() == f"neu2-44khz: {folder / ENCODER} and {folder / DECODER}\n"
    assert {p.name for p in folder.iterdir()} == {ENCODER, DECODER}
    return folder


@pytest.fixture(scope="module")
def graphs(folder: Path) -> dict[str, Any]:
    return {name: runtime.InferenceSession(folder / name) for name in (ENCODER, DECODER)}


@pytest.mark.parametrize(("batch", "frames"), [(1, 86), (3, 20), (1, 5)])
def test_codes_and_audio_are_torchs(
    codec: NeuCodec, graphs: dict[str, Any], batch: int, frames: int
) -> None:
    network = codec.network
    width = frames * 512 + 2 * network.context
    audio = signal(width, 44100, batch=batch, seed=frames)[:, 0]
    audio = audio / audio.std()
    with torch.inference_mode():
        codes = network.encode(audio, codec.card.codebooks)
    [found] = graphs[ENCODER].run(None, {"audio": audio.numpy()})
    assert found.dtype == np.int64 and found.shape == codes.shape
    # A tie that falls the other way changes the later codebooks of its frame.
    assert (found != codes.numpy()).any(axis=1).mean() < 0.02
    for books in (1, 2, 9, 16):
        with torch.inference_mode():
            decoded = network.decode(codes[:, :books])
        [heard] = graphs[DECODER].run(None, {"codes": codes[:, :books].numpy()})
        np.testing.assert_allclose(heard, decoded.numpy(), atol=1e-4)
        assert decoded.std() > 0.01


def test_frames_of_several_spectra_are_exported_too(tmp_path: Path) -> None:
    from test_neu import stacked

    codec = stacked()
    encoder, decoder = (runtime.InferenceSession(p) for p in export_onnx(codec, tmp_path))
    audio = signal(9 * 320 + 480, 16000)[:, 0]
    [codes] = encoder.run(None, {"audio": audio.numpy()})
    assert np.array_equal(codes, codec.network.encode(audio, 16).numpy())
    [heard] = decoder.run(None, {"codes": codes})
    expected = codec.network.decode(torch.from_numpy(codes)).numpy()
    np.testing.assert_allclose(heard, expected, atol=1e-4)


def test_the_graphs_say_what_running_them_takes(codec: NeuCodec, graphs: dict[str, Any]) -> None:
    for session in graphs.values():
        facts = json.loads(session.get_modelmeta().custom_metadata_map["neucodec"])
        assert facts == {
            "codec": "neu2-44khz", "fingerprint": codec.fingerprint.hex(),
            "sample_rate": 44100, "hop": 512, "codebooks": 16, "codebook_size": 1024,
            "chunk_frames": 86, "chunk_stride": 43008, "context": 768,
        }  # fmt: skip


def test_the_example_codes_a_chunk(folder: Path) -> None:
    """The one example that `test_examples` leaves out, since it takes what is exported here."""
    example = Path(__file__).parents[1] / "examples" / "onnx_chunk.py"
    command = [sys.executable, str(example), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("codes (1, 16, 86), correlation with the original 0.9")


def test_other_codecs_are_refused(tmp_path: Path) -> None:
    from test_api import dac

    with pytest.raises(ModelError, match="dac-44khz: only the family neu can be exported"):
        export_onnx(dac(tmp_path).codec, tmp_path)


def test_what_is_there_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / DECODER).touch()
    ran = run("export", "--onnx", "-o", tmp_path)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, b"", 1)
    assert "decoder.onnx exists; -f (--force) overwrites it" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == [DECODER]


def test_a_run_or_a_model_is_exported(run: Run) -> None:
    ran = run("export")
    assert (
        ran.code,
        "give a run's folder and a name for the model, --onnx or --portable" in ran.err,
    ) == (
        2,
        True,
    )
    ran = run("export", "--onnx", "neu2-44khz", "runs/some")
    assert (ran.code, "--onnx takes a model's name, not a run" in ran.err) == (2, True)


def test_a_folder_that_cannot_be_made_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = run("export", "--onnx", "-o", tmp_path / "file" / "graphs")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, b"", 1)
    assert "graphs cannot be made: Not a directory" in ran.err
