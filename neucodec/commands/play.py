"""Define ``neucodec play``: decode to a player."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

import click

from neucodec.errors import NeucodecError
from neucodec.files.pipes import PipeWriter
from neucodec.jobs.input_files import find_inputs
from neucodec.jobs.input_kinds import DECODABLE
from neucodec.jobs.job import Job
from neucodec.jobs.result import DONE, Result
from neucodec.jobs.runner import run_jobs
from neucodec.terminal.console import Console, shown
from neucodec.terminal.signals import interruptible

from .batch_run import open_input
from .codec_loader import Codecs
from .options import device_options, inputs_argument, verbosity_options
from .parameter_types import TIME, Model

if TYPE_CHECKING:
    from neucodec.models import Card, Codec

PLAYERS = {
    "ffplay": ("-nodisp", "-autoexit", "-loglevel", "error", "-i", "-"),
    "mpv": ("--no-video", "--really-quiet", "-"),
    "aplay": ("-q", "-"),
}
"""Programs that play a WAV from their standard input, in order of preference."""

EPILOG = """
\b
Examples:
  neucodec play song.ncf
  neucodec play --start 1:30 talk.ncf
  neucodec play archive/

What plays is the first of ffplay, mpv and aplay that is there, while decoding goes on.
"""


@click.command(epilog=EPILOG)
@inputs_argument
@click.option(
    "--player", type=click.Choice(list(PLAYERS)), help="Else the first of these that is there."
)
@click.option("--start", type=TIME, help="From here on: seconds, mm:ss or h:mm:ss.")
@click.option("--end", type=TIME, help="Up to here.")
@click.option(
    "-m", "--model", type=Model(), metavar="PATH",
    help="The checkpoint of your own that the files were made with; else the one they name.",
)  # fmt: skip
@device_options
@verbosity_options
def play(
    inputs: tuple[str, ...],
    player: str | None,
    start: float | None,
    end: float | None,
    model: Card | None,
    device: str,
    offline: bool,
    quiet: int,
    verbose: int,
) -> None:
    """Decode .ncf files, .ecdc and .dac, and play them one after the other.

    INPUT is a file, a directory of them, or '-' for standard input.
    """
    console = Console(verbose - quiet)
    work = _Playing(
        command=_command(player), start=start, end=end, model=model,
        codecs=Codecs(device, offline, half="decoder"),
    )  # fmt: skip
    search = find_inputs(inputs, DECODABLE, console)
    jobs = [Job(name, "-") for name, _ in search.files]
    if not run_jobs(jobs, search.failures, work, console):
        click.get_current_context().exit(1)


def _command(player: str | None) -> Sequence[str]:
    """Return the command to run. Raises ClickException where it is not there."""
    for name, arguments in PLAYERS.items():
        if player in (None, name) and (found := shutil.which(name)):
            return (found, *arguments)
    wanted = player or "none of ffplay, mpv and aplay"
    raise click.ClickException(
        f"{wanted} is here to play: install one, or pipe neucodec decode FILE -o - to your player"
    )


@dataclass(kw_only=True)
class _Playing:
    """Plays one file after the other."""

    command: Sequence[str]
    start: float | None
    end: float | None
    model: Card | None
    codecs: Codecs

    def __call__(self, job: Job, console: Console) -> Result:
        from neucodec.audio.output import open_sink
        from neucodec.audio.output_format import OutputFormat
        from neucodec.coding.decoder import Decoder
        from neucodec.coding.file_codec import card_for
        from neucodec.coding.options import DecodeOptions
        from neucodec.formats import NcfReader
        from neucodec.interchange.peers import as_ncf

        def load(card: Card) -> Codec:
            return self.codecs.get(card, console)

        with open_input(job.source) as opened:
            reader = NcfReader(as_ncf(opened, load, self.model))
            codec = load(card_for(reader.header, self.model))
            options = DecodeOptions(start=self.start, end=self.end)
            decoder = Decoder(reader, codec, options, self.codecs.entropy_models(console))
            console.report(f"{shown(job.source)}: {reader.header.codec}")
            form = OutputFormat(
                decoder.sample_rate, decoder.channels,
                samples=decoder.samples, channel_mask=decoder.channel_mask,
            )  # fmt: skip
            with (
                _player(self.command) as pipe,
                open_sink(pipe, form) as sink,
            ):
                for block in decoder.blocks():
                    sink.write(block)
        if decoder.surplus:
            console.warn(job.source, f"{decoder.surplus}: not played")
        return DONE


@contextmanager
def _player(command: Sequence[str]) -> Iterator[BinaryIO]:
    """Start a player and give what it reads; it may stop reading whenever its user wants it to."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0)
    pipe = cast(BinaryIO, process.stdin)
    try:
        with suppress(BrokenPipeError):
            yield cast(BinaryIO, PipeWriter(pipe))
        pipe.close()
        with interruptible():
            code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code:
        raise NeucodecError(f"{command[0]} gave up with exit status {code}")
