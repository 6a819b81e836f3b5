"""Define ``neucodec compare``: measure how near one file is to another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, BinaryIO

import click

from neucodec.errors import NeucodecError
from neucodec.files.pipes import as_input, as_output
from neucodec.terminal.console import Console, shown
from neucodec.terminal.standard_streams import PIPE, tell

from .codec_loader import Codecs
from .evaluate import NAMES
from .options import offline_option, verbosity_options

if TYPE_CHECKING:
    from neucodec.audio.samples import Audio

EPILOG = """
\b
Examples:
  neucodec compare song.wav song.ncf
  neucodec compare song.wav decoded.wav --plot spectra.png
  neucodec compare talk.wav talk.opus --speech --json
"""


@click.command(epilog=EPILOG)
@click.argument("reference", metavar="REF", type=click.Path(path_type=str, allow_dash=True))
@click.argument("decoded", metavar="DEC", type=click.Path(path_type=str, allow_dash=True))
@click.option("--plot", metavar="PNG", help="Draw the spectrograms of both to this file.")
@click.option("-f", "--force", is_flag=True, help="Overwrite the file of --plot.")
@click.option("--speech", is_flag=True, help="This is speech: take the measures made for it, too.")
@click.option("--mono", is_flag=True, help="Mix all channels down to one first.")
@click.option(
    "--metrics", type=NAMES, multiple=True,
    help="visqol, mel, stft, si-sdr and, with --speech, visqol-speech, pesq, stoi.  [default: all]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@offline_option
@verbosity_options
def compare(
    reference: str,
    decoded: str,
    plot: str | None,
    force: bool,
    speech: bool,
    mono: bool,
    metrics: tuple[tuple[str, ...], ...],
    as_json: bool,
    offline: bool,
    quiet: int,
    verbose: int,
) -> None:
    """Measure how near the audio in DEC is to that in REF.

    Both are audio files of any format, or .ncf; one may be '-' for standard input. DEC is converted
    to REF's sample rate. The bitrate is that of the file DEC.
    """
    from neucodec.evaluation.metrics import METRICS, choose_metrics, measure

    console = Console(verbose - quiet)
    reference, decoded = as_input(reference), as_input(decoded)
    if reference == decoded == PIPE:
        raise click.UsageError("REF and DEC cannot both be standard input; name one of them")
    if plot is not None and as_output(plot) == PIPE:
        raise click.UsageError(
            "--plot -: the figures go to standard output; give the picture the name of a file"
        )
    names = [name for group in metrics for name in group]
    chosen = choose_metrics(names or METRICS, speech)
    codecs = Codecs("auto", offline, half="decoder")
    first, second, rate, size = _pair(reference, decoded, mono, codecs, console)
    if plot:
        from neucodec.evaluation.page.spectrogram import plot_spectrograms

        signals = [(shown(reference), first), (shown(decoded), second)]
        plot_spectrograms(plot, signals, rate, force=force, sources=[reference, decoded])
    scores = measure(first, second, rate, chosen)
    kbps = size * 8 / 1000 / (len(first) / rate)
    if as_json:
        found = {"reference": shown(reference), "decoded": shown(decoded), "kbps": kbps} | scores
        tell(json.dumps(found))
        return
    from neucodec.evaluation.summary import number

    tell(f"{'kbps':<14} {kbps:8.2f}  real bitrate of DEC")
    for metric in chosen:
        value = number(scores[metric.name], metric.digits) or "-"
        better = "higher is better" if metric.higher else "lower is better"
        tell(f"{metric.title:<14} {value:>8}  {metric.says}; {better}")


def _pair(
    reference: str, decoded: str, mono: bool, codecs: Codecs, console: Console
) -> tuple[Audio, Audio, int, int]:
    """Read both signals and bring them to one rate and length.

    Returns REF and DEC [n, channels], their rate in Hz, and the size of the file DEC in bytes.
    """
    from neucodec.evaluation.clips import measured_clip
    from neucodec.evaluation.metrics import resampled

    def decode(file: BinaryIO) -> tuple[Audio, int]:
        from neucodec.api import decode_opened
        from neucodec.damage import problems_of

        models = codecs.entropy_models(console)
        decoder, audio = decode_opened(file, lambda card: codecs.get(card, console), None, models)
        if problems := problems_of(decoder):
            name = getattr(file, "name", None)
            console.warn(name if isinstance(name, str) else decoded, "; ".join(problems))
        return audio, decoder.sample_rate

    first, rate, _ = measured_clip(reference, decode, mono=mono)
    second, other, size = measured_clip(decoded, decode, mono=mono, silent=True)
    if first.shape[1] != second.shape[1]:
        raise NeucodecError(
            f"{shown(reference)} has {first.shape[1]} channels, {shown(decoded)} "
            f"{second.shape[1]}: give files with as many, or --mono"
        )
    second = resampled(second, other, rate)
    if len(first) != len(second):
        text = f"{len(second)} samples against {len(first)}: the longer one's end is left out"
        console.warn(decoded, text)
    length = min(len(first), len(second))
    return first[:length], second[:length], rate, size
