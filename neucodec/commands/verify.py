"""Define ``neucodec verify``: find out whether files are whole, without decoding them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from neucodec.errors import NeucodecError
from neucodec.jobs.input_files import find_inputs
from neucodec.jobs.input_kinds import NCF
from neucodec.jobs.job import Job
from neucodec.jobs.result import DONE, Result
from neucodec.jobs.runner import run_jobs
from neucodec.terminal.console import Console, counted, shown
from neucodec.terminal.standard_streams import tell
from neucodec.terminal.timecode import format_spans, format_time

from .batch_run import open_input, watch
from .codec_loader import Codecs
from .options import inputs_argument, offline_option, verbosity_options

if TYPE_CHECKING:
    from neucodec.coding.entropy_models import EntropyModels
    from neucodec.coding.integrity import FindUndecodable
    from neucodec.formats import NcfReader

EPILOG = """
\b
Examples:
  neucodec verify song.ncf
  neucodec verify -q archive/     only what is damaged
  neucodec verify --codes song.ncf
"""


@click.command(epilog=EPILOG)
@inputs_argument
@click.option(
    "--codes", is_flag=True,
    help="Unpack the codes, too, which finds what checksums cannot: files that another program "
    "has written wrongly. Takes the entropy model, if a file names one.",
)  # fmt: skip
@offline_option
@verbosity_options
def verify(inputs: tuple[str, ...], codes: bool, offline: bool, quiet: int, verbose: int) -> None:
    """Check every checksum of .ncf files, without decoding.

    Directories are searched for .ncf files. Exits with 1 where something is damaged or missing,
    and says which seconds.
    """
    from neucodec.coding.integrity import check_ncf
    from neucodec.formats import NcfReader

    console, codecs = Console(verbose - quiet), Codecs("cpu", offline)

    def check(job: Job, console: Console) -> Result:
        unchanged = watch(job.source)
        with open_input(job.source) as file:
            reader = NcfReader(file)
            models = codecs.entropy_models(console) if codes else None
            of_codes = _codes_of(reader, models) if models else None
            with console.progress(job.source, _seconds(reader)) as progress:
                found = check_ncf(reader, of_codes, progress)
        unchanged()
        problems = []
        if found.damaged:
            problems.append(f"damaged at {format_spans(found.damaged)}")
        if not found.complete:
            problems.append(f"cut off, or its end damaged, after {format_time(found.seconds, 1)}")
        if problems:
            rest = f"; {found.surplus}" if found.surplus else ""
            raise NeucodecError(f"{' and '.join(problems)}; the rest can be decoded{rest}")
        if found.surplus:
            raise NeucodecError(f"{found.surplus}, which is neither checked nor decoded")
        if not quiet:
            chunks = counted(found.chunks, "chunk")
            tell(f"{shown(job.source)}: whole, {chunks}, {format_time(found.seconds, 1)}")
        return DONE

    search = find_inputs(inputs, NCF, console)
    jobs = [Job(name, name) for name, _ in search.files]
    if not run_jobs(jobs, search.failures, check, console):
        click.get_current_context().exit(1)


def _seconds(reader: NcfReader) -> float | None:
    """Return the length of the audio; None where that shows only once all has been read."""
    if not reader.complete or reader.frames is None:
        return None
    return reader.frames / reader.header.source_rate


def _codes_of(reader: NcfReader, models: EntropyModels) -> FindUndecodable:
    """Return what unpacks the codes of chunks."""
    from neucodec.coding.payloads import undecodable

    return partial(undecodable, header=reader.header, model=models.of(reader.header))
