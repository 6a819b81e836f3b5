"""Two readers, one format: the decoder in C and the package find the same in damaged files.

    python benchmarks/fuzz_portable.py bytes --cases 1000000    the container, codes and layers
    python benchmarks/fuzz_portable.py decode --cases 20000     whole decodes, by the embedded codec
    python benchmarks/fuzz_portable.py bytes --only 1234567     one case again

A case is a function of its number, the same as that of `fuzz.py`. Of each file both say whether
they refuse it; else how many chunks it has, which of them are intact, which of those cannot be
unpacked, and what all codes and layers are. ``bytes`` compares that for a pipe, for one pass
through a file, and for chunks at random. ``decode`` compares what is lost and, within the bound of
docs/determinism.md, samples. ``--sanitize`` compiles with AddressSanitizer and
UndefinedBehaviorSanitizer.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import fuzz_mutations as mutations
import numpy as np
from fuzz import as_neu2, small_files
from fuzz_model import Lopsided, model_of

from neucodec.api import load_model
from neucodec.audio.samples import Audio
from neucodec.coding.decoder import Decoder
from neucodec.coding.options import DecodeOptions
from neucodec.coding.payloads import chunk_tones, chunk_waveform, codes_of
from neucodec.errors import NeucodecError
from neucodec.formats import (
    Chunk,
    ChunkWaveform,
    Header,
    NcfError,
    NcfReader,
    StreamLayer,
)
from neucodec.models import Codec, export_portable

FOLDER = Path(__file__).parents[1] / "portable"
LIBRARY = (
    "container.c", "reader.c", "entropy.c", "transformer.c", "layer.c", "waveform.c", "weights.c",
    "network.c", "fourier.c", "kernels.c", "decoder.c",
)  # fmt: skip
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
FAST = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
SANITIZED = (
    "-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)  # fmt: skip
PIPE, PASS, RANDOM, DECODE_PIPE, DECODE_FILE = range(5)
"""How a reader goes through a file."""
BOUND = 1e-4
"""Of a file's peak: how far samples may be apart, see docs/determinism.md."""
MOST_SAMPLES = 2**21
"""Samples of a file that are compared, over all channels."""


def compiled(program: str, folder: Path, flags: Sequence[str] = FAST, compiler: str = "") -> Path:
    """Compile ``program``.c of the portable decoder into a folder, and return the program.

    Raises RuntimeError where there is no C compiler; subprocess.CalledProcessError where it fails.
    """
    found = shutil.which(compiler or os.environ.get("CC", "cc"))
    if not found:
        raise RuntimeError("no C compiler is here")
    out = folder / program
    sources = [str(FOLDER / name) for name in (*LIBRARY, f"{program}.c")]
    subprocess.run([found, *FLAGS, *flags, *sources, "-o", str(out), "-lm"], check=True)
    return out


class Portable:
    """The program ``dump``, which reads one file after the other."""

    def __init__(self, program: Path, *arguments: str) -> None:
        command = [str(program), *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, how: int, data: bytes, widths: Sequence[int] = ()) -> str:
        """Return the line about a file; ``widths`` stand in for its entropy model's frequencies."""
        assert self._process.stdin and self._process.stdout
        rows = struct.pack(f"<I{len(widths)}I", len(widths), *widths)
        self._process.stdin.write(struct.pack("<BI", how, len(data)) + data + rows)
        self._process.stdin.flush()
        return self._process.stdout.readline().decode().strip()

    def decode(self, how: int, data: bytes, most: int) -> tuple[list[int], Audio] | None:
        """Return the indices of lost chunks, and samples [n, channels], ``most`` of them at most.

        None where the file is refused.
        """
        line = self.ask(how, data, [most])
        if line == "refused":
            return None
        if not line:
            raise BrokenPipeError
        status, count, channels, *lost = map(int, line.split())
        if status:
            raise RuntimeError(f"decoding failed with status {status}")
        assert self._process.stdout
        held = self._process.stdout.read(4 * count * channels)
        return lost, np.frombuffer(held, "<f4").reshape(count, channels)

    def close(self) -> None:
        """End the program."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


class Pipe:
    """A file that cannot seek, and gives few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, 61))


