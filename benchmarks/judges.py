"""Let judges that nothing here was trained for listen: neucodec and Opus at real bitrates.

    python benchmarks/judges.py CORPUS [--kbps 4,6,8,12,16] [--opus 12,16,24] [--clips 6]

CORPUS has a folder for each kind of sound, ``speech`` among them. So many clips of each, spread
over its files, eight seconds of each, mono, are encoded and decoded. Zimtohrli judges all of them,
PESQ (wideband), STOI and DistillMOS speech. Real kbps are those of whole files. Needs the packages
zimtohrli, distillmos, pesq and pystoi, and opusenc for Opus.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import neucodec

Audio = npt.NDArray[np.float32]
RATE = 44100
SECONDS = 8.0


@dataclass
class Clip:
    kind: str
    audio: Audio


def resampled(audio: Audio, rate: int, to: int) -> Audio:
    import soxr

    return np.asarray(soxr.resample(audio, rate, to), np.float32)


def clips(corpus: Path, count: int) -> list[Clip]:
    """Take so many clips of each kind, spread over its files."""
    import soundfile

    found = []
    for folder in sorted(path for path in corpus.iterdir() if path.is_dir()):
        files = [
            p for p in sorted(folder.rglob("*")) if p.suffix in (".wav", ".flac", ".ogg", ".mp3")
        ]
        files = [path for path in files if soundfile.info(path).duration >= 4]
        for path in files[:: max(1, len(files) // count)][:count]:
            audio, rate = soundfile.read(path, always_2d=True, dtype="float32")
            start = int(0.3 * len(audio)) if len(audio) > 1.5 * SECONDS * rate else 0
            mono = audio[start : start + int(SECONDS * rate)].mean(axis=1)
            found.append(Clip(folder.name, resampled(mono, rate, RATE)))
    return found


def by_neucodec(kbps: float, model: str) -> Callable[[Audio], tuple[Audio, int]]:
    def code(audio: Audio) -> tuple[Audio, int]:
        data = neucodec.encode(audio, RATE, bitrate=1000 * kbps, model=model)
        return neucodec.decode(data)[0][:, 0], len(data)

    return code


def by_opus(kbps: float) -> Callable[[Audio], tuple[Audio, int]]:
    import soundfile

    def code(audio: Audio) -> tuple[Audio, int]:
        with tempfile.TemporaryDirectory() as folder:
            wav, opus = Path(folder, "a.wav"), Path(folder, "a.opus")
            soundfile.write(wav, resampled(audio, RATE, 48000), 48000)
            command = ["opusenc", "--quiet", "--bitrate", f"{kbps:g}", str(wav), str(opus)]
            subprocess.run(command, check=True)
            decoded, rate = soundfile.read(opus, dtype="float32")
            return resampled(decoded, rate, RATE), opus.stat().st_size

    return code


class Judges:
    """Judges a decoded clip beside its original, both mono at `RATE`."""

    def __init__(self) -> None:
        import distillmos
        import torch

        torch.set_num_threads(1)
        with contextlib.redirect_stdout(io.StringIO()):
            self._mos = distillmos.ConvTransformerSQAModel()
        self._mos.eval()

    def __call__(self, original: Audio, decoded: Audio, speech: bool) -> list[float]:
        """Return Zimtohrli's, and of speech also PESQ's, STOI's and DistillMOS's opinion."""
        import torch
        import zimtohrli
        from pesq import pesq
        from pystoi import stoi

        wide = [resampled(each, RATE, 48000) for each in (original, decoded)]
        marks = [float(zimtohrli.mos_from_signals(*wide))]
        if speech:
            narrow = [np.clip(resampled(each, RATE, 16000), -1, 1) for each in (original, decoded)]
            with torch.no_grad():
                opinion = float(self._mos(torch.tensor(narrow[1][None])))
            marks += [pesq(16000, *narrow, "wb"), stoi(*narrow, 16000), opinion]
        return marks


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",") if part]


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--kbps", type=numbers, default="2,3,4,6,8,12,16,24")
    parser.add_argument("--opus", type=numbers, default="12,16,24")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--model", default="neu2-44khz")
    arguments = parser.parse_args()
    rows = [(f"{arguments.model} {k:g}", by_neucodec(k, arguments.model)) for k in arguments.kbps]
    rows += [(f"Opus {k:g}", by_opus(k)) for k in arguments.opus]
    judges, chosen = Judges(), clips(arguments.corpus, arguments.clips)
    kinds = sorted({clip.kind for clip in chosen}, key=lambda kind: (kind != "speech", kind))
    print(f"{len(chosen)} clips, {os.cpu_count()} processors")
    print(f"| | kbps: {', '.join(kinds)} | Zimtohrli | PESQ | STOI | DistillMOS |")
    print("|---|---|---|---|---|---|")
    for name, code in rows:
        marks: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
        rates: dict[str, list[float]] = {kind: [] for kind in kinds}
        for clip in chosen:
            decoded, size = code(clip.audio)
            decoded = np.pad(decoded, (0, max(0, len(clip.audio) - len(decoded))))
            kbps = size * 8 / 1000 / (len(clip.audio) / RATE)
            speech = clip.kind == "speech"
            rates[clip.kind].append(kbps)
            marks[clip.kind].append(judges(clip.audio, decoded[: len(clip.audio)], speech))
        means = {kind: np.mean(values, axis=0) for kind, values in marks.items()}
        columns = [
            name,
            ", ".join(f"{np.mean(rates[kind]):.2f}" for kind in kinds),
            ", ".join(f"{means[kind][0]:.2f}" for kind in kinds),
        ]
        if "speech" in means:
            pesq, stoi, opinion = means["speech"][1:]
            columns += [f"{pesq:.2f}", f"{stoi:.3f}", f"{opinion:.2f}"]
        print("| " + " | ".join(columns) + " |", flush=True)


if __name__ == "__main__":
    main()
