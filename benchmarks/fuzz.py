"""Hostile and damaged files by the million: readers may refuse them, but must not fail otherwise.

    python benchmarks/fuzz.py bytes --cases 1000000      the container, without the network
    python benchmarks/fuzz.py decode --cases 10000       to audio, by the embedded codec
    python benchmarks/fuzz.py peers --cases 1000000      .ecdc and .dac
    python benchmarks/fuzz.py cards --cases 1000000      model cards
    python benchmarks/fuzz.py bytes --only 1234567       one case again

A case is a function of its number. It fails where anything but the reader's own error is raised,
where what comes out contradicts what the format promises, or where it takes more than its budget:
of inputs below 10 kB two seconds of a processor and 500 MB, and of decoding twice as long more as
an ordinary second takes here for each second and channel that was decoded (docs/RELIABILITY.md).
Failures are counted and their inputs kept.
"""

from __future__ import annotations

import io
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import fuzz_mutations as mutations
import numpy as np
from fuzz_arguments import keep, read_arguments
from fuzz_model import model_of

from neucodec.coding.entropy_models import SHARED
from neucodec.coding.integrity import check_ncf
from neucodec.coding.payloads import chunk_codes, codes_of, encode_payload, undecodable
from neucodec.errors import NeucodecError
from neucodec.formats import (
    Chunk,
    ChunkWaveform,
    EntropyCoder,
    Header,
    LayerKind,
    NcfError,
    NcfReader,
    NcfWriter,
    ScaleKind,
    StreamLayer,
    StreamWaveform,
    decode_layer,
    decode_waveform,
    encode_layer,
    encode_waveform,
    transform_length,
    transforms,
    waveform_grid,
)
from neucodec.models.errors import ModelError

if TYPE_CHECKING:
    from neucodec.models.codec import Codec

SMALL = 10_000
"""Bytes of an input for which the budget holds; larger ones get five times as much."""
SLOW_SECONDS = 2.0
MEMORY = 500_000_000
"""Bytes beyond what the program itself takes."""


@dataclass
class Allowance:
    """What decoding may take of a processor beyond `SLOW_SECONDS`: twice what it ordinarily does
    on this machine. `decode_cases` measures that."""

    per_channel: float = 0.0
    """Seconds that a second of one channel ordinarily takes, codes being there."""
    per_squeezed: float = 0.0
    """Seconds that the entropy model ordinarily takes for a second, its channels in step."""
    decoded: float = 0.0
    """Seconds of all channels that the network has given in the present case."""
    given: float = 0.0
    """Seconds of all channels that have come out, silence among them."""
    squeezed: float = 0.0
    """Seconds that came from a file under an entropy model."""

    def start(self) -> None:
        """Begin a case."""
        self.decoded = self.given = self.squeezed = 0.0

    @property
    def seconds(self) -> float:
        """What the present case may take, all in all."""
        audio = max(self.decoded, self.given) * self.per_channel
        return SLOW_SECONDS + 2 * (audio + self.squeezed * self.per_squeezed)


ALLOWANCE = Allowance()
Case = Callable[[int], tuple[bytes, Callable[[], str]]]
"""From a number to an input, and what is to be done with it; that says how it went."""


