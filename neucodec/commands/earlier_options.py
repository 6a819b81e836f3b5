"""Tell with which other options an .ncf that is there was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neucodec.audio.tag_names import PICTURE
from neucodec.coding.options import EncodeOptions
from neucodec.terminal.console import counted

if TYPE_CHECKING:
    from neucodec.formats import Header
    from neucodec.models import Card


@dataclass(frozen=True)
class TagChanges:
    """Says what the command line wants done to the tags of inputs."""

    no_tags: bool
    """Whether the input's own are left behind."""
    no_cover: bool
    """Whether pictures are left behind."""
    set_tags: tuple[tuple[str, str], ...]
    """Names and texts; one without a text is removed."""

    def of(self, found: Mapping[str, str]) -> dict[str, str]:
        """Return the tags of an output, from those that its input has."""
        tags = {} if self.no_tags else dict(found)
        if self.no_cover:
            tags.pop(PICTURE, None)
        return {name: value for name, value in (tags | dict(self.set_tags)).items() if value}


def other_options(header: Header, card: Card, channels: int, options: EncodeOptions) -> str:
    """Say what differs in how a file was coded from what is asked for; empty where nothing does.

    ``card`` is the model that is asked for, and ``channels`` what the file is to have.
    """
    from neucodec.coding.rate_target import RateTarget
    from neucodec.formats import EntropyCoder

    if header.codec != card.name:
        return f"was made with {header.codec}, not {card.name}"
    if header.channels != channels:
        return f"has {counted(header.channels, 'channel')}, not {channels}"
    entropy = header.entropy.name.lower()
    has_model = card.entropy is not None
    if options.entropy not in ("auto", entropy) or (
        options.entropy == "auto" and has_model and header.entropy == EntropyCoder.NONE
    ):
        return f"was made with --entropy {entropy}, not {options.entropy}"
    goal = RateTarget.of(card, channels, options, header.entropy != EntropyCoder.NONE)
    had = header.average_bitrate if goal.is_average else header.nominal_bitrate
    if had != round(goal.bits_per_second):
        other = header.average_bitrate or header.nominal_bitrate or 0
        return f"was made for {other / 1000:.3g} kbps, not {goal.bits_per_second / 1000:.3g}"
    if header.layer != goal.layer:
        return f"was made {'without' if goal.layer else 'with'} layers"
    return ""


def other_changes(header: Header, *, loudness: bool, tags: TagChanges) -> str:
    """Say what differs in how the input was changed before; empty where nothing does.

    ``loudness`` says whether it is to be brought to a loudness.
    """
    if loudness != (header.gain_db is not None):
        return f"was made {'without' if loudness else 'with'} --normalize-loudness"
    wanted = dict(tags.set_tags)
    missing = any(header.tags.get(name, "") != text for name, text in wanted.items())
    if missing or (tags.no_tags and set(header.tags) - set(wanted)):
        return "has other tags"
    return ""
