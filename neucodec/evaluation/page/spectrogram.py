"""Draw spectrograms as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neucodec.audio.samples import Audio
from neucodec.errors import NeucodecError
from neucodec.files.outfile import output_file

_WINDOW, _COLUMNS = 2048, 1200
_LOWEST_DB = -100.0


def plot_spectrograms(
    path: str,
    signals: Sequence[tuple[str, Audio]],
    sample_rate: int,
    *,
    force: bool = False,
    sources: Sequence[str] = (),
) -> None:
    """Draw signals [n, channels], each with its title, one below the other to a PNG file.

    Channels are mixed; levels are in dB of a sine at full scale. ``sources`` are the files that the
    signals are from, see `output_file`.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise NeucodecError(
            "--plot needs the package matplotlib: pip install 'neucodec-cli[evaluate]'"
        ) from None
    figure = Figure(figsize=(12, 4 * len(signals)), layout="constrained")
    axes = figure.subplots(len(signals), sharex=True, squeeze=False)[:, 0]
    for axis, (title, audio) in zip(axes, signals, strict=True):
        image = axis.imshow(
            spectrogram(audio.mean(axis=1)),
            origin="lower", aspect="auto", cmap="magma", vmin=_LOWEST_DB, vmax=0,
            extent=(0, len(audio) / sample_rate, 0, sample_rate / 2000),
        )  # fmt: skip
        axis.set(title=title.replace("$", r"\$"), ylabel="kHz")
    axes[-1].set_xlabel("s")
    figure.colorbar(image, ax=axes, label="dB")
    with output_file(path, overwrite=force, sources=sources) as file:
        figure.savefig(file, format="png", dpi=100)


def spectrogram(signal: Audio) -> Audio:
    """Return levels in dB [bins, columns] of a signal [n], evenly over its length."""
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    padded = np.pad(signal, _WINDOW // 2)
    starts = np.linspace(0, len(signal) - 1, min(_COLUMNS, len(signal))).astype(int)
    frames = padded[starts[:, None] + np.arange(_WINDOW)] * window
    levels = np.abs(np.fft.rfft(frames)) / (window.sum() / 2)
    decibels: Audio = (20 * np.log10(np.maximum(levels, 1e-6))).T.astype(np.float32)
    return decibels