def small_files() -> list[bytes]:
    """Files of a few hundred bytes, between them with all that the format has."""
    mono = {
        "codec": "neu2-44khz", "fingerprint": bytes(range(8)), "sample_rate": 44100,
        "source_rate": 44100, "channels": 1, "streams": 1, "codebooks": 2, "codebook_size": 1024,
        "hop": 512, "chunk_frames": 4, "chunk_stride": 2048, "scale_kind": ScaleKind.LOG,
    }  # fmt: skip
    kinds = [
        mono,
        mono | {"channels": 2, "streams": 2, "tags": {"TITLE": "a", "X": "é"}, "gain_db": -3.5},
        mono | {"scale_kind": ScaleKind.FLOAT, "source_rate": 48000, "overlap": 100},
        mono | {"scale_kind": ScaleKind.NONE, "codebook_size": 1000, "encoder": "fuzz"},
        mono | {"channels": 9, "streams": 9, "codebook_size": 65536, "nominal_bitrate": 8000},
        mono | {"entropy": EntropyCoder.ADAPTIVE, "frames": 12345},
        mono | {
            "entropy": EntropyCoder.ADAPTIVE, "channels": 2, "streams": 2, "chunk_frames": 12,
            "chunk_stride": 6144,
        },
        mono | {
            "entropy": EntropyCoder.LM, "entropy_model": "lm", "entropy_fingerprint": bytes(8),
            "codebooks": 47, "chunk_frames": 86, "chunk_stride": 44032,
        },
        mono | {
            "entropy": EntropyCoder.LM, "entropy_model": "lm", "entropy_fingerprint": bytes(8),
            "channels": 2, "streams": 2, "average_bitrate": 8000,
        },
        mono | {"layer": LayerKind.MDCT, "codebooks": 9},
        mono | {
            "layer": LayerKind.MDCT, "channels": 2, "streams": 2, "codebooks": 9,
            "sample_rate": 8000, "chunk_frames": 12, "chunk_stride": 6000, "overlap": 144,
            "entropy": EntropyCoder.ADAPTIVE,
        },
        mono | {"layer": LayerKind.WAVEFORM, "channels": 3, "streams": 3},
        mono | {
            "layer": LayerKind.WAVEFORM, "channels": 2, "streams": 2, "sample_rate": 8000,
            "chunk_frames": 12, "chunk_stride": 6000, "overlap": 144,
        },
    ]  # fmt: skip
    return [_small_file(Header(**kind), count) for kind in kinds for count in (0, 1, 6)]


