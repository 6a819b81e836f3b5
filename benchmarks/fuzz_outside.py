"""What comes from strangers, by the thousand: pickles, checkpoints with their cards, servers.

    python benchmarks/fuzz_outside.py pickles --cases 50000       .dac and .ecdc
    python benchmarks/fuzz_outside.py checkpoints --cases 20000   weights, cards, config.json
    python benchmarks/fuzz_outside.py servers --cases 2000        downloads and files at URLs
    python benchmarks/fuzz_outside.py listings --cases 2000       directories at URLs
    python benchmarks/fuzz_outside.py servers --only 123          one case again

A case is a function of its number. It fails where anything is raised that the program would call a
fault of its own, where what is refused is not said in one short line, where it takes more than two
seconds of a processor, or where it takes half a gigabyte more than anything before. Inputs are
below 10 kB but for a few checkpoints of 30. A case that no signal ends is ended after a minute,
with a traceback.
"""

from __future__ import annotations

import faulthandler
import random
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable

import fuzz_checkpoints
import fuzz_pickles
import fuzz_servers
from fuzz_arguments import keep, read_arguments

from neucodec.terminal.console import explain, is_expected

SLOW_SECONDS = 2.0
MEMORY = 500_000_000
HANGS = 60.0
LONGEST_LINE = 1000
TARGETS: dict[str, Callable[[], Callable[[random.Random], tuple[bytes, Callable[[], str]]]]] = {
    "pickles": fuzz_pickles.cases,
    "checkpoints": fuzz_checkpoints.cases,
    "servers": fuzz_servers.server_cases,
    "listings": fuzz_servers.listing_cases,
}
"""Each gives, of random numbers, an input and what is to be done with it; that says how it went,
or raises."""


def main() -> int:
    args, numbers = read_arguments(__doc__, TARGETS, cases=1000)
    case = TARGETS[args.target]()
    outcomes: Counter[str] = Counter()
    slowest, began, said = (0.0, -1), time.monotonic(), time.monotonic()
    for done, number in enumerate(numbers, 1):
        faulthandler.dump_traceback_later(HANGS, exit=True)
        data, run = case(random.Random(number))
        highest, started = peak(), time.process_time()
        outcome = outcome_of(run, args.only is not None)
        took, grown = time.process_time() - started, peak() - highest
        if took > SLOW_SECONDS:
            outcome = f"FAILED by taking more than {SLOW_SECONDS:.0f} s"
        if grown > MEMORY and number != numbers[0]:  # which loads libraries
            outcome = f"FAILED by taking more than {MEMORY / 1e6:.0f} MB"
        if outcome.startswith("FAILED"):
            keep(args.keep, f"{args.target}-{number}", data)
            print(f"case {number}: {outcome}", flush=True)
        slowest = max(slowest, (took, number))
        outcomes[outcome] += 1
        if time.monotonic() - said > 60:
            said = time.monotonic()
            print(f"{done} cases, {dict(outcomes)}, slowest {slowest}", flush=True)
    faulthandler.cancel_dump_traceback_later()
    print(f"{args.target}: {outcomes.total()} cases in {time.monotonic() - began:.0f} s")
    for outcome, count in outcomes.most_common():
        print(f"  {count:9} {outcome}")
    print(f"  slowest: {slowest[0]:.3f} s, case {slowest[1]}")
    return any(outcome.startswith("FAILED") for outcome in outcomes)


def outcome_of(run: Callable[[], str], loud: bool) -> str:
    """How a case went: what it says, "refused", or why that was no way to refuse it."""
    try:
        return run()
    except Exception as error:
        if loud:
            traceback.print_exc()
        line = explain(error)
        if not is_expected(error):
            return f"FAILED with {type(error).__name__}: {str(error)[:80]}"
        if isinstance(error, MemoryError) or "not enough memory" in line:
            return "FAILED by running out of memory"
        if "\n" in line or not 0 < len(line) <= LONGEST_LINE:
            return "FAILED by saying what is no line"
        return "refused"


def peak() -> int:
    """Bytes of memory that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
