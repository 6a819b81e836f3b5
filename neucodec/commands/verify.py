"""Define ``neucodec verify``: find out whether files are whole, without decoding them."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from neucodec.errors import NeucodecError
from neucodec.jobs.input_files import find_inputs
from neucodec.jobs.input_kinds import NCF, audio_kind
from neucodec.jobs.job import Job
from neucodec.jobs.result import DONE, Result
from neucodec.jobs.runner import run_jobs
from neucodec.models import Card
from neucodec.terminal.console import REPORTS, Console, counted, shown
from neucodec.terminal.standard_streams import tell
from neucodec.terminal.timecode import format_spans, format_time

from .batch_run import open_input, watch
from .codec_loader import Codecs
from .gather import gathered
from .options import console_of, inputs_argument, offline_option, verbosity_options
from .parameter_types import Model

if TYPE_CHECKING:
    from neucodec.coding.entropy_models import EntropyModels
    from neucodec.coding.integrity import FindUndecodable, Integrity
    from neucodec.formats import NcfReader

EPILOG = """
\b
Examples:
  neucodec verify song.ncf
  neucodec verify -q archive/     only what is damaged
  neucodec verify --codes song.ncf
  neucodec verify --against song.wav song.ncf
"""


@click.command(epilog=EPILOG)
@inputs_argument
@click.option(
    "--codes", is_flag=True,
    help="Unpack the codes, too, which finds what checksums cannot: files that another program "
    "has written wrongly. Takes the entropy model, if a file names one.",
)  # fmt: skip
@click.option(
    "--against", metavar="ORIGINAL", type=click.Path(exists=True),
    help="Compare with the recording that INPUT was made from, too, or with those in a directory "
    "at the same places: are they the same samples?",
)  # fmt: skip
@click.option(
    "-m", "--model", type=Model(), metavar="PATH",
    help="The checkpoint of your own that the files were made with, whose entropy model --codes "
    "may take.",
)  # fmt: skip
@offline_option
@verbosity_options
@gathered("console", console_of)
def verify(
    inputs: tuple[str, ...],
    codes: bool,
    against: str | None,
    model: Card | None,
    offline: bool,
    console: Console,
) -> None:
    """Check every checksum of .ncf files, without decoding.

    Directories are searched for .ncf files. Exits with 1 where something is damaged or missing,
    and says which seconds.
    """
    from neucodec.coding.integrity import check_ncf
    from neucodec.formats import NcfReader

    search = find_inputs(inputs, NCF, console)
    if against is not None and len(search.files) > 1 and not Path(against).is_dir():
        raise click.UsageError("--against: several files need a directory of originals, not one")
    places = dict(search.files)
    models = Codecs("cpu", offline).entropy_models(console) if codes else None

    def check(job: Job, console: Console) -> Result:
        unchanged = watch(job.source)
        original = None if against is None else _original(against, places[job.source])
        with open_input(job.source) as file:
            reader = NcfReader(file)
            of_codes = _codes_of(reader, models, model) if models else None
            with console.progress(job.source, _seconds(reader)) as progress:
                found = check_ncf(reader, of_codes, progress)
        unchanged()
        _refuse_damage(found)
        said = f"whole, {counted(found.chunks, 'chunk')}, {format_time(found.seconds, 1)}"
        if original is not None:
            _compare(reader, original)
            said += f", made from {shown(str(original))}"
        if console.verbosity >= REPORTS:
            tell(f"{shown(job.source)}: {said}")
        return DONE

    jobs = [Job(name, name) for name, _ in search.files]
    if not run_jobs(jobs, search.failures, check, console):
        click.get_current_context().exit(1)


def _refuse_damage(found: Integrity) -> None:
    """Raise NeucodecError where something is damaged, missing, or follows."""
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


def _original(against: str, place: PurePath) -> Path:
    """Return the recording that a file at a place below its directory was made from.

    Raises NeucodecError where there is none, or more than one.
    """
    path = Path(against)
    if not path.is_dir():
        return path
    folder, suffixes = path / place.parent, audio_kind(media=True).suffixes
    names = folder.iterdir() if folder.is_dir() else ()
    found = sorted(p for p in names if p.stem == place.stem and p.suffix.lower() in suffixes)
    if len(found) != 1:
        many = f"{len(found)} recordings" if found else "no recording"
        raise NeucodecError(f"{many} called {place.stem} in {folder} to compare with")
    return found[0]


def _compare(reader: NcfReader, original: Path) -> None:
    """Raise NeucodecError where a file was not made from the samples of a recording."""
    from neucodec.audio.input import open_audio
    from neucodec.coding.fingerprint import fingerprint_of

    if not reader.source_fingerprint:
        raise NeucodecError(
            "it has no fingerprint of what it was made from, as files before 0.9 and converted ones"
        )
    name, header = shown(str(original)), reader.header
    with open_audio(original) as audio:
        fingerprint, samples = fingerprint_of(audio)
        if fingerprint == reader.source_fingerprint:
            return
        for what, ours, theirs in (
            ("Hz", header.source_rate, audio.sample_rate), ("samples", reader.frames, samples),
        ):  # fmt: skip
            if ours != theirs:
                raise NeucodecError(f"not made from {name}, which has {theirs} {what}, not {ours}")
    raise NeucodecError(f"not made from {name}, whose samples are others")


def _seconds(reader: NcfReader) -> float | None:
    """Return the length of the audio; None where that shows only once all has been read."""
    if not reader.complete or reader.frames is None:
        return None
    return reader.frames / reader.header.source_rate


def _codes_of(reader: NcfReader, models: EntropyModels, card: Card | None) -> FindUndecodable:
    """Return what unpacks the codes of chunks."""
    from neucodec.coding.payloads import undecodable

    return partial(undecodable, header=reader.header, model=models.of(reader.header, card))