def _small_file(header: Header, count: int) -> bytes:
    rng, file = np.random.default_rng(count), io.BytesIO()
    writer = NcfWriter(file, header)
    for index in range(count):
        frames = header.chunk_frames - (index == 5)
        layer = b"" if index == 1 else _layer(header, frames, rng)
        if index == 3:
            mid_side = bool(layer) and header.streams == 2
            writer.write(
                Chunk(index=index, codebooks=0, frames=frames, mid_side=mid_side, layer=layer)
            )
            continue
        # Alike from frame to frame, so that there is something to squeeze; one has nothing.
        likely = 8 if header.entropy == EntropyCoder.LM and index != 2 else header.codebook_size
        shape = (header.streams, 1 + index % 2, frames if index == 2 else 1)
        codes = np.broadcast_to(rng.integers(0, likely, shape), (*shape[:2], frames))
        payload, raw = encode_payload(codes, header.code_bits, model_of(header))
        level: float = {ScaleKind.LOG: 140, ScaleKind.FLOAT: 0.5, ScaleKind.NONE: 0}[
            header.scale_kind
        ]
        writer.write(
            Chunk(
                index=index,
                codebooks=1 + index % 2,
                frames=frames,
                scales=(level,) * (header.streams * (header.scale_kind != ScaleKind.NONE)),
                payload=payload,
                raw=raw,
                layer=layer,
            )
        )
    samples = count * header.chunk_stride - (count == 6) * header.hop
    writer.close(samples * header.source_rate // header.sample_rate)
    return file.getvalue()


def _layer(header: Header, frames: int, rng: np.random.Generator) -> bytes:
    """A layer with a few coefficients, in a file that may have some; short enough for it."""
    if header.layer == LayerKind.NONE:
        return b""
    if header.layer == LayerKind.WAVEFORM:
        return _waveform(header, frames, rng)
    streams: list[StreamLayer | None] = []
    for stream in range(header.streams):
        size = int(rng.integers(3))
        length = transform_length(header, size)
        coefficients = np.zeros((transforms(header, size, frames), length), np.int32)
        # One in a stream, in neighbouring transforms; and as large as can be in another.
        coefficients[: 1 + 2 * (stream == 0), rng.integers(length)] = (3, -65535)[stream % 2]
        streams.append(StreamLayer(size, int(rng.integers(1, 256)), coefficients))
    return encode_layer(header, frames, streams)


def _waveform(header: Header, frames: int, rng: np.random.Generator) -> bytes:
    """A waveform layer with all kinds of integers, of all streams but the second."""
    grid, last = waveform_grid(header), frames != header.chunk_frames
    count = grid.count(frames * header.hop, last=last)
    streams: list[StreamWaveform | None] = []
    for stream in range(header.streams):
        top = int(rng.integers(1, 1 + min(4, grid.fine)))
        values = rng.laplace(scale=2, size=(count, 16 * top)).round().astype(np.int32)
        split = rng.integers(0, 2, count).astype(np.uint8)
        made = StreamWaveform(int(rng.integers(1024)), top, split, values)
        streams.append(None if stream == 1 else made)
    return encode_waveform(header, frames, ChunkWaveform(last, streams))


def _check_layer(header: Header, chunk: Chunk) -> None:
    """Whatever a layer is, it is refused, or just what encoding gives."""
    if not chunk.layer:
        return
    try:
        if header.layer == LayerKind.WAVEFORM:
            layer = decode_waveform(header, chunk.frames, chunk.layer)
            assert encode_waveform(header, chunk.frames, layer) == chunk.layer, "two layers"
            return
        streams = decode_layer(header, chunk.frames, chunk.layer)
    except NcfError:
        return
    assert encode_layer(header, chunk.frames, streams) == chunk.layer, "two layers of one sound"


def bytes_cases() -> Case:
    """Headers, chunks, tables and codes, from files and from pipes."""
    files = [mutations.Parts.of(data) for data in small_files()]

    class Pipe:
        def __init__(self, data: bytes) -> None:
            self._file = io.BytesIO(data)

        def read(self, size: int) -> bytes:
            return self._file.read(min(size, 61))

    def case(number: int) -> tuple[bytes, Callable[[], str]]:
        rng = random.Random(number)
        data = mutations.greedy(rng) if number % 4 == 1 else mutations.ncf(files, rng)

        def run() -> str:
            try:
                reader = NcfReader(io.BytesIO(data) if number % 3 else Pipe(data))
            except NcfError:
                return "refused"
            check_ncf(NcfReader(io.BytesIO(data)))
            chunks = list(reader)
            indices = [chunk.index for chunk in chunks]
            assert indices == sorted(set(indices)), "chunks out of order"
            assert not set(indices) & set(reader.damaged), "a chunk both intact and damaged"
            assert len(indices) + len(reader.damaged) == (reader.chunk_count or 0), "count"
            try:
                model = model_of(reader.header)
            except NeucodecError:
                return "without its entropy model"
            found = codes_of(chunks, reader.header, model)
            together = {c.index: codes for c, codes in zip(chunks, found, strict=True)}
            for codes in together.values():
                assert (
                    codes is None
                    or codes.size == 0
                    or 0 <= codes.min() <= codes.max() < (reader.header.codebook_size)
                ), "a code outside of its codebook"
            little = sum(codes.size for codes in together.values() if codes is not None) < 20_000
            for chunk in chunks[: 4 * little]:
                alone = chunk_codes(chunk, reader.header, model)
                assert np.array_equal(alone, together[chunk.index]), "other codes by themselves"
            for chunk in chunks:
                _check_layer(reader.header, chunk)
            if reader.seekable:
                entries = reader.table()
                assert all(e.offset >= 0 and e.offset + e.length <= len(data) for e in entries)
                for index in {0, len(entries) - 1, len(entries), *indices[:2]}:
                    found = reader.read_chunk(index)
                    assert found is None or found.index == index, "another chunk"
            return "complete" if reader.complete else "read in part"

        return data, run

    return case


def as_neu2(rng: random.Random) -> dict[int, int]:
    """Header fields that the embedded codec's files have, with as many channels as there can be."""
    channels = rng.choice((1, 1, 1, 2, 2, 2, 9, 24, 64, 255))
    fixed = {
        5: 44100, 9: channels, 11: channels, 13: rng.choice((1, 9, 16)), 15: 1024, 17: 512, 19: 86,
        21: 43008, 23: 2560, 25: 1, 27: rng.choice((0, 1)),
    }  # fmt: skip
    return fixed | {7: rng.choice((1000, 8000, 44100, 48000, 192000, 250000, 768000))}


def decode_cases() -> Case:
    """All the way to samples, by the embedded codec."""
    import torch

    from neucodec.api import ArraySource, load_model
    from neucodec.coding.decoder import Decoder
    from neucodec.coding.encoder import encode as encode_source
    from neucodec.coding.options import DecodeOptions, EncodeOptions
    from neucodec.models.codec import CodeChunk, State

    torch.set_num_threads(1)
    codec = load_model().codec
    noise = np.random.default_rng(0)
    files = []
    for seconds, channels, rate, chosen in (
        (0.05, 1, 44100, EncodeOptions(codebooks=2, entropy="none")),
        (1.05, 2, 44100, EncodeOptions(codebooks=2, entropy="adaptive")),
        (2.1, 1, 48000, EncodeOptions(codebooks=2, entropy="none")),
        (0.05, 1, 44100, EncodeOptions(codebooks=2)),
        (0.1, 2, 44100, EncodeOptions(bitrate=3000)),
        (1.2, 2, 44100, EncodeOptions(bitrate=16000)),
    ):
        target = io.BytesIO()
        audio = noise.normal(0, 0.1, (round(seconds * rate), channels))
        encode_source(ArraySource(audio, rate), target, codec, chosen)
        files.append(mutations.Parts.of(target.getvalue()))

    _measure(codec, noise)
    decode = codec.decode

    def counted(chunk: CodeChunk, state: State = None) -> tuple[torch.Tensor, State]:
        ALLOWANCE.decoded += len(chunk.codes) * codec.card.chunk_stride / codec.card.sample_rate
        return decode(chunk, state)

    codec.decode = counted  # type: ignore[method-assign]

    def case(number: int) -> tuple[bytes, Callable[[], str]]:
        rng = random.Random(number)
        data = mutations.greedy(rng, as_neu2(rng)) if number % 3 == 1 else mutations.ncf(files, rng)
        options = DecodeOptions(
            start=rng.choice((None, None, 0.01, 1.0)), end=rng.choice((None, None, 0.5, 1e9)),
            mono=rng.random() < 0.2, rate=rng.choice((None, None, 8000)), any_weights=True,
            threads=1,
        )  # fmt: skip

        def run() -> str:
            try:
                if number % 4 == 3:  # as verify --codes does
                    reader = NcfReader(io.BytesIO(data))
                    chunks = list(reader)
                    if reader.header.entropy == EntropyCoder.LM:
                        ALLOWANCE.squeezed += len(chunks)
                    undecodable(chunks, reader.header, SHARED.of(reader.header))
                decoder = Decoder(NcfReader(io.BytesIO(data)), codec, options)
                squeezed = decoder.header.entropy == EntropyCoder.LM
                for second, block in enumerate(decoder.blocks()):
                    ALLOWANCE.given += block.size / decoder.sample_rate
                    ALLOWANCE.squeezed += squeezed * len(block) / decoder.sample_rate
                    assert block.shape[1] == decoder.channels, "other channels"
                    assert np.isfinite(block).all(), "samples that are no numbers"
                    if second > 50 or ALLOWANCE.given > 300:
                        break  # a second each: a file may say that it is long and silent
            except (NcfError, NeucodecError):
                return "refused"
            return "decoded"

        return data, run

    return case


def _measure(codec: Codec, noise: np.random.Generator) -> None:
    """Find out what a second ordinarily takes here, with codes as they are and squeezed."""
    from neucodec.api import ArraySource
    from neucodec.coding.decoder import Decoder
    from neucodec.coding.encoder import encode
    from neucodec.coding.options import DecodeOptions, EncodeOptions

    taken = {}
    for entropy in ("none", "lm"):
        target, takes = io.BytesIO(), []
        audio = noise.normal(0, 0.1, (88200, 1))
        encode(ArraySource(audio, 44100), target, codec, EncodeOptions(entropy=entropy))
        for _ in range(5):
            reader = NcfReader(io.BytesIO(target.getvalue()))
            started = time.process_time()
            list(Decoder(reader, codec, DecodeOptions(threads=1)).blocks())
            takes.append((time.process_time() - started) / 2)
        taken[entropy] = sorted(takes)[2]
    ALLOWANCE.per_channel = taken["none"]
    ALLOWANCE.per_squeezed = taken["lm"] - taken["none"]


def peers_cases() -> Case:
    """Files of the packages encodec and descript-audio-codec."""
    from neucodec.formats.peers.dac import DacFile, read_dac, write_dac
    from neucodec.formats.peers.ecdc import Ecdc, Segment, read_ecdc, write_ecdc

    rng = np.random.default_rng(0)
    files: list[bytes] = []
    for channels, codebooks, windows, window in ((1, 9, 1, 5), (2, 3, 2, 4), (1, 1, 1, 1)):
        codes = rng.integers(0, 1024, (channels, codebooks, windows * window))
        files.append(
            write_dac(
                DacFile(
                    codes=codes, chunk_length=window, original_length=512 * windows * window,
                    sample_rate=44100, input_db=-20.5, padding=windows == 1,
                )
            )
        )  # fmt: skip
    for model, codebooks, frames, scale in (
        ("encodec_24khz", 2, 5, None), ("encodec_24khz", 32, 1, None), ("encodec_48khz", 4, 9, 0.5),
    ):  # fmt: skip
        codes = rng.integers(0, 1024, (codebooks, frames))
        files.append(write_ecdc(Ecdc(model, 320 * frames - 7, [Segment(codes, scale)])))

    def case(number: int) -> tuple[bytes, Callable[[], str]]:
        data = mutations.peer(files, random.Random(number))

        def run() -> str:
            again: bytes
            try:
                if data.startswith(b"ECDC"):
                    ecdc = read_ecdc(data)
                    again, found = write_ecdc(ecdc), [part.codes for part in ecdc.segments]
                    same = [part.codes for part in read_ecdc(again).segments]
                else:
                    dac = read_dac(data)
                    again, found = write_dac(dac), [dac.codes]
                    same = [read_dac(again).codes]
            except NcfError as error:
                assert "MemoryError" not in str(error), "more memory than a gigabyte"
                return "refused"
            assert all(map(np.array_equal, found, same)), "other codes after writing"
            return "read"

        return data, run

    return case


def cards_cases() -> Case:
    """Model cards."""
    from importlib.resources import files

    from neucodec.coding.chunks import Geometry
    from neucodec.models.catalogue.card import Card

    folder = files("neucodec.models") / "cards"
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir(), key=str)]

    def case(number: int) -> tuple[bytes, Callable[[], str]]:
        text = mutations.toml(texts, random.Random(number))

        def run() -> str:
            try:
                card = Card.parse(text, "card.toml")
                assert len(card.bitrates(2)) <= 255, "more bitrates than codebooks"
                assert len(card.fingerprint) in (0, 8), "half a fingerprint"
                Geometry.of(card)
            except ModelError:
                return "refused"
            return "accepted"

        return text.encode(errors="surrogatepass"), run

    return case


