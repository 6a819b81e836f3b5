"""How commands start PyTorch."""

import subprocess
import sys

from conftest import PATIENCE

CODE = """
import gc, sys
from neucodec.models.start import start_torch
{before}
start_torch()
print("torch" in sys.modules, gc.isenabled(), gc.get_freeze_count() > 0)
"""


def started(before: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", CODE.format(before=before)],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    ).stdout.strip()


def test_garbage_is_collected_again_once_pytorch_is_there() -> None:
    assert started("") == "True True True"


def test_whoever_collects_none_goes_on_so() -> None:
    assert started("gc.disable()") == "True False True"


def test_where_pytorch_is_already_nothing_is_done() -> None:
    assert started("import torch") == "True True False"
