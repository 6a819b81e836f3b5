"""What another processor would change: the same files decoded, the same audio encoded, as if on it.

    python benchmarks/machines.py

PyTorch, oneDNN and MKL choose their kernels by what the processor can do, and environment variables
make them choose as on lesser ones. For each setting a process of its own decodes the files of
tests/released and one file of a small network of each published family. Codes and layers must be
the same integers everywhere; the greatest difference of samples is printed, and so is how many
codes differ where the audio is encoded anew. Ends with 1 where an integer differs, or samples by
more than docs/determinism.md states.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

SETTINGS = (
    "",
    "ATEN_CPU_CAPABILITY=default",
    "ATEN_CPU_CAPABILITY=avx2",
    "ONEDNN_MAX_CPU_ISA=AVX2",
    "MKL_CBWR=COMPATIBLE",
    "MKL_CBWR=AVX2",
    "MKL_ENABLE_INSTRUCTIONS=AVX2",
)
BOUND = 1e-4
"""Part of a file's peak by which samples may differ between machines, see docs/determinism.md."""

Array = npt.NDArray[np.float32]


def write_files(folder: Path) -> None:
    """Write a network of each published family, a file that each has coded, and audio to code."""
    from published import to_ncf
    from small_codecs import NAMES, SMALL, codec, load, save, sound

    for name in SMALL:
        save(name, folder)
        audio = sound(name, 2.2, 2 * codec(name).card.channels)[0]
        (folder / f"{name}.ncf").write_bytes(to_ncf(load(name, folder), audio, codebooks=4))
    for name in NAMES:
        np.save(folder / f"{name}.npy", sound(name, 1.6, 2 * codec(name).card.channels)[0].numpy())


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Codecs and files to be decoded."""
    from small_codecs import SMALL

    from neucodec.formats import NcfReader

    for path in sorted((ROOT / "tests" / "released").glob("*.ncf")):
        with path.open("rb") as file:
            yield NcfReader(file).header.codec, path
    for name in SMALL:
        yield name, folder / f"{name}.ncf"


def measure(folder: Path, out: Path) -> None:
    """Decode and encode everything here; write samples, and digests of all integers."""
    import torch
    from published import codes_in, from_ncf, to_ncf
    from small_codecs import NAMES, load

    from neucodec.coding.payloads import chunk_tones, chunk_waveform
    from neucodec.formats import NcfReader

    found: dict[str, npt.NDArray[np.generic]] = {}
    for name, path in files(folder):
        data = path.read_bytes()
        digest = hashlib.sha256()
        for codes in codes_in(data):
            digest.update(codes.numpy().astype("<i4").tobytes())
        with path.open("rb") as file:
            reader = NcfReader(file)
            for chunk in reader:
                for layer in chunk_tones(chunk, reader.header):
                    if layer is not None:
                        digest.update(layer.coefficients.astype("<i4").tobytes())
                waveform = chunk_waveform(chunk, reader.header)
                for stream in waveform.streams if waveform else ():
                    if stream is not None:
                        digest.update(stream.values.astype("<i4").tobytes())
        found[f"integers {path.stem}"] = np.frombuffer(digest.digest(), np.uint8)
        found[f"samples {path.stem}"] = from_ncf(load(name, folder), data).numpy()
    for name in NAMES:
        audio = torch.from_numpy(np.load(folder / f"{name}.npy"))
        codes = codes_in(to_ncf(load(name, folder), audio, codebooks=4, entropy="none"))
        found[f"codes {name}"] = torch.cat(codes, dim=-1).numpy().astype(np.int32)
    np.savez(out, allow_pickle=False, **found)


def run(folder: Path, setting: str) -> dict[str, npt.NDArray[np.generic]]:
    """`measure` in a process of its own with an environment variable."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    name, _, value = setting.partition("=")
    if name:
        environment[name] = value
    out = folder / f"{setting or 'as it is'}.npz"
    subprocess.run(
        [sys.executable, __file__, "--folder", folder, "--out", out], env=environment, check=True
    )
    with np.load(out) as arrays:
        return dict(arrays)


def report(results: dict[str, dict[str, npt.NDArray[np.generic]]]) -> bool:
    """Print what differs from how this machine is, and the most between any two; whether all is
    within the bounds."""
    plain, fine, most = results[""], True, 0.0
    print("| as if | integers | samples, of the peak | codes of anew encoded audio that differ |")
    print("|---|---|---|---|")
    for setting, found in results.items():
        same = all(np.array_equal(found[k], plain[k]) for k in plain if k.startswith("integers"))
        fine = fine and same
        apart = [np.mean(found[k] != plain[k]) for k in plain if k.startswith("codes")]
        print(
            f"| {setting or 'this processor'} | {'the same' if same else 'DIFFER'} | "
            f"{difference(found, plain):.1e} | {np.mean(apart):.3%}, at most {np.max(apart):.3%} |"
        )
    for one, other in combinations(results.values(), 2):
        most = max(most, difference(one, other))
    print(f"\ngreatest difference of samples between any two: {most:.1e} of the peak ({BOUND:.0e})")
    return fine and most <= BOUND


def difference(
    one: dict[str, npt.NDArray[np.generic]], other: dict[str, npt.NDArray[np.generic]]
) -> float:
    """The greatest difference of samples, as a part of each file's peak."""
    names = [name for name in one if name.startswith("samples")]
    return max(
        float(np.abs(one[name] - other[name]).max() / np.abs(other[name]).max()) for name in names
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.out:
        measure(args.folder, args.out)
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = pool.map(partial(run, folder), SETTINGS)
            fine = report(dict(zip(SETTINGS, found, strict=True)))
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
