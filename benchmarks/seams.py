"""Whether chunk seams can be heard: the error near them against the error elsewhere.

    python benchmarks/seams.py FOLDER --kbps 8

Error is the mean absolute difference of log10 mel magnitudes (80 bands, windows of 512 samples)
at every hop of 128 samples; "near" is within 20 ms of a seam. A codec whose seams cannot be
told has a ratio of 1, give or take what it would be at any other place: the same ratio is taken
at places between the seams, a sixteenth of a chunk apart, and their spread printed. Clicks would
show as single frames far above the rest: the largest error near seams is compared with the
largest elsewhere, file by file.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import soundfile
import soxr
import torch

import neucodec
from neucodec.coding.default_model import DEFAULT_MODEL
from neucodec.evaluation.clips import find_clips
from neucodec.models.catalogue.card import find_card
from neucodec.training.losses.spectral import mel_filters, stft

SIZE, HOP = 512, 128
NEAR = 0.02
PLACES = 16


def errors(reference: np.ndarray, decoded: np.ndarray, rate: int) -> np.ndarray:
    """Error [frames] of mono signals."""
    filters, window = mel_filters(rate, SIZE, 80).T, torch.hann_window(SIZE)
    logs = [
        (stft(torch.from_numpy(a)[None], window).abs() @ filters).clamp_min(1e-4).log10()[0]
        for a in (reference, decoded)
    ]
    return (logs[0] - logs[1]).abs().mean(-1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--kbps", type=float, default=8.0)
    parser.add_argument("-m", "--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    card = find_card(args.model)
    rate = card.sample_rate
    stride, shared = card.chunk_stride, card.chunk_frames * card.hop - card.chunk_stride
    # By kind and place within a chunk: errors near it and elsewhere, and where the worst one is.
    near, far = defaultdict(list), defaultdict(list)
    worst, files = defaultdict(int), defaultdict(int)
    for clip in find_clips(args.folder, ()):
        audio, theirs = soundfile.read(clip.path, dtype="float32", always_2d=True)
        audio = soxr.resample(audio.mean(axis=1), theirs, rate, "VHQ")
        if len(audio) < 1.7 * stride:
            continue
        data = neucodec.encode(audio, rate, model=args.model, bitrate=1000 * args.kbps)
        frame_errors = errors(audio, neucodec.decode(data)[0][:, 0], rate)
        # Chunks share samples: the seam is in the middle of those.
        middles = np.arange(len(frame_errors)) * HOP + SIZE / 2 - shared / 2
        inside = (middles > stride / 2) & (middles < len(audio) - stride / 4)
        kinds = (clip.kind, "all")
        for place in range(PLACES):
            phase = middles - place * stride / PLACES
            distance = np.abs((phase + stride / 2) % stride - stride / 2)
            here = inside & (distance < NEAR * rate)
            if not here.any():
                continue
            for kind in kinds:
                near[kind, place].append(frame_errors[here])
                far[kind, place].append(frame_errors[inside & ~here])
                worst[kind, place] += frame_errors[here].max() > far[kind, place][-1].max()
        for kind in kinds:
            files[kind] += 1
    print("| kind | files | ratio at seams | at other places | worst frame at seams | at others |")
    print("|---|---|---|---|---|---|")
    for kind, count in files.items():
        ratios = [
            np.concatenate(near[kind, place]).mean() / np.concatenate(far[kind, place]).mean()
            for place in range(PLACES)
        ]
        others = np.array(ratios[1:])
        elsewhere = [worst[kind, place] for place in range(1, PLACES)]
        print(
            f"| {kind} | {count} | {ratios[0]:.3f} | {others.mean():.3f} +- {others.std():.3f} "
            f"| {worst[kind, 0]} files "
            f"| {np.mean(elsewhere):.1f} +- {np.std(elsewhere):.1f} files |"
        )


if __name__ == "__main__":
    main()