TARGETS: dict[str, Callable[[], Case]] = {
    "bytes": bytes_cases,
    "decode": decode_cases,
    "peers": peers_cases,
    "cards": cards_cases,
}


def main() -> int:
    args, numbers = read_arguments(__doc__, TARGETS, cases=10_000)
    case = TARGETS[args.target]()
    outcomes: Counter[str] = Counter()
    slowest, began, said = (0.0, 0), time.monotonic(), time.monotonic()
    for done, number in enumerate(numbers, 1):
        data, run = case(number)
        generous = 1 if len(data) < SMALL else 5
        limit_memory(generous * MEMORY)
        ALLOWANCE.start()
        started = time.process_time()
        try:
            outcome = run()
        except Exception as error:
            outcome = f"FAILED with {type(error).__name__}: {str(error)[:80]}"
            if args.only is not None:
                traceback.print_exc()
            keep(args.keep, f"{args.target}-{number}", data)
        took = time.process_time() - started
        if took > generous * ALLOWANCE.seconds:
            outcome = "FAILED by taking more than its time"
            keep(args.keep, f"{args.target}-{number}", data)
        slowest = max(slowest, (took, number))
        outcomes[outcome] += 1
        if time.monotonic() - said > 60:
            said = time.monotonic()
            print(f"{done} cases, {dict(outcomes)}, slowest {slowest}", flush=True)
    print(f"{args.target}: {outcomes.total()} cases in {time.monotonic() - began:.0f} s")
    for outcome, count in outcomes.most_common():
        print(f"  {count:9} {outcome}")
    print(f"  slowest: {slowest[0]:.3f} s, case {slowest[1]}")
    return any(outcome.startswith("FAILED") for outcome in outcomes)


def limit_memory(more: int) -> None:
    """Let a case that asks for so many more bytes fail."""
    try:
        import resource
    except ImportError:  # not here
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, most))


if __name__ == "__main__":
    sys.exit(main())
