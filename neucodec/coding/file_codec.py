"""The card and the codec that a file needs: the one door at which headers are checked."""

from __future__ import annotations

from neucodec.errors import NeucodecError
from neucodec.formats import Header
from neucodec.models import Card, Codec, ModelError, find_card

from .chunk_encoder import SCALES
from .chunks import Geometry


def card_for(header: Header, own: Card | None = None) -> Card:
    """Return the card of the codec that a file was made with.

    ``own`` is the card of a checkpoint of one's own, which the file's name need not lead to. Raises
    NeucodecError where there is no such codec, or the file cannot have been made by it.
    """
    if own is not None:
        _check_header(header, own)
        return own
    try:
        card = find_card(header.codec)
    except ModelError as error:
        raise NeucodecError(f"made with a codec that this version lacks: {error}") from None
    _check_header(header, card)
    return card


def codec_for(header: Header, codec: Codec, *, any_weights: bool = False) -> Codec:
    """Return a codec as a file needs it: of a DAC perhaps in windows; its network is the same.

    Raises NeucodecError where the file cannot have been made with the codec or, without
    ``any_weights``, where it was made with other weights.
    """
    _check_header(header, codec.card)
    if not any_weights:
        _check_weights(header, codec)
    card = fitted_card(header, codec.card)
    if card is codec.card:
        return codec
    from neucodec.models import in_windows

    return in_windows(codec, card)


def fitted_card(header: Header, card: Card) -> Card:
    """Return the card as a file needs it: that of a DAC may be in windows, as the package ``dac``
    has them."""
    trim = header.chunk_frames * card.hop - header.chunk_stride
    if card.chunk_trim and not header.overlap and trim == card.chunk_trim:
        return card.windows(header.chunk_frames)
    return card


def _check_header(header: Header, card: Card) -> None:
    """Raise NeucodecError where a file cannot have been made as a card says."""
    card = fitted_card(header, card)
    geometry = Geometry.of(card)
    expected = (
        card.sample_rate, card.hop, geometry.frames, geometry.stride, geometry.overlap,
        card.codebook_size, card.streams(header.channels),
    )  # fmt: skip
    found = (
        header.sample_rate, header.hop, header.chunk_frames, header.chunk_stride,
        header.overlap, header.codebook_size, header.streams,
    )  # fmt: skip
    if expected != found or header.codebooks > card.codebooks:
        raise NeucodecError(f"its header does not fit {card.name}: {found} instead of {expected}")
    if header.scale_kind != SCALES[card.level]:
        raise NeucodecError(f"{card.name} has no scales of kind {header.scale_kind.name}")


def _check_weights(header: Header, codec: Codec) -> None:
    """Raise NeucodecError where a file was made with other weights than those that are loaded."""
    if header.fingerprint in {codec.fingerprint, *codec.card.readable}:
        return
    raise NeucodecError(
        f"made with other weights of {header.codec} ({header.fingerprint.hex()}) than those "
        f"here ({codec.fingerprint.hex()}): get those"
        + (f", which {header.encoder} had" if header.encoder else "")
        + ", or decode it with --any-weights, for better or worse"
    )
