"""The built wheel, installed where the checkout is not: what it brings, and that it works alone."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MakeClip

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
            cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run


def test_the_wheel_brings_all_that_the_package_reads(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for place in (
        "neucodec/py.typed", "neucodec/formats/NCF.md", "neucodec/formats/ncf.magic",
        "neucodec/formats/ncf.xml", "neucodec/models/cards/neu-44khz.toml",
        "neucodec/models/weights/neu-44khz.safetensors",
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
    assert "neu-44khz" in command("neucodec", "info", "clip.ncf")
    command("neucodec", "verify", "clip.ncf")
    command("neucodec", "decode", "clip.ncf", "-o", "back.wav")
    assert (tmp_path / "back.wav").is_file()
    assert "_neucodec_completion" in command("neucodec", "completion", "bash")
    assert (installed / "share" / "man" / "man1" / "neucodec.1").read_text() == (
        command("neucodec", "man")
    )
    script = "import neucodec, io; a, r = neucodec.decode('clip.ncf'); print(a.shape, r)"
    assert command("python", "-c", script) == "(8000, 1) 16000\n"
