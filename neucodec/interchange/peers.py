"""Between .ncf and the files of other programs, code for code: nothing is encoded again."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from neucodec.coding.chunks import Geometry
from neucodec.coding.entropy_models import SHARED, EntropyModels
from neucodec.coding.payloads import codes_of
from neucodec.errors import NeucodecError
from neucodec.files.byte_streams import read_up_to
from neucodec.formats import Chunk, Header, NcfReader, NcfWriter, ScaleKind, pack_codes
from neucodec.formats.peers import (
    DAC_MAGIC,
    ECDC_MAGIC,
    LAYOUTS,
    DacFile,
    Ecdc,
    Segment,
    read_dac,
    read_ecdc,
    write_dac,
    write_ecdc,
)
from neucodec.models import WINDOWS, Card, cards, find_card
from neucodec.version import __version__

if TYPE_CHECKING:
    from neucodec.coding.entropy import Codes
    from neucodec.models import Codec

Load = Callable[[Card], "Codec"]
"""Gives the codec of a card."""

ECDC_MODELS = {"encodec_24khz": "encodec-24khz", "encodec_48khz": "encodec-48khz"}
"""What the package ``encodec`` calls its models, and we."""
MOST_BYTES = 1 << 28
"""Of a file of codes."""
QUIETEST = -70.0
"""LUFS that the package ``dac`` gives for anything quieter."""
_SHORT = 8
"""Samples by which the package's decoders of odd strides fall short of their frames."""


def kind_of(head: bytes) -> str | None:
    """What a file is, by its first eight bytes; None for others than .ncf, .ecdc and .dac."""
    starts = {b"\x89NCF": "ncf", ECDC_MAGIC: "ecdc", DAC_MAGIC: "dac"}
    return next((kind for start, kind in starts.items() if head.startswith(start)), None)


def as_ncf(file: BinaryIO, load: Load, model: Card | None = None) -> BinaryIO:
    """The file itself, or where it is an .ecdc or .dac, the same codes as an .ncf in memory.

    Needs ``peek`` or ``seek``, as files and buffered pipes have them.
    """
    if hasattr(file, "peek"):
        head = file.peek(8)[:8]
    elif file.seekable():
        head = file.read(8)
        file.seek(-len(head), io.SEEK_CUR)
    else:
        return file
    if kind_of(head) not in ("ecdc", "dac"):
        return file
    target = io.BytesIO()
    to_ncf(read_whole(file), target, load, model)
    target.seek(0)
    return target


