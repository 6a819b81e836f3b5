"""What many tests need: short sound files, and the command line run in this process."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch

from neucodec.__main__ import main
from neucodec.jobs.job import Job
from neucodec.models import load
from neucodec.models.catalogue.card import Card
from neucodec.models.catalogue.weights_store import EMBEDDED, WeightsFile
from neucodec.models.codec import Codec
from neucodec.models.lm import load as entropy_registry
from neucodec.models.lm.frequencies import FrequencyModel

# Tensors are small here: more threads would only wait for each other, above all on a busy machine.
# The variable is for the processes that tests start; here torch has been imported already.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)

# What a shell starts in the background ignores Ctrl-C, and so would all that is started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

PATIENCE = 600.0
"""Seconds within which everything has happened that ever will, on the busiest of machines."""


LONGEST = (
    "test_cluster", "test_determinism", "test_lm_training", "test_faults", "test_cli_many",
    "test_training", "test_start", "test_examples", "test_wheel", "test_onnx",
    "test_training_recipes",
)  # fmt: skip
"""Files with tests of many seconds each."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first, so that none begins when the others are nearly through."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: bytes
    err: str


Run = Callable[..., Ran]
MakeClip = Callable[..., Path]
MakeJobs = Callable[..., list[Job]]


class Loaded:
    """Loads what is in the package once for all commands that run in this process."""

    def __init__(self) -> None:
        self._codecs: dict[tuple[object, ...], Codec] = {}
        self._entropy_models: dict[Path, FrequencyModel] = {}
        self._build, self._load = load.build_codec, entropy_registry.load_entropy_model

    def build(
        self,
        card: Card,
        path: Path,
        device: str = "auto",
        precision: str = "float32",
        half: str | None = None,
    ) -> Codec:
        """See `load.build_codec`; both halves are kept, for others may need them."""
        if path.parent != EMBEDDED:
            return self._build(card, path, device, precision, half)
        key = path, device, precision
        if key not in self._codecs:
            self._codecs[key] = self._build(card, path, device, precision)
        return self._codecs[key]

    def load(self, card: Card, found: WeightsFile) -> FrequencyModel:
        """See `lm.load.load_entropy_model`."""
        if found.path.parent != EMBEDDED:
            return self._load(card, found)
        if found.path not in self._entropy_models:
            self._entropy_models[found.path] = self._load(card, found)
        return self._entropy_models[found.path]


LOADED = Loaded()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``neucodec`` with these arguments, and these bytes on standard input."""

    def run(*args: str | Path, stdin: bytes = b"") -> Ran:
        out, err = io.BytesIO(), io.BytesIO()
        with monkeypatch.context() as patch:
            # A process of its own would do nothing else with torch; this one does.
            patch.setattr("neucodec.models.import_torch.start_torch", lambda: None)
            patch.setattr(load, "build_codec", LOADED.build)
            patch.setattr(entropy_registry, "load_entropy_model", LOADED.load)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            patch.setattr(sys, "stdout", io.TextIOWrapper(out, "utf-8", write_through=True))
            patch.setattr(sys, "stderr", io.TextIOWrapper(err, "utf-8", write_through=True))
            code = main([str(arg) for arg in args])
            return Ran(code, out.getvalue(), err.getvalue().decode())

    return run


@pytest.fixture
def clip(tmp_path: Path) -> MakeClip:
    """Writes a chord with a beat to a file below the test's folder; returns its path."""

    def clip(
        name: str = "clip.wav",
        seconds: float = 0.3,
        rate: int = 16000,
        channels: int = 1,
        level: float = 0.25,
        subtype: str | None = None,
        **tags: str,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(round(seconds * rate))[:, None] / rate
        pitches = 220 * (1 + np.arange(channels))
        audio = level * np.sin(2 * np.pi * pitches * time) * (1 + np.sin(2 * np.pi * 3 * time))
        with soundfile.SoundFile(path, "w", rate, channels, subtype) as file:
            for tag, text in tags.items():
                setattr(file, tag, text)
            file.write(audio)
        return path

    return clip


@pytest.fixture
def jobs(tmp_path: Path) -> MakeJobs:
    """Makes a file of each text, to be copied."""

    def jobs(*texts: str) -> list[Job]:
        made = []
        for number, text in enumerate(texts):
            source = tmp_path / f"{number}.in"
            source.write_text(text)
            made.append(Job(str(source), str(source.with_suffix(".out"))))
        return made

    return jobs
