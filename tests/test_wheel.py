"""The built wheel, installed where the checkout is not: what it brings, and that it works alone."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PATIENCE, MakeClip

pytestmark = pytest.mark.slow  # builds and installs a wheel

ROOT = Path(__file__).parents[1]
Command = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    ran = subprocess.run([*pip, str(ROOT)], capture_output=True, text=True)
    if ran.returncode:
        pytest.skip(f"no wheel can be built here: {ran.stderr.strip().splitlines()[-1]}")
    return next(folder.glob("neucodec_cli-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; what it depends on is that of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    purelib = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    # Their own .pth files, that of the checkout among them, do not count in there.
    here = [path for path in sys.path if path.endswith("site-packages")]
    (purelib / "dependencies.pth").write_text("\n".join(here))
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    install = ["install", "--quiet", "--no-deps", "--ignore-installed", str(wheel)]
    subprocess.run([*pip, *install], check=True)
    return folder


@pytest.fixture
def command(installed: Path, tmp_path: Path) -> Command:
    """Runs ``neucodec`` of that environment in a folder of its own."""

    def run(*arguments: str | Path) -> str:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))}
        ran = subprocess.run(
            [installed / "bin" / arguments[0], *map(str, arguments[1:])],
            cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run


def test_the_wheel_brings_all_that_the_package_reads(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for place in (
        "neucodec/py.typed", "neucodec/formats/NCF.md", "neucodec/formats/ncf.magic",
        "neucodec/formats/ncf.xml", "neucodec/models/cards/neu2-44khz.toml",
        "neucodec/models/weights/neu2-44khz.safetensors",
    ):  # fmt: skip
        assert place in names
    assert any(name.endswith("data/share/man/man1/neucodec.1") for name in names)
    assert any(name.endswith("data/share/mime/packages/ncf.xml") for name in names)
    assert not [name for name in names if name.startswith(("formats/", "models/", "tests/"))]
    sources = {p.name for p in (ROOT / "neucodec").rglob("*.py") if "__pycache__" not in p.parts}
    assert sources <= {Path(name).name for name in names}


def test_the_installed_command_does_its_work(
    installed: Path, command: Command, clip: MakeClip, tmp_path: Path
) -> None:
    where = command("python", "-c", "import neucodec; print(neucodec.__file__)").strip()
    assert Path(where).is_relative_to(installed)
    path = clip(seconds=0.5)
    command("neucodec", "encode", path, "-b", "4kbps")
    assert "neu2-44khz" in command("neucodec", "info", "clip.ncf")
    command("neucodec", "verify", "clip.ncf")
    command("neucodec", "decode", "clip.ncf", "-o", "back.wav")
    assert (tmp_path / "back.wav").is_file()
    assert "_neucodec_completion" in command("neucodec", "completion", "bash")
    assert (installed / "share" / "man" / "man1" / "neucodec.1").read_text() == (
        command("neucodec", "man")
    )
    script = "import neucodec, io; a, r = neucodec.decode('clip.ncf'); print(a.shape, r)"
    assert command("python", "-c", script) == "(8000, 1) 16000\n"


CLIENT = """
import io
from threading import Thread

import numpy as np
import numpy.typing as npt
import torch

import neucodec

Audio = npt.NDArray[np.float32]


def there_and_back(audio: Audio, rate: int) -> tuple[bytes, Audio]:
    data: bytes = neucodec.encode(audio, rate, bitrate="4kbps")
    decoded, samplerate = neucodec.decode(io.BytesIO(data))
    assert (decoded.shape, samplerate) == ((len(audio), 1), rate)
    return data, decoded


audio = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
data, decoded = there_and_back(audio, 16000)
with neucodec.open(io.BytesIO(data)) as file:
    position: int = file.seek(file.samplerate // 2)
    rest: Audio = file.read()
    codes: npt.NDArray[np.int64] | None = file.codes(0)
assert np.array_equal(rest, decoded[position:]) and codes is not None

found: list[bytes] = []
threads = [Thread(target=lambda: found.append(there_and_back(audio, 16000)[0])) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert found == [data] * 3

model = neucodec.load_model("neu2-44khz")
tokens: neucodec.Tokens = model.encode(torch.zeros(2, 1, 44100), codebooks=4)
batch: torch.Tensor = model.decode(tokens.first(2))
assert batch.shape == (2, 1, 44100)
try:
    neucodec.decode(b"rubbish")
except neucodec.NeucodecError as error:
    print(error)
"""


def test_a_program_that_uses_it_runs(command: Command, tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text(CLIENT)
    assert command("python", "client.py").startswith("not an .ncf file")


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="checks types with mypy")
def test_a_program_that_uses_it_is_typed(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text(CLIENT + "\nwrong: int = neucodec.encode(audio, 16000)\n")
    # Without torch, whose types take minutes; what it gives is Any then.
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\n[mypy-torch.*,onnx.*]\nfollow_imports = skip\nfollow_imports_for_stubs = true\n"
    )
    options = ["--strict", "--python-executable", str(installed / "bin" / "python")]
    mypy = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", *options, "client.py"]
    ran = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    errors = [line for line in ran.stdout.splitlines() if "error:" in line]
    assert len(errors) == 1, ran.stdout + ran.stderr
    assert "client.py:" in errors[0] and 'has type "bytes", variable has type "int"' in errors[0]
