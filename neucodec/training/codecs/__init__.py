"""Train codecs, each with its paper's losses: one module and one class each."""

from __future__ import annotations

from importlib import import_module

from neucodec.errors import NeucodecError
from neucodec.models.families.table import FAMILIES
from neucodec.training.recipe import Recipe

from .system import System

SYSTEMS = tuple(family.name for family in FAMILIES.values() if family.system)
"""Names of the families that can be trained, as recipes write them. A family's record names its
class here, in the module of the family's own name."""


def system_of(recipe: Recipe) -> System:
    """Return the recipe's codec, untrained. Raises NeucodecError where there is none, or [model]
    does not fit.
    """
    if recipe.system not in SYSTEMS:
        raise NeucodecError(f"system {recipe.system!r}: there are {', '.join(SYSTEMS)}")
    try:
        return _class_of(recipe.system)(recipe)
    except ValueError as error:
        raise NeucodecError(str(error)) from None
    except (TypeError, IndexError, ArithmeticError, RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        if "allocate memory" in reason:
            raise
        raise NeucodecError(f"[model] does not fit: {reason}") from None


def _class_of(name: str) -> type[System]:
    module = import_module(f".{name}", __name__)
    found: type[System] = getattr(module, FAMILIES[name].system)
    return found
