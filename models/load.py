"""Find, check and load a codec by its name, its card or the path of a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from neucodec.models.catalogue.card import Card, card_names, find_card
from neucodec.models.catalogue.download_progress import SILENT, Monitor
from neucodec.models.families.table import FAMILIES, family_of
from neucodec.models.parts.precision import float32_by_default, in_bfloat16

from .catalogue import weights_store
from .errors import ModelError

if TYPE_CHECKING:
    import torch

    from .codec import Codec


def resolve(model: str | Card) -> Card:
    """Find the card of a model, given by its name or as the path of a user's own checkpoint.

    Raises ModelError where there is neither.
    """
    if isinstance(model, Card):
        return model
    if model in card_names() or not _is_path(model):
        return find_card(model)
    from .local_checkpoint import card_at

    return card_at(Path(model))


def choose_device(name: str) -> torch.device:
    """Return the device of a name: torch's names, or ``auto``, the first of CUDA, MPS and CPU.

    Raises ModelError where this machine has no such device.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise ModelError(
            f"no device {name!r} here: use auto, cpu, cuda or mps, whichever this machine has"
        ) from None
    return device


def choose_precision(name: str, card: Card, device: torch.device) -> torch.dtype:
    """Return the type of number that decoding computes in, for a name in `PRECISIONS`.

    ``auto`` is float32 for a codec that can use nothing else. Encoding is always in float32. Raises
    ModelError where the codec cannot decode in bfloat16.
    """
    import torch

    usable = "bfloat16" in family_of(card).precisions
    if name == "bfloat16" and not usable:
        able = [family.name for family in FAMILIES.values() if "bfloat16" in family.precisions]
        raise ModelError(f"{card.name} decodes in float32 only; bfloat16 is for {', '.join(able)}")
    return torch.bfloat16 if usable and in_bfloat16(name, device) else torch.float32


def load_codec(
    model: str | Card,
    device: str = "auto",
    *,
    precision: str = "float32",
    offline: str = "",
    monitor: Monitor = SILENT,
    half: str | None = None,
) -> Codec:
    """Load a codec by its card, its name or its path; fetch its weights first if need be.

    ``precision`` is one of `PRECISIONS`. ``offline`` names what forbids fetching, "" if nothing
    does; ``monitor`` is told how far a download is. To save memory only one ``half`` may be kept,
    "encoder" or "decoder". Raises ModelError.
    """
    card = resolve(model)
    found = weights_store.fetch(card, offline=offline, monitor=monitor)
    card = replace(card, sha256=weights_store.check(found))
    return build_codec(card, found.path, device, precision, half)


def build_codec(
    card: Card,
    path: Path,
    device: str = "auto",
    precision: str = "float32",
    half: str | None = None,
) -> Codec:
    """Load the codec of a card from a weights file, in any of the family's formats.

    Options are as in `load_codec`. Raises ModelError where card and file do not fit.
    """
    from neucodec.models.parts.single_thread import single_thread

    from .families.build import build, keep_half

    chosen = choose_device(device)
    # Loading multiplies weights with each other.
    with single_thread(), float32_by_default():
        codec = build(card, path, chosen, choose_precision(precision, card, chosen))
    if half:
        keep_half(codec, half)
    return codec


def export_onnx(codec: Codec, folder: Path) -> tuple[Path, Path]:
    """Write a codec's encoder and decoder as ONNX graphs into a folder that is there.

    Returns their paths. Raises ModelError for families that cannot be exported, and where the
    packages ``onnx`` and ``onnxscript`` are missing.
    """
    family = family_of(codec.card)
    if not family.onnx:
        able = [each.name for each in FAMILIES.values() if each.onnx]
        raise ModelError(f"{codec.card.name}: only the family {', '.join(able)} can be exported")
    return family.export_onnx(codec, folder)


def export_portable(
    model: str | Card, *, offline: str = "", monitor: Monitor = SILENT
) -> tuple[Card, bytes]:
    """Return a model's card and the bytes of its file of weights for the portable decoder.

    That file also has the model's entropy model, where it has one. Options are as in `load_codec`.
    Raises ModelError, also for families that the portable decoder lacks.
    """
    from neucodec.models.parts.flat_weights import flat_weights

    card = resolve(model)
    family = family_of(card)
    if not family.portable:
        able = ", ".join(each.name for each in FAMILIES.values() if each.portable)
        raise ModelError(f"{card.name}: the portable decoder has the family {able} alone")
    found = weights_store.fetch(card, offline=offline, monitor=monitor)
    card, entropy_path = replace(card, sha256=weights_store.check(found)), None
    if card.entropy is not None:
        entropy = weights_store.fetch(card.entropy, offline=offline, monitor=monitor)
        weights_store.check(entropy)
        entropy_path = entropy.path
    return card, flat_weights(family.portable_tensors(card, found.path, entropy_path))


def _is_path(text: str) -> bool:
    return Path(text).name != text or Path(text).exists()
