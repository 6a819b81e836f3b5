"""Codes of a batch as tensors, and audio from fewer of them: `python examples/tokens.py`."""

from __future__ import annotations

import torch
from make_clip import RATE, clip

import neucodec


def main() -> None:
    model = neucodec.load_model("neu2-44khz")
    assert model.sample_rate == RATE
    batch = torch.from_numpy(clip(seconds=2).T[:, None])  # [2, 1, samples]: two mono signals
    tokens = model.encode(batch, codebooks=9)
    print(f"codes {list(tokens.codes.shape)}, {model.frame_rate:.2f} frames per second")
    for codebooks in (9, 4, 1):
        decoded = model.decode(tokens.first(codebooks))
        error = (decoded - batch).square().mean() / batch.square().mean()
        print(f"{codebooks} codebooks: {10 * error.log10():.1f} dB of error")


if __name__ == "__main__":
    main()
