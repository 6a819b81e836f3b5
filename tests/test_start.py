"""How commands start PyTorch."""

import subprocess
import sys

import pytest
from conftest import PATIENCE

CODE = """
import sys
from neucodec.models import start
start._TRIED = "{tried}"
start.start_torch()
import torch
print("torch._decomp" in sys.modules)
with torch.device("meta"):
    print(torch.nn.Linear(2, 3)(torch.zeros(1, 2)).shape)
import torch._meta_registrations
print("torch._decomp" in sys.modules)
"""


SHARED = """
import distributed
from neucodec.models.start import start_torch
start_torch()
import torch
print(torch.Generator().initial_seed() > 0)
"""


def test_a_worker_of_dask_has_all_of_torch() -> None:
    pytest.importorskip("distributed")
    done = subprocess.run([sys.executable, "-c", SHARED], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


@pytest.mark.parametrize(("tried", "has_it_all"), [("", "False"), ("none", "True")])
def test_what_only_compilers_need_is_left_out_of_versions_that_can_do_without(
    tried: str, has_it_all: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(tried=tried)],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout.splitlines() == [has_it_all, "torch.Size([1, 3])", "True"]
