"""Networks, quantisers, cards and embedded weights: tensors, and never bytes or terminals.

This is the face of the package: other rooms import from here alone, except for training, which
builds networks out of their parts. Importing the face loads neither torch nor any other module;
each is loaded when one of its names is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batching import decode_together, encode_together
    from .catalogue import weights_store
    from .catalogue.card import WINDOWS, Card, card_names, cards, entropy_cards, find_card
    from .catalogue.card_text import card_text
    from .catalogue.download_progress import SILENT, Advance, Monitor
    from .catalogue.weights_entry import WeightsEntry
    from .codec import AudioChunk, Codec, CodeChunk, State
    from .errors import ModelError
    from .families.family import DECODER, ENCODER
    from .families.table import FAMILIES, family_of
    from .import_torch import start_torch
    from .lm.frequencies import FrequencyModel, Stepper, digest
    from .lm.load import build_entropy_model, fetch_entropy_model, load_entropy_model
    from .load import (
        build_codec,
        choose_device,
        export_onnx,
        export_portable,
        load_codec,
        resolve,
    )
    from .local_checkpoint import CARD, CONFIG, TENSORS, parse_card
    from .parts.precision import PRECISIONS, float32_by_default
    from .strategies import cancel
    from .variants import (
        PlainNetwork,
        codec_of,
        device_of,
        dtype_of,
        in_windows,
        on_device,
        on_whole_frames,
        weights_of,
    )

_HOMES = {
    "batching": ("decode_together", "encode_together"),
    "catalogue": ("weights_store",),
    "catalogue.card": ("WINDOWS", "Card", "card_names", "cards", "entropy_cards", "find_card"),
    "catalogue.card_text": ("card_text",),
    "catalogue.download_progress": ("SILENT", "Advance", "Monitor"),
    "catalogue.weights_entry": ("WeightsEntry",),
    "codec": ("AudioChunk", "CodeChunk", "Codec", "State"),
    "errors": ("ModelError",),
    "families.family": ("DECODER", "ENCODER"),
    "families.table": ("FAMILIES", "family_of"),
    "import_torch": ("start_torch",),
    "lm.frequencies": ("FrequencyModel", "Stepper", "digest"),
    "lm.load": ("build_entropy_model", "fetch_entropy_model", "load_entropy_model"),
    "load": (
        "build_codec",
        "choose_device",
        "export_onnx",
        "export_portable",
        "load_codec",
        "resolve",
    ),
    "local_checkpoint": ("CARD", "CONFIG", "TENSORS", "parse_card"),
    "parts.precision": ("PRECISIONS", "float32_by_default"),
    "strategies": ("cancel",),
    "variants": (
        "PlainNetwork",
        "codec_of",
        "device_of",
        "dtype_of",
        "in_windows",
        "on_device",
        "on_whole_frames",
        "weights_of",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "CARD",
    "CONFIG",
    "DECODER",
    "ENCODER",
    "FAMILIES",
    "PRECISIONS",
    "SILENT",
    "TENSORS",
    "WINDOWS",
    "Advance",
    "AudioChunk",
    "Card",
    "CodeChunk",
    "Codec",
    "FrequencyModel",
    "ModelError",
    "Monitor",
    "PlainNetwork",
    "State",
    "Stepper",
    "WeightsEntry",
    "build_codec",
    "build_entropy_model",
    "cancel",
    "card_names",
    "card_text",
    "cards",
    "choose_device",
    "codec_of",
    "decode_together",
    "device_of",
    "digest",
    "dtype_of",
    "encode_together",
    "entropy_cards",
    "export_onnx",
    "export_portable",
    "family_of",
    "fetch_entropy_model",
    "find_card",
    "float32_by_default",
    "in_windows",
    "load_codec",
    "load_entropy_model",
    "on_device",
    "on_whole_frames",
    "parse_card",
    "resolve",
    "start_torch",
    "weights_of",
    "weights_store",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f".{_HOME_OF[name]}", __name__)
    if name == "weights_store":
        return import_module(f".{name}", home.__name__)
    return getattr(home, name)


def __dir__() -> list[str]:
    return sorted(__all__)
