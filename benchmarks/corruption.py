"""Damage good files at random, decode them, and check what must hold.

    python benchmarks/corruption.py --cases 2000

Each case cuts a file off or flips bits in it. Decoding must end without any error but the one
line for an unreadable header, must not take more memory than twice that of a good file, and
must give every chunk that was not touched sample for sample.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import sys
import time
from collections import Counter

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import neucodec
from neucodec.coding.chunks import Geometry
from neucodec.coding.decoder import Decoder
from neucodec.coding.default_model import DEFAULT_MODEL
from neucodec.coding.file_codec import card_for
from neucodec.coding.options import DecodeOptions
from neucodec.errors import NeucodecError
from neucodec.formats import NcfError, NcfReader
from neucodec.models.catalogue.card import find_card

GEOMETRY = Geometry.of(find_card(DEFAULT_MODEL))


class Pipe(io.RawIOBase):
    """A file that cannot be sought, as standard input is."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(size)


def sound(seconds: float, channels: int, rng: np.random.Generator) -> np.ndarray:
    time_ = np.arange(int(seconds * 44100)) / 44100
    tracks = [
        np.sin(2 * np.pi * rng.uniform(80, 2000) * time_) + 0.1 * rng.standard_normal(len(time_))
        for _ in range(channels)
    ]
    audio = 0.2 * np.stack(tracks, axis=1)
    audio[2 * 44100 : 4 * 44100] = 0  # some silent chunks
    return audio.astype(np.float32)


def damage(data: bytes, rng: np.random.Generator) -> tuple[bytes, list[tuple[int, int]], str]:
    """A damaged copy, the byte ranges touched, and how."""
    if rng.random() < 0.4:
        keep = int(rng.integers(0, len(data)))
        return data[:keep], [(keep, len(data))], "cut off"
    out = bytearray(data)
    flips = int(rng.choice([1, 1, 1, 2, 8, 64]))
    places = sorted({int(p) for p in rng.integers(0, len(data), flips)})
    for place in places:
        out[place] ^= 1 << int(rng.integers(8))
    return bytes(out), [(p, p + 1) for p in places], "bits flipped"


def decode(data: bytes, piped: bool) -> np.ndarray:
    reader = NcfReader(Pipe(data) if piped else io.BytesIO(data))
    card_for(reader.header)
    decoder = Decoder(reader, neucodec.load_model().codec, DecodeOptions(threads=1))
    blocks = list(decoder.blocks())
    return np.concatenate([np.zeros((0, decoder.channels), np.float32), *blocks])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    good = []
    for channels in (1, 2):
        data = neucodec.encode(sound(6.5, channels, rng), 44100, codebooks=9)
        table = NcfReader(io.BytesIO(data)).table()
        good.append((data, table, decode(data, piped=False)))
    normal = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results: Counter[str] = Counter()
    slowest, began = 0.0, time.perf_counter()
    for case in range(args.cases):
        data, table, whole = good[case % len(good)]
        broken, touched, how = damage(data, rng)
        start = time.perf_counter()
        try:
            audio = decode(broken, piped=bool(rng.random() < 0.5))
        except (NcfError, NeucodecError) as error:
            if "\n" in str(error):
                raise SystemExit(f"case {case}: more than one line: {error}") from None
            results[f"{how}: refused in one line"] += 1
            first = table[0].offset
            if not any(a < first for a, _ in touched):
                raise SystemExit(f"case {case}: refused though its header is whole") from None
            continue
        finally:
            slowest = max(slowest, time.perf_counter() - start)
        kept = 0
        for entry in table:
            if any(a < entry.offset + entry.length and entry.offset < b for a, b in touched):
                continue
            start = entry.index * GEOMETRY.stride
            span = slice(start + GEOMETRY.overlap, start + GEOMETRY.stride - GEOMETRY.overlap)
            expected = whole[span]
            if not np.array_equal(audio[span], expected):
                raise SystemExit(f"case {case}: chunk {entry.index} was not touched but differs")
            kept += 1
        results[
            f"{how}: decoded, {'all' if kept == len(table) else 'other'} chunks as they were"
        ] += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scale = 1024 if sys.platform != "darwin" else 1024**2
    print(f"{args.cases} cases in {time.perf_counter() - began:.0f} s, the slowest {slowest:.2f} s")
    for name, count in sorted(results.items()):
        print(f"{count:6d}  {name}")
    print(f"peak memory {normal / scale:.0f} MB before, {peak / scale:.0f} MB after")
    if peak > 2 * normal:
        raise SystemExit("memory more than doubled")


if __name__ == "__main__":
    main()
