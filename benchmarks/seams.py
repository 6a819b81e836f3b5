"""Whether chunk seams can be heard: the error near them against the error elsewhere.

    python benchmarks/seams.py FOLDER --kbps 8

Error is the mean absolute difference of log10 mel magnitudes (80 bands, windows of 512 samples)
at every hop of 128 samples; "near" is within 20 ms of a seam. A codec whose seams cannot be
told has a ratio of 1. Clicks would show as single frames far above the rest: the largest error
near seams is compared with the largest elsewhere, file by file.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import soundfile
import soxr
import torch

import neucodec
from neucodec.models.card import find_card
from neucodec.training.losses import mel_filters, stft

RATE, SIZE, HOP = 44100, 512, 128
NEAR = 0.02


def errors(reference: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    """Error [frames] of mono signals."""
    filters, window = mel_filters(RATE, SIZE, 80).T, torch.hann_window(SIZE)
    logs = [
        (stft(torch.from_numpy(a)[None], window).abs() @ filters).clamp_min(1e-4).log10()[0]
        for a in (reference, decoded)
    ]
    return (logs[0] - logs[1]).abs().mean(-1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kbps", type=float, default=8.0)
    args = parser.parse_args()
    card = find_card("neu-44khz")
    stride, shared = card.chunk_stride, card.chunk_frames * card.hop - card.chunk_stride
    near, far = defaultdict(list), defaultdict(list)
    worst_near, files = defaultdict(int), defaultdict(int)
    for path in sorted(p for p in args.folder.rglob("*") if p.suffix in (".flac", ".ogg", ".wav")):
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        audio = audio.mean(axis=1)
        if rate != RATE:
            audio = soxr.resample(audio, rate, RATE, "VHQ")
        if len(audio) < 1.5 * stride:
            continue
        data = neucodec.encode(audio, RATE, bitrate=1000 * args.kbps)
        frame_errors = errors(audio, neucodec.decode(data)[0][:, 0])
        middles = np.arange(len(frame_errors)) * HOP + SIZE / 2
        # Chunks share samples: the seam is in the middle of those.
        shift = middles - shared / 2
        distance = np.abs((shift + stride / 2) % stride - stride / 2)
        inside = (middles > stride / 2) & (middles < len(audio) - stride / 4)
        at_seam = inside & (distance < NEAR * RATE)
        kind = path.relative_to(args.folder).parts[0]
        for name in (kind, "all"):
            near[name].append(frame_errors[at_seam])
            far[name].append(frame_errors[inside & ~at_seam])
            files[name] += 1
            worst_near[name] += bool(near[name][-1].max() > far[name][-1].max())
    print("| kind | files | near seams | elsewhere | ratio | worst frame near a seam | by chance |")
    print("|---|---|---|---|---|---|---|")
    for name in near:
        a, b = np.concatenate(near[name]), np.concatenate(far[name])
        chance = files[name] * len(a) / (len(a) + len(b))
        print(
            f"| {name} | {files[name]} | {a.mean():.4f} | {b.mean():.4f} "
            f"| {a.mean() / b.mean():.3f} | {worst_near[name]} files | {chance:.1f} files |"
        )


if __name__ == "__main__":
    main()
