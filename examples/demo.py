"""Encode and decode one clip with the embedded codec and say what it did.

`make demo` runs this on a clip synthesised by make_clip.py, `make demo FILE=song.mp3` on yours.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile
from make_clip import RATE, clip

FOLDER = Path("demo")


def neucodec(*arguments: str | Path) -> float:
    """Run the command line as a user would; returns seconds."""
    command = ["neucodec", *map(str, arguments)]
    print("$", " ".join(command), flush=True)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], check=True)
    return time.perf_counter() - began


def log_spectral_distance(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Root mean square difference of log spectra in dB, over 46 ms frames of the mono mix."""

    def levels(audio: np.ndarray) -> np.ndarray:
        frames = np.lib.stride_tricks.sliding_window_view(audio.mean(axis=1), 2048)[::1024]
        power = np.abs(np.fft.rfft(frames * np.hanning(2048))) ** 2
        return 10 * np.log10(power + 1e-6)

    return float(np.sqrt(np.mean((levels(reference) - levels(decoded)) ** 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", help="audio that libsndfile reads")
    parser.add_argument("--bitrate", default="8kbps")
    args = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    source = args.file
    if source is None:
        source = FOLDER / "clip.wav"
        soundfile.write(source, clip(), RATE, subtype="PCM_16")
        print(f"{source}: 8 s of speech and music, synthesised by examples/make_clip.py")
    packed, back = FOLDER / f"{source.stem}.ncf", FOLDER / f"{source.stem}.decoded.wav"

    encoding = neucodec("encode", source, "-b", args.bitrate, "-o", packed, "-f")
    decoding = neucodec("decode", packed, "-o", back, "-f")
    neucodec("info", packed)

    reference, rate = soundfile.read(source, dtype="float32", always_2d=True)
    decoded, decoded_rate = soundfile.read(back, dtype="float32", always_2d=True)
    same = (decoded.shape, decoded_rate) == (reference.shape, rate)
    seconds, size = len(reference) / rate, packed.stat().st_size
    print(
        f"\n{seconds:.1f} s, {reference.shape[1]} channels at {rate} Hz: "
        f"{source.stat().st_size} bytes -> {size} bytes "
        f"({size * 8 / seconds / 1000:.2f} kbps, {reference.size * 2 / size:.1f}x smaller than "
        f"16-bit PCM)\n"
        f"encoded in {encoding:.1f} s and decoded in {decoding:.1f} s, start-up included\n"
        f"same length, rate and channels: {'yes' if same else 'NO'}; "
        f"log-spectral distance {log_spectral_distance(reference, decoded):.1f} dB\n"
        f"listen: {source} and {back}"
    )
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
