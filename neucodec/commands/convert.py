"""Define ``neucodec convert``: between .ncf and the files of other programs, code for code."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neucodec.files.paths import size as size_of
from neucodec.jobs.input_kinds import FOREIGN, NCF
from neucodec.jobs.job import Job
from neucodec.jobs.output_names import names_file
from neucodec.jobs.result import DONE, SKIPPED, Result
from neucodec.terminal.console import Console, counted, shown

from .batch_run import (
    Batch,
    Outputs,
    is_there,
    open_input,
    open_output,
    run_batch,
    target_name,
    watch,
)
from .codec_loader import Codecs
from .options import (
    batch_options,
    device_options,
    inputs_argument,
    output_options,
    verbosity_options,
)
from .parameter_types import Model

if TYPE_CHECKING:
    from neucodec.interchange.ncf_codes import Load
    from neucodec.models import Card, Codec

SUFFIXES = {"ncf": ".ncf", "ecdc": ".ecdc", "dac": ".dac"}
"""Kinds of files, and how their names end."""

EPILOG = """
\b
Examples:
  neucodec convert song.ecdc                      song.ncf
  neucodec convert song.dac -m dac-44khz -o song.ncf
  neucodec convert talk.ncf -o talk.ecdc          of an .ncf made with encodec-24khz
  neucodec convert --to dac -o theirs/ archive/   a tree, mirrored below theirs

.ecdc are the files of the package encodec, .dac those of descript-audio-codec. The codes stay as
they are; what the other format has no place for is said. A .dac states how loud its audio is to
come out, so for its level the codes are decoded once; that needs the model, as an .ncf's
fingerprint does.
"""


@click.command(epilog=EPILOG)
@inputs_argument
@click.option(
    "--to", "kind", type=click.Choice(list(SUFFIXES)),
    help="Kind of output; else by the suffix of -o, else ncf.",
)  # fmt: skip
@click.option(
    "-m", "--model", type=Model(), metavar="NAME",
    help="What a .dac, which does not say, was made with; or a checkpoint of your own.",
)  # fmt: skip
@output_options
@batch_options
@device_options
@verbosity_options
def convert(
    inputs: tuple[str, ...],
    kind: str | None,
    model: Card | None,
    output: str | None,
    force: bool,
    skip_existing: bool,
    keep_time: bool,
    batch: Batch,
    device: str,
    offline: bool,
    quiet: int,
    verbose: int,
) -> None:
    """Carry codes over between .ncf, .ecdc and .dac, without encoding again.

    INPUT is an .ecdc or a .dac to become an .ncf, an .ncf to become one of them, a directory, or
    '-' for standard input.
    """
    kind = kind or _kind_of(inputs, output)
    console = Console(verbose - quiet)
    outputs = Outputs(output, force, skip_existing, keep_time)
    work = _Converting(kind=kind, model=model, codecs=Codecs(device, offline), outputs=outputs)
    read = FOREIGN if kind == "ncf" else NCF
    run_batch(inputs, read, batch, outputs, SUFFIXES[kind], work, console)


def _kind_of(inputs: tuple[str, ...], output: str | None) -> str:
    """Return the kind that the name of an output file asks for; ncf where there is none or it has
    no suffix.
    """
    if output is None or not names_file(inputs, output):
        return "ncf"
    suffix = Path(output).suffix.lower()
    kinds = {suffix: kind for kind, suffix in SUFFIXES.items()}
    if suffix and suffix not in kinds:
        raise click.UsageError(
            f"cannot convert to {suffix} files; to .ncf, .ecdc and .dac, or say which with --to"
        )
    return kinds.get(suffix, "ncf")


@dataclass(kw_only=True)
class _Converting:
    """Converts one file after the other; each codec is loaded once, when a file needs it."""

    kind: str
    model: Card | None
    codecs: Codecs
    outputs: Outputs

    def __call__(self, job: Job, console: Console) -> Result:
        from neucodec.interchange.peers import read_whole

        if is_there(job, self.outputs, lambda: self._is_whole(job.target), console):
            return SKIPPED
        unchanged = watch(job.source)
        with open_input(job.source) as file:
            data = read_whole(file)
        unchanged()

        def load(card: Card) -> Codec:
            return self.codecs.get(card, console)

        if self.kind == "ncf":
            self._to_ncf(job, data, load, console)
        else:
            self._from_ncf(job, data, load, console)
        return replace(DONE, input_bytes=len(data), output_bytes=size_of(job.target))

    def _to_ncf(self, job: Job, data: bytes, load: Load, console: Console) -> None:
        from neucodec.interchange.peers import to_ncf

        with open_output(job, self.outputs) as target:
            header = to_ncf(data, target, load, self.model)
        seconds = (header.frames or 0) / header.source_rate
        console.report(
            f"{shown(job.source)}: {header.codec}, {counted(header.codebooks, 'codebook')}, "
            f"{counted(header.channels, 'channel')}, {seconds:.1f} s to {target_name(job)}"
        )

    def _from_ncf(self, job: Job, data: bytes, load: Load, console: Console) -> None:
        from neucodec.coding.integrity import surplus_of
        from neucodec.formats import NcfReader
        from neucodec.interchange.peers import from_ncf

        reader = NcfReader(io.BytesIO(data))
        models = self.codecs.entropy_models(console)
        converted = from_ncf(reader, self.kind, load, self.model, models)
        with open_output(job, self.outputs) as target:
            target.write(converted.data)
        for what in converted.lost:
            console.warn(job.source, f"a .{self.kind} does not keep {what}")
        if surplus := surplus_of(reader):
            console.warn(job.source, f"{surplus}: not converted")
        console.report(
            f"{shown(job.source)}: {reader.header.codec}, "
            f"{counted(len(converted.data), 'byte')} to {target_name(job)}"
        )

    def _is_whole(self, path: str) -> bool:
        """Tell whether an output is one of its kind, read to its end."""
        from neucodec.coding.integrity import is_whole_ncf
        from neucodec.formats import NcfError
        from neucodec.formats.peers import read_dac, read_ecdc

        if self.kind == "ncf":
            return is_whole_ncf(path)
        try:
            (read_ecdc if self.kind == "ecdc" else read_dac)(Path(path).read_bytes())
        except NcfError:
            return False
        return True
