"""Convert between .ncf and the files of other programs, code for code, without encoding again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO

from neucodec.coding.entropy_models import SHARED, EntropyModels
from neucodec.errors import NeucodecError
from neucodec.files.byte_streams import read_up_to
from neucodec.formats import Header, NcfReader
from neucodec.formats.peers import (
    DAC_MAGIC,
    ECDC_MAGIC,
    read_dac,
    read_ecdc,
    write_dac,
    write_ecdc,
)
from neucodec.models import Card

from .dac import dac_to_ncf, ncf_to_dac
from .ecdc import ecdc_to_ncf, ncf_to_ecdc
from .ncf_codes import Load

MAX_BYTES = 1 << 28
"""The largest file of codes, in bytes, that is read into memory to be converted."""


def kind_of(head: bytes) -> str | None:
    """Return ``ncf``, ``ecdc`` or ``dac`` by the first eight bytes of a file; None for others."""
    starts = {b"\x89NCF": "ncf", ECDC_MAGIC: "ecdc", DAC_MAGIC: "dac"}
    return next((kind for start, kind in starts.items() if head.startswith(start)), None)


def as_ncf(file: BinaryIO, load: Load, model: Card | None = None) -> BinaryIO:
    """Return an .ncf: the file itself, or for an .ecdc or .dac one in memory with the same codes.

    ``load`` and ``model`` are as for `to_ncf`. A file that has neither ``peek`` nor ``seek`` is
    taken for an .ncf, since its first bytes could not be put back.
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
    """Read all bytes of a file that is to be converted in memory.

    Raises NeucodecError where there are more than `MAX_BYTES`, as from a pipe or a server that
    never ends.
    """
    data = read_up_to(file, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise NeucodecError(f"more than {MAX_BYTES} bytes: a day of codes has fewer")
    return data


def to_ncf(data: bytes, target: BinaryIO, load: Load, model: Card | None = None) -> Header:
    """Write the codes of an .ecdc or .dac to ``target`` as an .ncf, and return its header.

    ``load`` is asked for the codec, whose fingerprint goes into the .ncf. ``model`` is the card of
    the checkpoint that the file was made with; it is needed where that is not a published one, or
    where a .dac fits several. Raises NeucodecError for other files and where the model is unclear.
    """
    kind = kind_of(data[:8])
    if kind == "ecdc":
        return ecdc_to_ncf(read_ecdc(data), target, load, model)
    if kind == "dac":
        return dac_to_ncf(read_dac(data), target, load, model)
    raise NeucodecError("neither an .ecdc nor a .dac: its first bytes are others")


@dataclass(frozen=True)
class Converted:
    """Holds a file for another program."""

    data: bytes
    """The bytes of the file."""
    lost: list[str]
    """What the .ncf had and this file does not keep, in words: its tags, its sample rate."""


def from_ncf(
    reader: NcfReader,
    kind: str,
    load: Load,
    model: Card | None = None,
    entropy_models: EntropyModels = SHARED,
) -> Converted:
    """Convert an .ncf to an ``ecdc`` or a ``dac``.

    ``load`` gives the codec, ``model`` its card where the name in the .ncf does not lead to it,
    ``entropy_models`` the entropy model that the .ncf names. Raises NeucodecError where the codec
    is not that program's, where the .ncf is damaged, or where the format cannot hold its codes.
    """
    from neucodec.coding.file_codec import card_for

    header = reader.header
    card_for(header, model)  # which checks the header
    lost = ["its tags"] if header.tags else []
    lost += ["the speakers of its channels"] if header.channel_mask is not None else []
    if kind == "ecdc":
        ecdc, more = ncf_to_ecdc(reader, entropy_models)
        return Converted(write_ecdc(ecdc), lost + more)
    dac, more = ncf_to_dac(reader, load, model, entropy_models)
    return Converted(write_dac(dac), lost + more)
