"""Every example runs as it stands; that of ONNX graphs does in test_onnx, which exports them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import PATIENCE

pytestmark = pytest.mark.slow  # starts processes of their own, with all that they import

EXAMPLES = Path(__file__).parents[1] / "examples"
ARGUMENTS = {"make_clip.py": ("clip.wav", "--seconds", "4"), "token_dataset.py": (".",)}
BEFORE = {"token_dataset.py": [("encode", "clip.wav")]}
"""What makes the files that an example takes."""
ELSEWHERE = "onnx_chunk.py"


@pytest.mark.parametrize(
    "name", sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != ELSEWHERE)
)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    if name == "token_dataset.py":
        noise = 0.1 * np.random.default_rng(0).standard_normal(6 * 16000)
        soundfile.write(tmp_path / "clip.wav", noise, 16000)
    for arguments in BEFORE.get(name, ()):
        command = [sys.executable, "-m", "neucodec", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=PATIENCE)
    command = [sys.executable, str(EXAMPLES / name), *ARGUMENTS.get(name, ())]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout or (tmp_path / "clip.wav").is_file()
