"""How commands start PyTorch."""

import ctypes
import os
import subprocess
import sys

import pytest
from conftest import PATIENCE

CODE = """
import sys
from neucodec.models import import_torch
import_torch._TRIED = "{tried}"
import_torch.start_torch()
import torch
print("torch._decomp" in sys.modules)
with torch.device("meta"):
    print(torch.nn.Linear(2, 3)(torch.zeros(1, 2)).shape)
import torch._meta_registrations
print("torch._decomp" in sys.modules)
"""


SHARED = """
import distributed
from neucodec.models.import_torch import start_torch
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


HEAP = """
import ctypes
from neucodec.models.import_torch import one_heap
libc = ctypes.CDLL(None)
class Figures(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd".split()]
    _fields_ += [(f"other{k}", ctypes.c_size_t) for k in range(8)]
libc.mallinfo2.restype, libc.malloc.restype = Figures, ctypes.c_void_p
one_heap()
before = libc.mallinfo2().hblkhd
libc.malloc(ctypes.c_size_t(16 << 20))
print(libc.mallinfo2().hblkhd - before >> 20)
"""
"""How many MB of a large allocation lie outside the heap."""


@pytest.mark.parametrize(
    ("given", "outside"), [({}, "0"), ({"MALLOC_MMAP_THRESHOLD_": "131072"}, "16")]
)
def test_large_tensors_come_from_the_heap_unless_the_environment_wants_it_otherwise(
    given: dict[str, str], outside: str
) -> None:
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("glibc 2.33 or later says what its heap holds; this is another C library")
    done = subprocess.run(
        [sys.executable, "-c", HEAP], capture_output=True, text=True, env={**os.environ, **given}
    )
    assert (done.returncode, done.stdout) == (0, f"{outside}\n"), done.stderr
