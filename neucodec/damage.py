"""Tell callers from Python what a file has lost."""

from __future__ import annotations

import warnings

from neucodec.coding.decoder import Decoder
from neucodec.terminal.timecode import format_spans

from .errors import NcfDamageWarning


def problems_of(decoder: Decoder) -> list[str]:
    """Say what was not there to be decoded, once ``decoder.blocks`` is through."""
    problems = []
    if decoder.damaged:
        problems.append(f"damaged: silence at {format_spans(decoder.damaged)}")
    if decoder.truncated:
        problems.append("cut off, or its end damaged")
    if decoder.surplus:
        problems.append(f"{decoder.surplus}: not decoded")
    return problems


def warn_of_damage(decoder: Decoder, stacklevel: int) -> None:
    """Warn of `problems_of`; ``stacklevel`` is that of whoever called the interface."""
    if problems := problems_of(decoder):
        text = f"{'; '.join(problems)} (strict=True raises instead)"
        warning = NcfDamageWarning(text, decoder.damaged, decoder.truncated)
        warnings.warn(warning, stacklevel=stacklevel)
