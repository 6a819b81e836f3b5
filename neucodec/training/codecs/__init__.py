"""The codecs that can be trained, each with its paper's losses: one module and one class each."""

from __future__ import annotations

from neucodec.errors import NeucodecError
from neucodec.training.recipe import Recipe

from .dac import DacSystem
from .encodec import EncodecSystem
from .hificodec import HifiCodecSystem
from .neu import NeuSystem
from .spectokenizer import SpecTokenizerSystem
from .system import System

SYSTEMS: dict[str, type[System]] = {
    "neu": NeuSystem,
    "encodec": EncodecSystem,
    "dac": DacSystem,
    "hificodec": HifiCodecSystem,
    "spectokenizer": SpecTokenizerSystem,
}
"""By the name that recipes use: their family's."""


def system_of(recipe: Recipe) -> System:
    """The recipe's codec, untrained; NeucodecError where there is none, or [model] does not fit."""
    if recipe.system not in SYSTEMS:
        raise NeucodecError(f"system {recipe.system!r}: there are {', '.join(SYSTEMS)}")
    try:
        return SYSTEMS[recipe.system](recipe)
    except ValueError as error:
        raise NeucodecError(str(error)) from None
    except (TypeError, IndexError, ArithmeticError, RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        if "allocate memory" in reason:
            raise
        raise NeucodecError(f"[model] does not fit: {reason}") from None
