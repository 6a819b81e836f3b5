"""Chunked coding through .ncf against the peer's whole-file coding, with the same weights.

    .ci/install-peers
    python benchmarks/chunked.py dac-44khz --seconds 180
    python benchmarks/chunked.py encodec-24khz --seconds 180

The peer's package is built with random weights at full size, saved in its own format, loaded here
by the card, and both code the same signal: the peer in one piece, this project in chunks of about
a second. Prints the share of equal codes and the largest difference of the audio that comes of the
same codes, near the chunks' seams (20 ms) and elsewhere.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

# The tests know how to build the peers' models with weights under which signals live.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import test_dac
import test_encodec
from networks import signal
from published import codes_in, from_ncf, small, to_ncf
from published_configs import ENCODEC_24KHZ

from neucodec.models.codec import Codec

Peer = tuple[Codec, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], int]


def dac(name: str, folder: Path) -> Peer:
    config = test_dac.VARIANTS[name.removeprefix("dac-")]
    model = test_dac.theirs(config)
    codec = small(name, test_dac.saved(model, folder), config)
    return (
        codec,
        lambda audio: model.encode(model.preprocess(audio[:, None], None), config.codebooks)[1],
        lambda codes: model.decode(model.quantizer.from_codes(codes)[0])[:, 0],
        config.codebooks,
    )


def encodec(name: str, folder: Path) -> Peer:
    model = test_encodec.theirs(ENCODEC_24KHZ)
    codec = small(name, test_encodec.saved(model, folder), ENCODEC_24KHZ)
    return (
        codec,
        lambda audio: test_encodec.their_codes(model, audio[:, None], 8)[0][0],
        lambda codes: model.decode([(codes, None)])[:, 0],
        8,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["encodec-24khz", *(f"dac-{variant}" for variant in test_dac.VARIANTS)]
    parser.add_argument("name", choices=names)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--decode-seconds", type=float, help="compare audio of this much only")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        make = encodec if args.name.startswith("encodec") else dac
        codec, encode, decode, codebooks = make(args.name, Path(name))
    rate, stride = codec.card.sample_rate, codec.card.chunk_stride
    with torch.inference_mode():
        audio = signal(int(args.seconds * rate) + 777, rate)[0]
        began = time.perf_counter()
        theirs = encode(audio)
        between = time.perf_counter()
        data = to_ncf(codec, audio, codebooks=codebooks)
        ended = time.perf_counter()
        ours = torch.cat(codes_in(data), -1)
        print(f"{args.name}: {args.seconds:g} s, {ours.shape[-1]} frames of {codebooks} codes")
        print(f"encoded in {between - began:.0f} s in one piece, {ended - between:.0f} s in chunks")
        print(f"equal codes: {100 * (ours == theirs).float().mean():.4f} %")
        frames = ours.shape[-1]
        if args.decode_seconds:
            frames = min(frames, int(args.decode_seconds * rate / codec.card.hop))
            audio = audio[:, : frames * codec.card.hop]
            data = to_ncf(codec, audio, codebooks=codebooks)
            ours = torch.cat(codes_in(data), -1)
        expected, got = decode(ours), from_ncf(codec, data)
        length = min(expected.shape[-1], got.shape[-1])
        difference = (got[:, :length] - expected[:, :length]).abs()
        place = torch.arange(length) % stride
        seam = (place < rate // 50) | (place > stride - rate // 50)
        print(
            f"largest difference of {length / rate:.1f} s of audio: "
            f"{difference[:, seam].max():.1e} near seams, {difference[:, ~seam].max():.1e} "
            f"elsewhere, of a signal of RMS {expected.square().mean().sqrt():.2f}"
        )


if __name__ == "__main__":
    main()
