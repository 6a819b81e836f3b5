"""How many modules of the package one chunk passes on its way in and out.

    python benchmarks/chunk_path.py            6 s of stereo at 44.1 kHz, the default model
    python benchmarks/chunk_path.py --list     their names, too

Counts the files in which a Python function is called between the moments at which the third and the
fourth chunk are handed to the writer, or come out of the decoder; in one thread, with everything
loaded. Fewer files make the way of a chunk easier to follow.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import neucodec
from neucodec.coding.chunks import OverlapAdder
from neucodec.coding.decoder import Decoder
from neucodec.coding.encoder import encode
from neucodec.coding.options import DecodeOptions, EncodeOptions
from neucodec.formats import NcfReader, NcfWriter
from neucodec.parallel import thread_counts

CHUNK = 3
"""The chunk that is followed: neither the first, which loads things, nor the last."""


class Noise:
    """A source that is no part of the package: noise in stereo."""

    sample_rate, channels, samples, channel_mask = 44100, 2, 6 * 44100, None
    tags: Mapping[str, str] = {}

    def blocks(self, blocksize: int = 65536) -> Iterator[npt.NDArray[np.float32]]:
        rng = np.random.default_rng(0)
        for start in range(0, self.samples, blocksize):
            count = min(blocksize, self.samples - start)
            yield rng.normal(0, 0.1, (count, self.channels)).astype(np.float32)


class Passage:
    """Notes the package's files in which functions are called while one chunk is worked on."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self._root = Path(str(neucodec.__file__)).resolve().parents[1]
        self._boundaries = 0

    def at_each(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method that counts chunks, and starts and stops taking notes."""

        def counted(*args: Any, **given: Any) -> Any:
            self._boundaries += 1
            if self._boundaries == CHUNK + 1:
                sys.setprofile(None)
            result = method(*args, **given)
            if self._boundaries == CHUNK:
                sys.setprofile(self._note)
            return result

        return counted

    def _note(self, frame: Any, event: str, argument: object) -> None:
        path = Path(frame.f_code.co_filename).resolve()
        if event == "call" and path.is_relative_to(self._root):
            name = path.relative_to(self._root)
            if name.parts[0] in ("neucodec", "formats", "models"):
                self.files.add(str(name))


def encoding(source: Noise, options: EncodeOptions) -> tuple[Passage, bytes]:
    """Follow a chunk from samples to bytes."""
    passage, target, append = Passage(), io.BytesIO(), NcfWriter.append
    NcfWriter.append = passage.at_each(append)  # type: ignore[method-assign]
    try:
        encode(source, target, neucodec.load_model().codec, options)
    finally:
        NcfWriter.append = append  # type: ignore[method-assign]
        sys.setprofile(None)
    return passage, target.getvalue()


def decoding(data: bytes) -> Passage:
    """Follow a chunk from bytes to samples."""
    passage, push = Passage(), OverlapAdder.push
    OverlapAdder.push = passage.at_each(push)  # type: ignore[method-assign]
    try:
        codec, reader = neucodec.load_model().codec, NcfReader(io.BytesIO(data))
        list(Decoder(reader, codec, DecodeOptions(threads=1)).blocks())
    finally:
        OverlapAdder.push = push  # type: ignore[method-assign]
        sys.setprofile(None)
    return passage


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="name the files")
    args = parser.parse_args()
    thread_counts.limit_threads(1)
    for entropy in ("lm", "none"):
        way_in, data = encoding(Noise(), EncodeOptions(threads=1, entropy=entropy))
        for verb, passage in (("encode", way_in), ("decode", decoding(data))):
            print(f"{verb}, entropy {entropy}: {len(passage.files)} files")
            if args.list:
                print("\n".join(f"    {name}" for name in sorted(passage.files)))


if __name__ == "__main__":
    main()
