"""The speakers of channels: WAV's channel masks, and the channel orders of other containers.

Audio has its channels in the order of WAVE_FORMAT_EXTENSIBLE: the speakers of a mask, its lowest
bit first. Audio of a container with another order is brought into that order when it is read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

DEFAULT_MASKS = {1: 0x4, 2: 0x3, 3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}
"""Masks by number of channels, for audio that has none. FLAC has the same orders (RFC 9639, section
9.1.3), and Vorbis and Opus the same speakers."""
FLAC_MASKS = {
    **{channels: (mask,) for channels, mask in DEFAULT_MASKS.items()},
    4: (0x33, 0x603),
    5: (0x37, 0x607),
    6: (0x3F, 0x60F),
}
"""Masks by number of channels that FLAC can hold; it does not tell back from side speakers."""

# The Vorbis I specification, section 4.3.9, which RFC 7845 takes over for Opus (mapping family 1):
# which of the container's channels is which of WAV's.
_XIPH_ORDERS = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}

# Core Audio's layout tags by their upper 16 bits, as their channels' labels
# (CoreAudioBaseTypes.h; Apple's Core Audio Format Specification, "Channel Layout Chunk").
_LABELS = {
    "L": 1, "R": 2, "C": 3, "LFE": 4, "Ls": 5, "Rs": 6, "Lc": 7, "Rc": 8, "Cs": 9, "Lsd": 10,
    "Rsd": 11, "Rls": 33, "Rrs": 34,
}  # fmt: skip
_LAYOUT_TAGS = {
    101: "L R", 108: "L R Ls Rs", 109: "L R Ls Rs C", 110: "L R Ls Rs C Cs", 113: "L R C",
    114: "C L R", 115: "L R C Cs", 116: "C L R Cs", 117: "L R C Ls Rs", 118: "L R Ls Rs C",
    119: "L C R Ls Rs", 120: "C L R Ls Rs", 121: "L R C LFE Ls Rs", 122: "L R Ls Rs C LFE",
    123: "L C R Ls Rs LFE", 124: "C L R Ls Rs LFE", 125: "L R C LFE Ls Rs Cs",
    126: "L R C LFE Ls Rs Lc Rc", 127: "C Lc Rc L R Ls Rs LFE", 128: "L R C LFE Ls Rs Rls Rrs",
    129: "L R Ls Rs C LFE Lc Rc", 131: "L R Cs", 132: "L R Ls Rs", 133: "L R LFE",
    134: "L R LFE Cs", 135: "L R LFE Ls Rs", 136: "L R C LFE", 137: "L R C LFE Cs",
    138: "L R Ls Rs LFE", 139: "L R Ls Rs C Cs", 140: "L R Ls Rs C Rls Rrs",
    141: "C L R Ls Rs Cs", 142: "C L R Ls Rs Cs LFE", 143: "C L R Ls Rs Rls Rrs",
    144: "C L R Ls Rs Rls Rrs Cs", 148: "L R Ls Rs C Lc Rc",
}  # fmt: skip
_FFMPEG_NAMES = (
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC", "TFL", "TFC", "TFR",
    "TBL", "TBC", "TBR",
)  # fmt: skip
"""FFmpeg's names of the speakers, by the bits of WAV's mask."""
_BY_DESCRIPTIONS, _BY_BITMAP = 0, 1 << 16
_MOST_DESCRIPTIONS = 255
_REAR = {33: 4, 34: 5}  # labels to bits; with them the surrounds (5, 6) stand at the sides
_SIDE = {5: 9, 6: 10}


@dataclass(frozen=True)
class Layout:
    """The speakers of a container's channels."""

    mask: int | None = None
    """The WAV channel mask; 0 where the container says that its channels are for no speakers; None
    where it says nothing."""
    order: tuple[int, ...] | None = None
    """For each channel in WAV's order its number in the container; None where the orders agree."""


NOTHING_SAID = Layout()
"""The layout of a container that says nothing of speakers."""


def holds_speakers(container: str, channels: int, mask: int | None) -> bool:
    """Return whether a container that is written says for which speakers the channels are."""
    if mask is None or container == "wav":
        return True
    return container == "flac" and mask in FLAC_MASKS.get(channels, ())


def kept_mask(mask: int | None, channels: int) -> int | None:
    """Return the mask to keep with the audio; None where the number of channels says the same."""
    if mask is None or mask == DEFAULT_MASKS.get(channels, 0):
        return None
    if not mask:
        return 0 if channels > 2 else None
    return mask if 0 < mask < 1 << 32 and mask.bit_count() == channels else None


def xiph_layout(channels: int) -> Layout:
    """Return the layout of Vorbis, and of Opus in mapping families 0 and 1."""
    return Layout(DEFAULT_MASKS.get(channels), _XIPH_ORDERS.get(channels))


def xiph_channels(channels: int) -> list[int] | None:
    """Return for each channel of Vorbis and Opus its number in WAV's order; None where these agree.

    It turns `xiph_layout` around, for writing.
    """
    order = _XIPH_ORDERS.get(channels)
    return None if order is None else [order.index(number) for number in range(channels)]


def core_audio_layout(chunk: bytes, channels: int) -> Layout:
    """Return the layout that is in the `chan` chunk of a CAF file, or the `CHAN` chunk of an AIFF.

    One with channels for which WAV has no speaker keeps its order, and has no mask.
    """
    if len(chunk) < 12:
        return NOTHING_SAID
    tag, bitmap, count = struct.unpack(">III", chunk[:12])
    if tag == _BY_BITMAP:
        mask = bitmap if bitmap.bit_count() == channels else None
        return Layout(mask)
    if tag == _BY_DESCRIPTIONS:
        count = min(count, _MOST_DESCRIPTIONS, (len(chunk) - 12) // 20)
        labels = [struct.unpack_from(">I", chunk, 12 + 20 * k)[0] for k in range(count)]
    else:
        labels = [_LABELS[name] for name in _LAYOUT_TAGS.get(tag >> 16, "").split()]
        labels = labels if tag & 0xFFFF == channels else []
    return _by_labels(labels) if len(labels) == channels else NOTHING_SAID


def _by_labels(labels: list[int]) -> Layout:
    """Return the layout of Core Audio's channel labels.

    Labels 1 to 18 are the bits of WAV's mask in order; with rear surrounds, surrounds are at the
    sides.
    """
    has_rear = 33 in labels or 34 in labels
    bits = []
    for label in labels:
        if label in _REAR:
            bits.append(_REAR[label])
        elif has_rear and label in _SIDE:
            bits.append(_SIDE[label])
        elif 1 <= label <= 18:
            bits.append(label - 1)
        else:
            return NOTHING_SAID
    if len(set(bits)) < len(bits):
        return NOTHING_SAID
    order = tuple(sorted(range(len(bits)), key=bits.__getitem__))
    mask = sum(1 << bit for bit in bits)
    return Layout(mask, None if order == tuple(range(len(bits))) else order)


def named_layout(names: list[str]) -> Layout:
    """Return the layout of channels with FFmpeg's names: FL, FR, FC, LFE and so on.

    Where one of them is no speaker of WAV's the channels keep their order, and have no mask.
    """
    if len(set(names)) < len(names) or not set(names) <= set(_FFMPEG_NAMES):
        return NOTHING_SAID
    bits = [_FFMPEG_NAMES.index(name) for name in names]
    order = tuple(sorted(range(len(bits)), key=bits.__getitem__))
    mask = sum(1 << bit for bit in bits)
    return Layout(mask, None if order == tuple(range(len(bits))) else order)