def expected(how: int, data: bytes, header: Header | None, real: bool = False) -> str:
    """Return what the package says of a file, in the words of ``dump``.

    ``header`` is the file's, None where it is refused. ``real`` takes the entropy model that the
    file names, else its stand-in is taken.
    """
    if header is None:
        return "refused"
    reader = NcfReader(Pipe(data) if how == PIPE else io.BytesIO(data))
    if how == RANDOM:
        reader.locate()
        every = (reader.read_chunk(index) for index in range(reader.chunk_count or 0))
        chunks = [chunk for chunk in every if chunk]
    else:
        chunks = list(reader)
    lost, codes, layers = _unpacked(chunks, header, real)
    count = -1 if reader.chunk_count is None else reader.chunk_count
    samples = -1 if reader.frames is None else reader.frames
    return (
        f"{count} {samples} {reader.complete:d} {bool(reader.follows()):d} {len(chunks)} "
        f"{_sum([chunk.index for chunk in chunks]):08x} {_sum(lost):08x} {codes:08x} {layers:08x}"
    )


def _unpacked(chunks: list[Chunk], header: Header, real: bool) -> tuple[list[int], int, int]:
    """Return which chunks cannot be unpacked, and sums over the codes and layers of the others."""
    lost, codes_sum, layers_sum = [], 0, 0
    try:
        if real:
            from neucodec.coding.entropy_models import SHARED

            model = SHARED.of(header)
        else:
            model = model_of(header)
        found = codes_of(chunks, header, model)
    except NeucodecError:
        found = iter([None if chunk.codebooks else np.zeros((0, 0, 0)) for chunk in chunks])
    for chunk, codes in zip(chunks, found, strict=True):
        try:
            tones, waveform = chunk_tones(chunk, header), chunk_waveform(chunk, header)
        except NcfError:
            codes = None
        if codes is None:
            lost.append(chunk.index)
            continue
        codes_sum = zlib.crc32(codes.astype("<u2").tobytes(), codes_sum)
        for stream in tones:
            layers_sum = _sum(_layer_numbers(stream), layers_sum)
        if waveform:
            layers_sum = _sum(_waveform_numbers(waveform), layers_sum)
    return lost, codes_sum, layers_sum


def _layer_numbers(stream: StreamLayer | None) -> list[int]:
    if stream is None:
        return [0]
    flat = stream.coefficients.reshape(-1)
    places = np.nonzero(flat)[0]
    pairs = np.stack([places, flat[places]], axis=1).reshape(-1)
    return [1, stream.size, stream.step, *pairs.tolist()]


def _waveform_numbers(layer: ChunkWaveform) -> list[int]:
    numbers = [int(layer.last)]
    for stream in layer.streams:
        numbers.append(int(stream is not None))
        if stream is not None:
            numbers += [stream.gain, stream.top, stream.fill_low, stream.fill_high]
            numbers += [stream.prediction, stream.above, *stream.split.tolist()]
            numbers += stream.values.reshape(-1).tolist()
    return numbers


def _sum(values: Sequence[int], crc: int = 0) -> int:
    return zlib.crc32(np.array(values, "<i8").tobytes(), crc)


def header_of(data: bytes) -> Header | None:
    """Return a file's header; None where the package refuses it."""
    try:
        return NcfReader(io.BytesIO(data)).header
    except NcfError:
        return None


def widths_of(header: Header | None) -> list[int]:
    """Return the frequencies that stand in for a file's entropy model; none where it has none."""
    try:
        model = model_of(header) if header else None
    except NeucodecError:
        return []
    return model._widths.tolist() if isinstance(model, Lopsided) else []


def differences(portable: Portable, data: bytes) -> list[str]:
    """Say in which ways the readers differ about a file."""
    header = header_of(data)
    widths, found = widths_of(header), []
    for how, name in ((PIPE, "pipe"), (PASS, "pass"), (RANDOM, "random")):
        want, got = expected(how, data, header), portable.ask(how, data, widths)
        if want != got:
            found.append(f"{name}: package {want}, portable {got or 'has ended'}")
    return found


def decoded(
    how: int, data: bytes, codec: Codec, most: int, start: float | None = None
) -> tuple[list[int], Audio] | None:
    """Decode a file by the package as `Portable.decode` does, at the codec's rate."""
    file = io.BytesIO(data) if how == DECODE_FILE else Pipe(data)
    rate = codec.card.sample_rate
    options = DecodeOptions(rate=rate, start=start, end=(start or 0) + most / rate, threads=1)
    try:
        decoder = Decoder(NcfReader(file), codec, options)
        blocks = list(decoder.blocks())
    except (NcfError, NeucodecError):
        return None
    empty = np.zeros((0, decoder.channels), np.float32)
    return decoder.lost_chunks, np.concatenate([empty, *blocks])


