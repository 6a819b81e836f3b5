"""Read the command line of the fuzzers, and keep the inputs of cases that fail."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path


def read_arguments(
    description: str | None, targets: Iterable[str], cases: int
) -> tuple[argparse.Namespace, Sequence[int]]:
    """Return the arguments and the numbers of the cases to run.

    ``target`` is one of ``targets``; ``cases`` is how many are run unless the command line says so.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("target", choices=targets)
    parser.add_argument("--cases", type=int, default=cases)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", type=int, help="one case, with the traceback of its failure")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    args = parser.parse_args()
    if args.only is not None:
        return args, [args.only]
    return args, range(args.first, args.first + args.cases)


def keep(folder: Path, name: str, data: bytes) -> None:
    """Write the input of a failure."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
