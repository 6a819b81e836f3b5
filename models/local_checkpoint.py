"""Make cards for users' own checkpoints.

Either a card lies beside the weights, or what it would say can be told from the checkpoint:
Transformers keeps a ``config.json`` there, DAC's training puts the constructor's arguments into the
file, and some published networks are recognised by the shapes of their tensors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from neucodec.models.catalogue.card import Card
from neucodec.models.families.family import OWN_LICENCE
from neucodec.models.families.table import FAMILIES

from .bounds import OutOfBoundsError, said, short_text
from .errors import ModelError

if TYPE_CHECKING:
    from neucodec.models.parts.checkpoint_header import CheckpointHeader


CARD = "card.toml"
"""Name of the card in a directory that holds a checkpoint."""
CONFIG = "config.json"
"""Name of the configuration in a directory that Transformers has written."""
TENSORS = ("model.safetensors", "pytorch_model.bin")
"""Names of the weights in such a directory; the first that is there is taken."""

_HELP = "docs/models.md says what a card holds"


def card_at(path: Path) -> Card:
    """Make the card of a checkpoint: a directory, a weights file, or the card's own file.

    Raises ModelError where there is no checkpoint, or none that says what network it is for.
    """
    if path.is_dir():
        if (path / CARD).is_file():
            return parse_card(path / CARD)
        if (path / CONFIG).is_file():
            return _from_transformers(path)
        raise ModelError(f"{path} holds neither {CARD} nor Transformers' {CONFIG}; {_HELP}")
    if not path.is_file():
        raise ModelError(f"no model is called {str(path)!r}, and there is no such file")
    if path.suffix == ".toml":
        return parse_card(path)
    beside = path.with_suffix(".toml")
    if beside.is_file():
        return replace(parse_card(beside), weights=path.name)
    return _from_file(path)


def parse_card(path: Path) -> Card:
    """Read a card of one's own, whose weights lie beside it. Raises ModelError."""
    try:
        card = Card.parse(short_text(path), str(path))
    except UnicodeDecodeError:
        raise ModelError(f"{path}: not a card: no text") from None
    if Path(card.weights).name != card.weights:
        raise ModelError(f"{path}: weights {card.weights!r} is to be a file beside the card")
    # The package's entropy models are there for codecs of one's own, too.
    entropy = card.entropy and replace(card.entropy, folder=path.parent)
    if entropy and Path(entropy.weights).name != entropy.weights:
        raise ModelError(f"{path}: weights {entropy.weights!r} is to be a file beside the card")
    return replace(card, embedded=False, folder=path.parent, entropy=entropy)


def _from_transformers(folder: Path) -> Card:
    weights = next((name for name in TENSORS if (folder / name).is_file()), None)
    if weights is None:
        raise ModelError(f"{folder} holds none of {', '.join(TENSORS)}")
    source = folder / CONFIG
    try:
        config = json.loads(short_text(source))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{source}: no JSON: {str(error)[:100]}") from None
    families = [name for name, family in FAMILIES.items() if family.in_transformers]
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str) or kind not in families:
        raise ModelError(f"{source}: model_type {said(kind)}; {', '.join(families)} can be read")
    name = _name_of(folder.resolve().name)
    card = _derived(lambda: FAMILIES[kind].card_of_transformers(config, name), str(source))
    return replace(card, folder=folder, weights=weights)


def _from_file(path: Path) -> Card:
    from neucodec.models.parts.checkpoint_header import read_header

    header, name = read_header(path), _name_of(path.stem)
    for family in FAMILIES.values():
        if family.describes(header.metadata):
            card = _derived(partial(family.card_of_metadata, header.metadata, name), str(path))
            return replace(card, folder=path.parent, weights=path.name)
    return _recognised(path, header)


def _recognised(path: Path, header: CheckpointHeader) -> Card:
    """Make the card of a checkpoint by the names and shapes of its tensors alone."""
    from neucodec.models.catalogue.digest import sha256_of
    from neucodec.models.families.recognition import recognise

    found = recognise(header)
    if len(found) != 1:
        names = " or ".join(card.name for card in found)
        raise ModelError(
            f"{path} does not say what network it is for: put a card beside it, "
            f"{path.with_suffix('.toml').name}{f', as of {names}' if found else ''}; {_HELP}"
        )
    card, sha256 = replace(found[0], folder=path.parent, weights=path.name), sha256_of(path)
    if any(source.sha256 and sha256.startswith(source.sha256) for source in card.sources):
        return card  # the published file itself
    return replace(
        card, name=_name_of(path.stem), title=f"As {card.name}, of one's own", sources=(),
        sha256="", same_codes=(), entropy=None, license_weights=OWN_LICENCE,
    )  # fmt: skip


def _derived(make: Callable[[], Card], source: str) -> Card:
    """Make a card from numbers that may be anyone's; ``source`` names them in a ModelError."""
    try:
        return make().check()
    except OutOfBoundsError as error:
        raise ModelError(f"{source}: no sound configuration: {error}") from None
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from None
    except KeyError as error:
        raise ModelError(f"{source}: no sound configuration: {error} is missing") from None
    except Exception as error:  # of whatever kind: the numbers are anyone's
        reason = " ".join(str(error).split())[:100]
        raise ModelError(f"{source}: no sound configuration: {reason}") from None


def _name_of(text: str) -> str:
    """Turn a file's name into one by which an .ncf can name a codec."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("._+-")[:64] or "own"
