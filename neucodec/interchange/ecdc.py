"""Convert between .ncf and .ecdc, the files of the package encodec."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from neucodec.coding.entropy_models import EntropyModels
from neucodec.errors import NeucodecError
from neucodec.formats import Header, NcfReader
from neucodec.formats.peers import LAYOUTS, Ecdc, Segment
from neucodec.models import Card, family_of, find_card

from .ncf_codes import ChunkCodes, Load, PeerFile, read_chunks, split_codes, write_ncf

OUR_NAMES = {"encodec_24khz": "encodec-24khz", "encodec_48khz": "encodec-48khz"}
"""The names of this package's cards, by the names that the package ``encodec`` gives its models."""


def ecdc_to_ncf(ecdc: Ecdc, target: BinaryIO, load: Load, model: Card | None) -> Header:
    """Write the codes of an .ecdc to ``target`` as an .ncf, and return its header.

    ``model`` is the card of the checkpoint that the file was made with; None for the published one
    that the file names. Raises NeucodecError where that is a model of another kind.
    """
    card = model or find_card(OUR_NAMES[ecdc.model])
    layout = LAYOUTS[ecdc.model]
    if (family_of(card).peer, card.sample_rate) != ("ecdc", layout.sample_rate):
        raise NeucodecError(f"made with {ecdc.model}, which is not {card.name}")
    source = PeerFile(
        kind="ecdc",
        codebooks=ecdc.codebooks,
        sample_rate=card.sample_rate,
        channels=card.channels,
        samples=ecdc.samples,
        gain_db=None,
    )
    return write_ncf(target, card, load(card), source, _chunks(ecdc, card))


def _chunks(ecdc: Ecdc, card: Card) -> list[ChunkCodes]:
    """Return the chunks of an .ncf that hold the same audio as the segments of an .ecdc."""
    if LAYOUTS[ecdc.model].segment is None:
        [whole] = ecdc.segments
        return [(piece[None], ()) for piece in split_codes(whole.codes, card.chunk_frames)]
    chunks: list[ChunkCodes] = []
    for segment in ecdc.segments:
        scales = () if segment.scale is None else (segment.scale,)
        chunks.append((segment.codes[None], scales))
        if segment.codes.shape[1] < card.chunk_frames:
            break  # a further one lies within this one, and an .ncf has no place for it
    return chunks


def ncf_to_ecdc(reader: NcfReader, entropy_models: EntropyModels) -> tuple[Ecdc, list[str]]:
    """Return the .ecdc with the codes of an .ncf, and what of the .ncf is lost in it.

    ``entropy_models`` gives the entropy model that the .ncf names. Raises NeucodecError where the
    .ncf was made with another codec, has several streams, or is damaged.
    """
    header = reader.header
    names = {ours: theirs for theirs, ours in OUR_NAMES.items()}
    if header.codec not in names:
        raise NeucodecError(f"made with {header.codec}: an .ecdc holds {' or '.join(names)}")
    if header.streams != 1:
        raise NeucodecError(
            f"{header.channels} channels: {header.codec} in an .ecdc has one stream"
        )
    model, chunks = names[header.codec], read_chunks(reader, entropy_models)
    lost = _lost_by_header(header)
    samples = _samples(reader, chunks, LAYOUTS[model].segment is not None)
    if LAYOUTS[model].segment is None:
        codes = np.concatenate([codes[0] for codes, _ in chunks], axis=-1)
        return Ecdc(model, samples, [Segment(codes)]), lost
    segments = [Segment(codes[0], scales[0]) for codes, scales in chunks]
    if chunks[-1][0].shape[2] == header.chunk_frames:
        samples = min(samples, len(chunks) * header.chunk_stride)
    if header.channels == 1:
        lost.append("that it is mono: it becomes stereo with two equal sides")
    if samples > len(chunks) * header.chunk_stride:
        spare = samples - len(chunks) * header.chunk_stride
        lost.append(f"its last {spare} samples, which fade out: an .ncf lacks their own segment")
        silent = np.zeros((len(segments[0].codes), -(-spare // header.hop)), np.int64)
        segments.append(Segment(silent, 0.0))
    return Ecdc(model, samples, segments), lost


def _samples(reader: NcfReader, chunks: list[ChunkCodes], segmented: bool) -> int:
    """Return how many samples, at the model's rate, an .ecdc of these chunks is to state.

    That is the length of the .ncf, or the nearest one at which the package expects as many frames
    as there are. Where the model is ``segmented``, each chunk has frames of its own.
    """
    header = reader.header
    frames: int = sum(codes.shape[2] for codes, _ in chunks)
    start = (len(chunks) - 1) * header.chunk_stride if segmented else 0
    last: int = chunks[-1][0].shape[2] if segmented else frames
    samples = -(-(reader.frames or 0) * header.sample_rate // header.source_rate)
    return min(max(samples, start + (last - 1) * header.hop + 1), start + last * header.hop)


def _lost_by_header(header: Header) -> list[str]:
    """Return what an .ncf's header states and an .ecdc has no field for."""
    lost = []
    if header.source_rate != header.sample_rate:
        lost.append(f"its sample rate: it becomes {header.sample_rate} Hz")
    if header.gain_db:
        lost.append(f"the change of level by {-header.gain_db:+.2f} dB when decoding")
    return lost
