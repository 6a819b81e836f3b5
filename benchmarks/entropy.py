"""What entropy coding saves, and how fast it is beside the peer's.

    python benchmarks/entropy.py bits ../shared/corpus/valid
    python benchmarks/entropy.py peer                          # needs the package encodec

``bits``: bit/s of the payloads of all whole chunks of a folder's files, mixed to mono, coded by
the embedded codec: raw, by the entropy of the codes' own histograms (each codebook's, over the
whole folder: more than a zeroth-order coder could reach), by entropy coder adaptive and by lm.
``peer``: EnCodec's language model at 24 kHz with random weights, over the same codes, in the
package's way (a step at a time, floating point, its arithmetic coder) and in ours.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from neucodec import load_model
from neucodec.coding.entropy import Adaptive, EntropyModel, Learned
from neucodec.coding.payloads import encode_payload
from neucodec.formats import RangeDecoder, encode_intervals
from neucodec.models.lm.load import fetch_entropy_model, load_entropy_model
from neucodec.training.entropy_model.shards import held_out

Codes = npt.NDArray[np.int64]


def histogram_bits(codes: Codes, size: int) -> float:
    """Bits per chunk at the entropy of each codebook's histogram over all chunks [N, K, F]."""
    total = 0.0
    for book in codes.transpose(1, 0, 2):
        counts = np.bincount(book.ravel(), minlength=size)
        shares = counts[counts > 0] / book.size
        total -= float((shares * np.log2(shares)).sum()) * codes.shape[2]
    return total


def payload_bits(codes: Codes, bits: int, model: EntropyModel) -> float:
    """Mean bits of the chunks' payloads, whole bytes."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        payloads = pool.map(lambda chunk: encode_payload(chunk[None], bits, model)[0], codes)
        return 8 * float(np.mean([len(payload) for payload in payloads]))


def coded(codes: Codes, model: EntropyModel) -> bytes:
    """The payload of codes [S, K, F], whatever its length."""
    left, width = (part.transpose(2, 1, 0).reshape(-1) for part in model.intervals(codes))
    return encode_intervals(left, width)


def bits(folder: Path, counts: list[int]) -> None:
    codec = load_model().codec
    card = codec.card
    learned = load_entropy_model(card, fetch_entropy_model(card))
    assert learned is not None
    codes = held_out(codec, folder, max_per_file=10**9).astype(np.int64)
    per_second = card.sample_rate / card.chunk_stride
    print(f"{len(codes)} chunks; bit/s, and what is saved of the raw bits")
    print("| codebooks | raw | histograms | adaptive | lm |")
    print("|---|---|---|---|---|")
    for count in counts:
        part = codes[:, :count]
        raw = count * card.code_bits * card.chunk_frames
        cells = [f"{raw * per_second:.0f}"]
        for cost in (
            histogram_bits(part, card.codebook_size),
            payload_bits(part, card.code_bits, Adaptive(card.codebook_size)),
            payload_bits(part, card.code_bits, Learned(learned)),
        ):
            cells.append(f"{cost * per_second:.0f} ({100 * (1 - cost / raw):.1f} %)")
        print(f"| {count} | {' | '.join(cells)} |", flush=True)


def peer(chunks: int, books: int) -> None:
    from encodec.model import LMModel
    from encodec.quantization.ac import (
        ArithmeticCoder,
        ArithmeticDecoder,
        build_stable_quantized_cdf,
    )

    from neucodec.models.lm import encodec_lm as ours_lm

    torch.manual_seed(0)
    theirs = LMModel(n_q=32, card=1024, dim=200, num_heads=8, num_layers=5).eval()
    frames = 75
    ours = ours_lm.EncodecLm("random", ours_lm.quantise(theirs.state_dict()), frames)
    codes = torch.randint(0, 1024, (chunks, books, frames))

    @torch.inference_mode()
    def their_pass(chunk: torch.Tensor, data: bytes | None) -> bytes:
        """One chunk the package's way: encoding, or decoding where there is data."""
        out = io.BytesIO() if data is None else io.BytesIO(data)
        coder = ArithmeticCoder(out) if data is None else ArithmeticDecoder(out)
        states, offset = None, 0
        given = torch.zeros(1, books, 1, dtype=torch.long)
        for t in range(frames):
            probabilities, states, offset = theirs(given, states, offset)
            row = []
            for k in range(books):
                cdf = build_stable_quantized_cdf(probabilities[0, :, k, 0], coder.total_range_bits)
                if isinstance(coder, ArithmeticDecoder):
                    row.append(coder.pull(cdf))
                else:
                    row.append(int(chunk[k, t]))
                    coder.push(row[-1], cdf)
            given = 1 + torch.tensor(row)[None, :, None]
        if isinstance(coder, ArithmeticCoder):
            coder.flush()
        return out.getvalue()

    def our_decoding(payloads: list[bytes]) -> Codes:
        decoder, stepper = RangeDecoder(payloads), ours.stepper([books] * len(payloads))
        found = np.zeros((len(payloads), books, frames), np.int64)
        for t in range(frames):
            for k in range(books):
                found[:, k, t] = decoder.decode(stepper.row().numpy())
                stepper.push(torch.from_numpy(found[:, k, t].copy()))
        return found

    began = time.perf_counter()
    data = [their_pass(chunk, None) for chunk in codes[:2]]
    between = time.perf_counter()
    for chunk in data:
        their_pass(codes[0], chunk)
    their_times = [(between - began) / 2, (time.perf_counter() - between) / 2]
    model = Learned(ours)
    began = time.perf_counter()
    # Not as in a file, where codes that come out longer than they are, as these do, stay raw.
    payloads = [coded(chunk[None].numpy(), model) for chunk in codes]
    between = time.perf_counter()
    assert np.array_equal(our_decoding(payloads), codes.numpy())
    our_times = [(between - began) / chunks, (time.perf_counter() - between) / chunks]
    print(f"EnCodec 24 kHz, {books} codebooks, one second, {torch.get_num_threads()} threads")
    for name, theirs_took, ours_took in zip(
        ("encode", "decode"), their_times, our_times, strict=True
    ):
        print(
            f"{name}: encodec {theirs_took:.3f} s, ours {ours_took:.4f} s ({chunks} chunks), "
            f"{theirs_took / ours_took:.1f} x"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    saving = verbs.add_parser("bits")
    saving.add_argument("folder", type=Path)
    saving.add_argument("--codebooks", type=int, nargs="+", default=[2, 5, 9, 14])
    side = verbs.add_parser("peer")
    side.add_argument("--chunks", type=int, default=64)
    side.add_argument("--codebooks", type=int, default=8)
    args = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} processors, torch {torch.__version__}")
    if args.verb == "bits":
        bits(args.folder, args.codebooks)
    else:
        peer(args.chunks, args.codebooks)


if __name__ == "__main__":
    sys.exit(main())