def read_whole(file: BinaryIO) -> bytes:
    """All bytes of a file that is converted in memory; NeucodecError where there are too many, as
    from a pipe or a server that never ends."""
    data = read_up_to(file, MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise NeucodecError(f"more than {MOST_BYTES} bytes: a day of codes has fewer")
    return data


def to_ncf(data: bytes, target: BinaryIO, load: Load, model: Card | None = None) -> Header:
    """Carry an .ecdc or .dac over into an .ncf; its header.

    ``load`` is asked for the codec, whose fingerprint goes into the .ncf. ``model`` is the
    checkpoint that the file was made with, where it is none of ours or a .dac fits several.
    """
    kind = kind_of(data[:8])
    if kind == "ecdc":
        return _from_ecdc(read_ecdc(data), target, load, model)
    if kind == "dac":
        return _from_dac(read_dac(data), target, load, model)
    raise NeucodecError("neither an .ecdc nor a .dac: its first bytes are others")


@dataclass(frozen=True)
class Converted:
    """A file for another program."""

    data: bytes
    left: list[str]
    """What it has no place for, or holds otherwise."""


def from_ncf(
    reader: NcfReader,
    kind: str,
    load: Load,
    model: Card | None = None,
    entropy_models: EntropyModels = SHARED,
) -> Converted:
    """Carry an .ncf over into an .ecdc or .dac.

    ``load`` gives the codec, ``entropy_models`` the entropy model that it names.
    Raises NeucodecError where its codec is not that program's, where it is damaged, or where the
    format cannot hold its codes.
    """
    header = reader.header
    _check_card(header, model)
    left = ["its tags"] if header.tags else []
    left += ["the speakers of its channels"] if header.channel_mask is not None else []
    if kind == "ecdc":
        ecdc, more = _to_ecdc(reader, entropy_models)
        return Converted(write_ecdc(ecdc), left + more)
    dac, more = _to_dac(reader, load, model, entropy_models)
    return Converted(write_dac(dac), left + more)


def _check_card(header: Header, model: Card | None) -> None:
    from neucodec.coding.file_codec import card_for

    card_for(header, model)


# To .ncf


def _write(
    card: Card, codec: Codec, chunks: Iterable[tuple[Codes, tuple[float, ...]]], target: BinaryIO,
    *, codebooks: int, rate: int, channels: int, frames: int, kind: str, gain_db: float | None,
) -> Header:  # fmt: skip
    """Chunks as codes [streams, codebooks, frames] and scales, to an .ncf."""
    geometry = Geometry.of(card)
    header = Header(
        codec=card.name,
        fingerprint=codec.fingerprint,
        sample_rate=card.sample_rate,
        source_rate=rate,
        channels=channels,
        streams=card.streams(channels),
        codebooks=codebooks,
        codebook_size=card.codebook_size,
        hop=card.hop,
        chunk_frames=card.chunk_frames,
        chunk_stride=card.chunk_stride,
        overlap=geometry.overlap,
        scale_kind=ScaleKind.FLOAT if card.level == "codec" else ScaleKind.NONE,
        nominal_bitrate=round(card.bitrate(codebooks, channels)),
        frames=frames,
        gain_db=gain_db,
        encoder=f"neucodec {__version__}, from .{kind}",
    )
    writer = NcfWriter(target, header)
    for index, (codes, scales) in enumerate(chunks):
        payload = pack_codes(codes, card.code_bits)
        writer.write(
            Chunk(
                index=index,
                codebooks=codebooks,
                frames=codes.shape[2],
                scales=scales,
                payload=payload,
            )
        )
    writer.close(frames)
    return header


def _pieces(codes: Codes, frames: int) -> list[Codes]:
    """Codes [..., F] in pieces of so many frames, the last perhaps shorter."""
    return [codes[..., start : start + frames] for start in range(0, codes.shape[-1], frames)]


def _from_ecdc(ecdc: Ecdc, target: BinaryIO, load: Load, model: Card | None) -> Header:
    card = model or find_card(ECDC_MODELS[ecdc.model])
    layout = LAYOUTS[ecdc.model]
    if (card.family, card.sample_rate) != ("encodec", layout.sample_rate):
        raise NeucodecError(f"made with {ecdc.model}, which is not {card.name}")
    chunks: list[tuple[Codes, tuple[float, ...]]] = []
    if layout.segment is None:
        [whole] = ecdc.segments
        chunks = [(piece[None], ()) for piece in _pieces(whole.codes, card.chunk_frames)]
    else:
        for segment in ecdc.segments:
            scales = () if segment.scale is None else (segment.scale,)
            chunks.append((segment.codes[None], scales))
            if segment.codes.shape[1] < card.chunk_frames:
                break  # a further one lies within this one, and an .ncf has no place for it
    return _write(
        card, load(card), chunks, target, codebooks=ecdc.codebooks, rate=card.sample_rate,
        channels=card.channels, frames=ecdc.samples, kind="ecdc", gain_db=None,
    )  # fmt: skip


def _from_dac(dac: DacFile, target: BinaryIO, load: Load, model: Card | None) -> Header:
    card = model or _dac_card(dac)
    if not _could_be(card, dac):
        raise NeucodecError(f"this .dac cannot have been made with {card.name}")
    codec = load(card)
    codes = dac.codes
    if dac.padding:
        codes = codes[..., : _frames_of(card, dac)]
    else:
        card = card.windows(dac.chunk_length)

    def write(file: BinaryIO, gain_db: float | None) -> Header:
        chunks = [(piece, ()) for piece in _pieces(codes, card.chunk_frames)]
        return _write(
            card, codec, chunks, file, codebooks=codes.shape[1], rate=dac.sample_rate,
            channels=len(codes), frames=dac.original_length, kind="dac", gain_db=gain_db,
        )  # fmt: skip

    unlevelled = io.BytesIO()
    write(unlevelled, None)
    unlevelled.seek(0)
    loudness = _loudness(NcfReader(unlevelled), codec)
    return write(target, loudness - dac.input_db)


def _model_samples(card: Card, dac: DacFile) -> int:
    """Samples at the model's rate, give or take two: resamplers round as they please."""
    return -(-dac.original_length * card.sample_rate // dac.sample_rate)


def _frames_of(card: Card, dac: DacFile) -> int:
    """Frames of the whole signal, as far as the file has them: `from_ncf` may add one."""
    slack = 0 if dac.sample_rate == card.sample_rate else 2
    return min(int(dac.codes.shape[2]), -(-(_model_samples(card, dac) + slack) // card.hop))


def _could_be(card: Card, dac: DacFile) -> bool:
    """Whether a model's codes can be those of a file."""
    if card.family != "dac" or dac.codes.shape[1] > card.codebooks:
        return False
    if dac.codes.size and dac.codes.max() >= card.codebook_size:
        return False
    samples = _model_samples(card, dac)
    if dac.padding:
        counts = {-(-(samples + d) // card.hop) + extra for d in (-2, 0, 2) for extra in (0, 1)}
        return dac.codes.shape[2] in counts
    stride = dac.chunk_length * card.hop - card.chunk_trim
    return stride > 0 and dac.windows in {-(-(samples + d) // stride) for d in (-2, 0, 2)}


def _dac_card(dac: DacFile) -> Card:
    """The published model that a file was made with, as far as it tells."""
    possible = [card for card in cards().values() if _could_be(card, dac)]
    exact = [card for card in possible if card.codebooks == dac.codes.shape[1]]
    for found in (exact, possible):
        if len(found) == 1:
            return found[0]
    if possible:
        names = " or ".join(card.name for card in possible)
        raise NeucodecError(f"this .dac may have been made with {names}: say which with -m")
    raise NeucodecError(
        "no published model fits this .dac: give the checkpoint that it was made with by -m"
    )


def _loudness(reader: NcfReader, codec: Codec, entropy_models: EntropyModels = SHARED) -> float:
    """LUFS of what decoding gives."""
    from neucodec.audio.loudness import LoudnessMeter
    from neucodec.coding.decoder import Decoder

    decoder = Decoder(reader, codec, entropy_models=entropy_models)
    meter = LoudnessMeter(decoder.samplerate, decoder.channels)
    for block in decoder.blocks():
        meter.push(block)
    return max(meter.lufs, QUIETEST)


# From .ncf


def _all_codes(
    reader: NcfReader, entropy_models: EntropyModels
) -> list[tuple[Codes, tuple[float, ...]]]:
    """Codes [streams, codebooks, frames] and scales of every chunk; NeucodecError if any lacks."""
    header, chunks = reader.header, list(reader)
    unpacked = codes_of(chunks, header, entropy_models.of(header))
    found: list[tuple[Codes, tuple[float, ...]]] = []
    for chunk, codes in zip(chunks, unpacked, strict=True):
        if chunk.index != len(found) or not chunk.codebooks or codes is None:
            break
        found.append((codes, tuple(float(s) for s in chunk.scales)))
    if not reader.complete or len(found) != reader.chunk_count:
        raise NeucodecError("damaged or cut off: only whole files can be carried over")
    if not found:
        raise NeucodecError("there is no audio in it, and the other formats cannot say that")
    counts = sorted({codes.shape[1] for codes, _ in found})
    if len(counts) > 1:
        raise NeucodecError(
            f"its chunks use from {counts[0]} to {counts[-1]} codebooks, and the other formats "
            f"have one number for all: encode with --rate-mode nominal"
        )
    return found


def _to_ecdc(reader: NcfReader, entropy_models: EntropyModels) -> tuple[Ecdc, list[str]]:
    header = reader.header
    names = {ours: theirs for theirs, ours in ECDC_MODELS.items()}
    if header.codec not in names:
        raise NeucodecError(f"made with {header.codec}: an .ecdc holds {' or '.join(names)}")
    if header.streams != 1:
        raise NeucodecError(
            f"{header.channels} channels: {header.codec} in an .ecdc has one stream"
        )
    model, rate = names[header.codec], header.sample_rate
    layout, chunks = LAYOUTS[model], _all_codes(reader, entropy_models)
    left = _left_by_rate(header)
    if header.gain_db:
        left.append(f"the change of level by {-header.gain_db:+.2f} dB when decoding")
    stride = header.chunk_stride
    frames = sum(codes.shape[2] for codes, _ in chunks)
    start = (len(chunks) - 1) * stride if layout.segment else 0
    last = chunks[-1][0].shape[2] if layout.segment else frames
    samples = -(-(reader.frames or 0) * rate // header.source_rate)
    samples = min(max(samples, start + (last - 1) * header.hop + 1), start + last * header.hop)
    if layout.segment is None:
        codes = np.concatenate([codes[0] for codes, _ in chunks], axis=-1)
        return Ecdc(model, samples, [Segment(codes)]), left
    segments = [Segment(codes[0], scales[0]) for codes, scales in chunks]
    if last == header.chunk_frames:
        samples = min(samples, len(chunks) * stride)
    if header.channels == 1:
        left.append("that it is mono: it becomes stereo with two equal sides")
    if samples > len(chunks) * stride:
        spare = samples - len(chunks) * stride
        left.append(f"its last {spare} samples, which fade out: an .ncf lacks their own segment")
        silent = np.zeros((len(segments[0].codes), -(-spare // header.hop)), np.int64)
        segments.append(Segment(silent, 0.0))
    return Ecdc(model, samples, segments), left


def _left_by_rate(header: Header) -> list[str]:
    if header.source_rate == header.sample_rate:
        return []
    return [f"its sample rate: it becomes {header.sample_rate} Hz"]


def _to_dac(
    reader: NcfReader, load: Load, model: Card | None, entropy_models: EntropyModels
) -> tuple[DacFile, list[str]]:
    from neucodec.coding.file_codec import card_for, fitted_card

    header = reader.header
    card = model or card_for(header)
    if card.family != "dac":
        raise NeucodecError(f"made with {header.codec}, which is no DAC, so that no .dac holds it")
    chunks = _all_codes(reader, entropy_models)
    windows = fitted_card(header, card).chunk_strategy == WINDOWS
    codes = np.concatenate([codes for codes, _ in chunks], axis=-1)
    file = DacFile(
        codes=codes,
        chunk_length=header.chunk_frames if windows else codes.shape[2],
        original_length=reader.frames or 0,
        sample_rate=header.source_rate,
        input_db=_loudness(reader, load(card), entropy_models),
        padding=not windows,
    )
    # The package fails on its own files where its decoder gives fewer samples than there were.
    lacking = _model_samples(card, file) + 2 > codes.shape[2] * card.hop - _SHORT
    if not windows and lacking:
        codes = np.pad(codes, ((0, 0), (0, 0), (0, 1)), "edge")
        file = replace(file, codes=codes, chunk_length=codes.shape[2])
    left = []
    if header.channels > 1:
        left.append("the balance of its channels: the package levels each by itself")
    return file, left
