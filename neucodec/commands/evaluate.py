"""Define ``neucodec evaluate``: measure how good codecs sound on a folder of recordings."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neucodec.coding.bitrate import codebooks_for, format_kbps, parse_bitrate
from neucodec.coding.default_model import DEFAULT_MODEL
from neucodec.errors import NeucodecError
from neucodec.files.outfile import output_file
from neucodec.terminal.console import Console, printable_lines, shown
from neucodec.terminal.signals import interruptible
from neucodec.terminal.standard_streams import tell

from .codec_loader import OFFLINE, Downloads
from .options import device_options, verbosity_options
from .parameter_types import COUNT, Folder, Model, Parsed

if TYPE_CHECKING:
    from neucodec.evaluation.clips import Clip
    from neucodec.evaluation.codecs import Neural
    from neucodec.evaluation.results import Results
    from neucodec.evaluation.trial import Candidate, Conditions, Row, Trial
    from neucodec.models import Card

MEASUREMENTS = "measurements"
"""The folder inside a report's folder in which measurements and coded files are kept."""

EPILOG = """
\b
Examples:
  neucodec evaluate clips/ -b 4kbps,8kbps,12kbps --against opus -o report/
                                  open report/index.html to listen and compare
  neucodec evaluate clips/ -m neu2-44khz -m dac-44khz -b 8kbps --against opus:16kbps -o report/
  neucodec evaluate clips/ --mono --metrics mel,stft,si-sdr -o report/

Folders inside REF_DIR are kinds of sound (clips/speech, clips/music) with means of their own.
Run it again with the same -o to go on where it stopped, or to add bitrates and codecs.
"""