def decode_differences(portable: Portable, data: bytes, codec: Codec) -> list[str]:
    """Say in which ways decoded samples differ."""
    header, found = header_of(data), []
    most = MOST_SAMPLES // (header.channels if header else 1)
    for how, name in ((DECODE_PIPE, "pipe"), (DECODE_FILE, "file")):
        want, got = decoded(how, data, codec, most), portable.decode(how, data, most)
        if want is None or got is None:
            if want is not got:
                found.append(f"{name}: {'portable' if want else 'package'} alone refuses it")
            continue
        if want[0] != got[0]:
            found.append(f"{name}: package loses {want[0][:9]}, portable {got[0][:9]}")
        if want[1].shape != got[1].shape:
            found.append(f"{name}: package gives {want[1].shape}, portable {got[1].shape}")
        elif want[1].size:
            peak = float(np.abs(want[1]).max())
            apart = float(np.abs(want[1] - got[1]).max())
            if not apart <= BOUND * peak:
                found.append(f"{name}: samples of up to {peak:g} are {apart:g} apart")
    return found


class ByteCases:
    """Small files of all kinds, damaged."""

    def __init__(self) -> None:
        self._files = [mutations.Parts.of(data) for data in small_files()]

    def __call__(self, number: int) -> bytes:
        rng = random.Random(number)
        return mutations.greedy(rng) if number % 4 == 1 else mutations.ncf(self._files, rng)


class DecodeCases:
    """Files of the embedded codec, damaged."""

    def __init__(self) -> None:
        from neucodec.api import ArraySource
        from neucodec.coding.encoder import encode
        from neucodec.coding.options import EncodeOptions

        codec, noise, self._files = load_model().codec, np.random.default_rng(0), []
        for seconds, channels, rate, chosen in (
            (0.05, 1, 44100, EncodeOptions(codebooks=2, entropy="none")),
            (1.05, 2, 44100, EncodeOptions(codebooks=2, entropy="adaptive")),
            (2.1, 1, 48000, EncodeOptions(codebooks=2, entropy="none")),
            (0.05, 1, 44100, EncodeOptions(codebooks=2)),
            (0.1, 2, 44100, EncodeOptions(bitrate=3000)),
        ):
            target = io.BytesIO()
            audio = noise.normal(0, 0.1, (round(seconds * rate), channels))
            encode(ArraySource(audio, rate), target, codec, chosen)
            self._files.append(mutations.Parts.of(target.getvalue()))

    def __call__(self, number: int) -> bytes:
        rng = random.Random(number)
        if number % 3 == 1:
            return mutations.greedy(rng, as_neu2(rng))
        return mutations.ncf(self._files, rng)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=("bytes", "decode"))
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--sanitize", action="store_true")
    parser.add_argument("--compiler", default="")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    args = parser.parse_args()
    numbers = range(args.first, args.first + args.cases)
    if args.only is not None:
        numbers = range(args.only, args.only + 1)
    with tempfile.TemporaryDirectory() as folder:
        flags = SANITIZED if args.sanitize else FAST
        return run(args, numbers, compiled("dump", Path(folder), flags, args.compiler))


def run(args: argparse.Namespace, numbers: range, program: Path) -> int:
    cases = ByteCases() if args.target == "bytes" else DecodeCases()
    outcomes, began, said = Counter[str](), time.monotonic(), time.monotonic()
    codec, arguments = None, []
    if args.target == "decode":
        codec, weights = load_model().codec, program.with_name("weights.ncfw")
        weights.write_bytes(export_portable(codec.card)[1])
        arguments = [str(weights)]
    portable = Portable(program, *arguments)
    for number in numbers:
        data = cases(number)
        try:
            if codec is None:
                found = differences(portable, data)
            else:
                found = decode_differences(portable, data, codec)
        except BrokenPipeError:
            found = ["the portable decoder has ended"]
        outcomes["differ" if found else "alike"] += 1
        if found:
            args.keep.mkdir(exist_ok=True)
            (args.keep / f"{args.target}-{number}.ncf").write_bytes(data)
            print(f"{number}: {'; '.join(found)}", flush=True)
            if any("ended" in line for line in found):
                portable = Portable(program, *arguments)
        if time.monotonic() - said > 60:
            said = time.monotonic()
            print(f"{number}: {dict(outcomes)}", flush=True)
    print(f"{args.target}: {dict(outcomes)} in {time.monotonic() - began:.0f} s")
    return int(outcomes["differ"] > 0)


if __name__ == "__main__":
    sys.exit(main())
