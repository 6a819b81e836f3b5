"""Convert between .ncf and .dac, the files of the package descript-audio-codec."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from neucodec.coding.entropy_models import EntropyModels
from neucodec.errors import NeucodecError
from neucodec.formats import Header, NcfReader
from neucodec.formats.peers import DacFile
from neucodec.models import WINDOWS, Card, cards, family_of

from .ncf_codes import Load, PeerFile, loudness_of, read_chunks, split_codes, write_ncf

_MAX_SHORTFALL = 8
"""The number of samples by which the audio that the package decodes may be shorter than its frames:
its transposed convolutions of odd strides give fewer."""


def dac_to_ncf(dac: DacFile, target: BinaryIO, load: Load, model: Card | None) -> Header:
    """Write the codes of a .dac to ``target`` as an .ncf, and return its header.

    ``model`` is the card of the checkpoint that the file was made with; None for the published one
    that fits the file. A .dac states how loud its audio was, an .ncf by how much decoding changes
    the level, so the codes are decoded once to measure it. Raises NeucodecError where the model
    does not fit, or none or several do.
    """
    card = model or _fitting_card(dac)
    if not _fits(card, dac):
        raise NeucodecError(f"this .dac cannot have been made with {card.name}")
    codec = load(card)
    codes = dac.codes
    if dac.padding:
        codes = codes[..., : _frames_of(card, dac)]
    else:
        card = card.windows(dac.chunk_length)
    source = PeerFile(
        kind="dac",
        codebooks=codes.shape[1],
        sample_rate=dac.sample_rate,
        channels=len(codes),
        samples=dac.original_length,
        gain_db=None,
    )
    chunks = [(piece, ()) for piece in split_codes(codes, card.chunk_frames)]
    unlevelled = io.BytesIO()
    write_ncf(unlevelled, card, codec, source, chunks)
    unlevelled.seek(0)
    loudness = loudness_of(NcfReader(unlevelled), codec)
    return write_ncf(target, card, codec, replace(source, gain_db=loudness - dac.input_db), chunks)


def _model_samples(card: Card, dac: DacFile) -> int:
    """Return the length of the audio in samples at the model's rate.

    It is exact to two samples only, since resamplers round in different ways.
    """
    return -(-dac.original_length * card.sample_rate // dac.sample_rate)


def _frames_of(card: Card, dac: DacFile) -> int:
    """Return how many of the file's frames hold the signal; `ncf_to_dac` may have added one."""
    slack = 0 if dac.sample_rate == card.sample_rate else 2
    return min(int(dac.codes.shape[2]), -(-(_model_samples(card, dac) + slack) // card.hop))


def _fits(card: Card, dac: DacFile) -> bool:
    """Return whether the codes of a file can be a model's, by their number, size and frames."""
    if family_of(card).peer != "dac" or dac.codes.shape[1] > card.codebooks:
        return False
    if dac.codes.size and dac.codes.max() >= card.codebook_size:
        return False
    samples = _model_samples(card, dac)
    if dac.padding:
        counts = {-(-(samples + d) // card.hop) + extra for d in (-2, 0, 2) for extra in (0, 1)}
        return dac.codes.shape[2] in counts
    stride = dac.chunk_length * card.hop - card.chunk_trim
    return stride > 0 and dac.windows in {-(-(samples + d) // stride) for d in (-2, 0, 2)}


def _fitting_card(dac: DacFile) -> Card:
    """Return the card of the published model that a file was made with.

    A model with just as many codebooks as the file is preferred. Raises NeucodecError where none
    or several fit.
    """
    possible = [card for card in cards().values() if _fits(card, dac)]
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


def ncf_to_dac(
    reader: NcfReader, load: Load, model: Card | None, entropy_models: EntropyModels
) -> tuple[DacFile, list[str]]:
    """Return the .dac with the codes of an .ncf, and what of the .ncf is lost in it.

    ``model`` is the card of the codec, found by the name in the .ncf if it is None; ``load`` gives
    the codec itself, which decodes the codes once to measure their loudness; ``entropy_models``
    gives the entropy model that the .ncf names. Raises NeucodecError where the codec is no DAC, or
    the .ncf is damaged.
    """
    from neucodec.coding.file_codec import card_for, fitted_card

    header = reader.header
    card = model or card_for(header)
    if family_of(card).peer != "dac":
        raise NeucodecError(f"made with {header.codec}, which is no DAC, so that no .dac holds it")
    chunks = read_chunks(reader, entropy_models)
    windows = fitted_card(header, card).chunk_strategy == WINDOWS
    codes = np.concatenate([codes for codes, _ in chunks], axis=-1)
    file = DacFile(
        codes=codes,
        chunk_length=header.chunk_frames if windows else codes.shape[2],
        original_length=reader.frames or 0,
        sample_rate=header.source_rate,
        input_db=loudness_of(reader, load(card), entropy_models),
        padding=not windows,
    )
    # The package fails on its own files where its decoder gives fewer samples than there were.
    lacking = _model_samples(card, file) + 2 > codes.shape[2] * card.hop - _MAX_SHORTFALL
    if not windows and lacking:
        codes = np.pad(codes, ((0, 0), (0, 0), (0, 1)), "edge")
        file = replace(file, codes=codes, chunk_length=codes.shape[2])
    lost = []
    if header.channels > 1:
        lost.append("the balance of its channels: the package levels each by itself")
    return file, lost