def _parse_list(text: str) -> tuple[str, ...]:
    """Split a list at its commas; empty parts are left out."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _parse_bitrates(text: str) -> tuple[float, ...]:
    """Parse a list such as ``4kbps,8kbps``; in bit/s."""
    return tuple(parse_bitrate(part) for part in _parse_list(text))


def _parse_rivals(text: str) -> tuple[tuple[str, float | None], ...]:
    """Parse a list such as ``opus,vorbis:16kbps``: names, with a bitrate in bit/s or None."""
    parts = (part.partition(":") for part in _parse_list(text))
    return tuple((name, parse_bitrate(rate) if colon else None) for name, colon, rate in parts)


NAMES = Parsed("names", _parse_list)
RIVALS = Parsed("names", _parse_rivals)
BITRATES = Parsed("rates", _parse_bitrates)


@click.command(epilog=EPILOG)
@click.argument("folder", metavar="REF_DIR", type=click.Path(path_type=str))
@click.option(
    "-m", "--model", "models", type=Model(), multiple=True, default=[DEFAULT_MODEL],
    show_default=True, help="May be repeated.",
)  # fmt: skip
@click.option(
    "-b", "--bitrate", "bitrates", type=BITRATES, multiple=True, default=["4kbps,8kbps,12kbps"],
    show_default=True, help="One or more, of all channels together.",
)  # fmt: skip
@click.option(
    "--against", type=RIVALS, multiple=True,
    help="opus, vorbis: others, at the real bitrates of the models' files; opus:16kbps at that.",
)  # fmt: skip
@click.option(
    "-o", "--output", metavar="OUT", type=Folder(path_type=str, file_okay=False),
    help="Directory for results.json, results.csv and index.html, the listening page.",
)  # fmt: skip
@click.option("-f", "--force", is_flag=True, help="Measure anew what has been measured before.")
@click.option(
    "--metrics", type=NAMES, multiple=True,
    help="visqol, mel, stft, si-sdr and, for speech, visqol-speech, pesq, stoi.  [default: all]",
)  # fmt: skip
@click.option(
    "--speech", metavar="PATTERN", multiple=True, default=["speech/*"], show_default=True,
    help="Which files below REF_DIR are speech. May be repeated.",
)  # fmt: skip
@click.option("--mono", is_flag=True, help="Mix all channels down to one first.")
@click.option("--every", type=COUNT, default=1, help="Take every n-th file only.")
@click.option(
    "--clips", type=click.IntRange(0), default=6, show_default=True,
    help="Recordings to put on the listening page, from all kinds.",
)  # fmt: skip
@click.option(
    "--page-size", metavar="MB", type=click.IntRange(1), default=40, show_default=True,
    help="Take fewer recordings where the page would exceed this.",
)  # fmt: skip
@click.option(
    "-j",
    "--jobs",
    type=COUNT,
    metavar="N",
    help="Files at once, each in a process of one thread; else as many as there are processors.",
)
@device_options
@verbosity_options
def evaluate(
    folder: str,
    models: tuple[Card, ...],
    bitrates: tuple[tuple[float, ...], ...],
    against: tuple[tuple[tuple[str, float | None], ...], ...],
    output: str | None,
    force: bool,
    metrics: tuple[tuple[str, ...], ...],
    speech: tuple[str, ...],
    mono: bool,
    every: int,
    clips: int,
    page_size: int,
    jobs: int | None,
    device: str,
    offline: bool,
    quiet: int,
    verbose: int,
) -> None:
    """Measure how good codecs sound on recordings of one's own.

    Every audio file below REF_DIR is encoded and decoded at each bitrate and compared with what
    it was: ViSQOL, PESQ and STOI (estimates of what listeners would say), distances of spectra,
    SI-SDR. Bitrates are real ones, from the sizes of files. Means go to standard output.
    """
    console = Console(verbose - quiet)
    rates = sorted({rate for group in bitrates for rate in group})
    rivals = list(dict.fromkeys(pair for group in against for pair in group))
    possible = _possible(models, rates, console)
    if output is not None:
        _check_output(Path(output))
    from neucodec.evaluation.clips import find_clips
    from neucodec.evaluation.codecs import rival
    from neucodec.evaluation.metrics import METRICS, choose_metrics
    from neucodec.evaluation.results import Results
    from neucodec.evaluation.trial import Conditions
    from neucodec.parallel.thread_counts import available_threads

    names = [name for group in metrics for name in group]
    recordings = find_clips(folder, speech, every, console)
    chosen = choose_metrics(names or METRICS, any(clip.speech for clip in recordings))
    for name in dict.fromkeys(name for name, _ in rivals):
        console.detail(f"{name} is by {rival(name).version}")
    with ExitStack() as stack:
        place = Path(output or stack.enter_context(tempfile.TemporaryDirectory()))
        kept = place / MEASUREMENTS
        kept.mkdir(parents=True, exist_ok=True)
        codecs = _load(models, device, offline, console)
        conditions = Conditions([m.name for m in chosen], mono, device, str(kept), force)
        trials = _trials(recordings, [one for one, _ in codecs], possible, rivals, conditions)
        rows, failed = _measure(trials, jobs or available_threads(), console)
        results = Results(rows, {candidate.name: neural for candidate, neural in codecs}, kept)
        if rows:
            tell(printable_lines(results.text()))
            if output is not None:
                index = _write_report(place, results, recordings, mono, clips, page_size)
                console.report(f"{shown(str(index))}: listen and compare")
    if failed:
        click.get_current_context().exit(1)


def _possible(
    models: Sequence[Card], rates: Sequence[float], console: Console
) -> dict[str, list[float]]:
    """Return which of the bitrates (bit/s) each model has, by the name on its card.

    The others are warned of. Raises NeucodecError where a model has none of them.
    """
    possible = {}
    for card in models:
        ours = [rate for rate in rates if any(_has(card, rate, channels) for channels in (1, 2))]
        if not ours:
            codebooks_for(card, 1, rates[0])
        for rate in rates:
            if rate not in ours:
                console.warn(card.name, f"left out at {format_kbps(rate)}, which it does not have")
        possible[card.name] = ours
    return possible


def _has(card: Card, bitrate: float, channels: int) -> bool:
    """Return whether a model has a bitrate (bit/s) at so many channels."""
    try:
        codebooks_for(card, channels, bitrate)
    except NeucodecError:
        return False
    return True


def _check_output(place: Path) -> None:
    """Raise NeucodecError where a directory holds anything that no evaluation has written."""
    if place.is_dir() and any(place.iterdir()) and not (place / MEASUREMENTS).is_dir():
        raise NeucodecError(
            f"{shown(str(place))}: there are other files in it; give a directory that is new, "
            "empty or that of an earlier evaluation"
        )


def _load(
    models: Sequence[Card], device: str, offline: bool, console: Console
) -> list[tuple[Candidate, Neural]]:
    """Load each codec once; those that share a name get their fingerprint added to it."""
    from neucodec.evaluation.trial import Candidate, loaded

    monitor = Downloads(console)
    found = {}
    for card in models:
        with interruptible():
            neural = loaded(card, device, monitor, OFFLINE if offline else "")
        found[card.name, neural.codec.fingerprint.hex()] = card, neural
    names = [name for name, _ in found]
    return [
        (Candidate(name if names.count(name) == 1 else f"{name}:{weights}", card, weights), neural)
        for (name, weights), (card, neural) in found.items()
    ]


def _trials(
    clips: Sequence[Clip],
    candidates: Sequence[Candidate],
    possible: Mapping[str, Sequence[float]],
    rivals: Sequence[tuple[str, float | None]],
    conditions: Conditions,
) -> list[Trial]:
    """Return what is to be measured, clip by clip.

    ``possible`` has the bitrates of each candidate, by the name on its card. Rivals without a
    bitrate go with every candidate, those with one have trials of their own.
    """
    from neucodec.evaluation.trial import Trial

    matched = [name for name, rate in rivals if rate is None]
    trials = []
    for clip in clips:
        for candidate in candidates:
            trials += [
                Trial(clip, candidate, rate, matched, conditions)
                for rate in possible[candidate.card.name]
            ]
        trials += [Trial(clip, None, rate, [name], conditions) for name, rate in rivals if rate]
    return trials


def _measure(trials: Sequence[Trial], processes: int, console: Console) -> tuple[list[Row], bool]:
    """Measure all trials; return the rows, and whether any clip failed.

    A failure is reported once, however many trials meet it.
    """
    from neucodec.evaluation.run import run_trials
    from neucodec.evaluation.trial import Failure

    rows: list[Row] = []
    told: set[Failure] = set()
    total = sum(trial.clip.seconds for trial in trials)
    with console.progress("measuring", total) as progress:
        for trial, found in run_trials(trials, processes):
            progress(trial.clip.seconds)
            if not isinstance(found, Failure):
                rows += found
            elif found not in told:
                told.add(found)
                console.fail(found.clip, found.reason)
    return rows, bool(told)


def _write_report(
    place: Path, results: Results, clips: Sequence[Clip], mono: bool, count: int, megabytes: int
) -> Path:
    """Write tables and listening page into a directory; return the page's path.

    The page has up to ``count`` recordings and is not larger than ``megabytes``.
    """
    from neucodec.evaluation.page.listening_page import page

    listen = page(results, clips, mono=mono, count=count, megabytes=megabytes)
    sources = [clip.path for clip in clips]
    _write(place / "results.json", results.json(), sources)
    _write(place / "results.csv", results.csv(), sources)
    _write(place / "index.html", listen, sources)
    return place / "index.html"


def _write(path: Path, text: str, sources: Sequence[str]) -> None:
    with output_file(path, overwrite=True, sources=sources) as file:
        file.write(text.encode())
