"""Save models to folders and to the Hugging Face Hub, and find them there, by the Hub's own mixin.

A folder holds ``card.toml``, the weights that it names, a ``config.json`` by which the Hub counts
downloads, and a model card for people. Importing this loads the Hub's library, which takes long.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HFValidationError

from neucodec.files.outfile import output_file
from neucodec.models import (
    CARD,
    CONFIG,
    TENSORS,
    Card,
    ModelError,
    card_text,
    parse_card,
    weights_of,
    weights_store,
)
from neucodec.version import __version__

from .errors import NeucodecError

if TYPE_CHECKING:
    from neucodec.models import Codec

LIBRARY = "neucodec"
"""Name by which the Hub knows what loads the models."""
_LICENCES = ("mit", "apache-2.0", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0")
"""Identifiers that the Hub has for licences of weights."""


class HubCheckpoint(ModelHubMixin, library_name=LIBRARY, tags=["audio", "codec"]):
    """A folder with a model, or a loaded codec that is to be saved to one."""

    def __init__(self, folder: Path | None = None) -> None:
        """Take the folder of a checkpoint that is there."""
        self.folder = folder
        self.codec: Codec | None = None

    @classmethod
    def of(cls, codec: Codec) -> HubCheckpoint:
        """Return a checkpoint that can be saved."""
        card = codec.card
        found = cls()
        found.codec = codec
        found._hub_mixin_config = {
            "model_type": LIBRARY, "name": card.name, "family": card.family,
            "sample_rate": card.sample_rate, "hop": card.hop, "codebooks": card.codebooks,
            "codebook_size": card.codebook_size,
        }  # fmt: skip
        return found

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the weights, and the card that names them."""
        assert self.codec is not None
        card = self.codec.card
        weights, name = _weights(self.codec)
        entropy = card.entropy
        if entropy and not entropy.embedded and (found := weights_store.find(entropy)):
            entropy = replace(entropy, weights=found.path.name, sources=())
            _write(save_directory / found.path.name, found.path.read_bytes())
        saved = replace(
            card, weights=name, sha256=hashlib.sha256(weights).hexdigest(), embedded=False,
            sources=(), entropy=entropy,
        )  # fmt: skip
        _write(save_directory / name, weights)
        _write(save_directory / CARD, card_text(saved).encode())

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **download: Any) -> HubCheckpoint:
        """Find a folder, or fetch what a repository has of a model."""
        if Path(model_id).is_dir():
            return cls(Path(model_id))
        options: Any = {name: download.get(name) for name in _OPTIONS}

        def fetched(name: str) -> Path:
            return Path(hf_hub_download(model_id, name, **options))

        try:
            path = fetched(CARD)
        except EntryNotFoundError:
            return cls(_of_transformers(model_id, fetched))
        card = parse_card(path)
        for entry in filter(None, (card, card.entropy)):
            if not (entry.embedded and entry is not card):
                fetched(entry.weights)
        return cls(path.parent)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """Write the model's card for people."""
        assert self.codec is not None
        return ModelCard(_readme(self.codec.card))


_OPTIONS = ("revision", "cache_dir", "force_download", "local_files_only", "token")


def save(codec: Codec, folder: Path, **choices: Any) -> str | None:
    """Save a codec to a folder, see `ModelHubMixin.save_pretrained`. Raises NeucodecError."""
    with _explained(str(folder)):
        return HubCheckpoint.of(codec).save_pretrained(folder, **choices)


def push(codec: Codec, repository: str, **choices: Any) -> str:
    """Push a codec to a repository, see `ModelHubMixin.push_to_hub`; return the commit's URL.

    Raises NeucodecError.
    """
    with _explained(repository):
        return HubCheckpoint.of(codec).push_to_hub(repository, **choices)


def folder_of(model: str, **choices: Any) -> Path:
    """Return the folder of a model, fetched where it is a repository. Raises NeucodecError."""
    with _explained(model):
        found = HubCheckpoint.from_pretrained(model, **choices).folder
    assert found is not None
    return found


def _weights(codec: Codec) -> tuple[bytes, str]:
    """Return a codec's weights as a safetensors file, and its name.

    The file that they were loaded from is taken as it is, so that files that name its fingerprint
    are decoded with what is saved.
    """
    from safetensors.torch import save as as_bytes

    found = weights_store.find(codec.card) if codec.card.sha256 else None
    if found and found.path.suffix == ".safetensors":
        data = found.path.read_bytes()
        if hashlib.sha256(data).hexdigest() == codec.card.sha256:
            return data, found.path.name
    return as_bytes(weights_of(codec)), TENSORS[0]


def _of_transformers(repository: str, fetched: Any) -> Path:
    """Fetch a model that Transformers has saved."""
    try:
        folder: Path = fetched(CONFIG).parent
    except EntryNotFoundError:
        raise NeucodecError(
            f"{repository}: no model that neucodec can read: it has neither {CARD} nor {CONFIG}"
        ) from None
    for name in TENSORS:
        try:
            fetched(name)
        except EntryNotFoundError:
            continue
        return folder
    raise NeucodecError(f"{repository}: it has none of {', '.join(TENSORS)}")


def _write(path: Path, data: bytes) -> None:
    with output_file(str(path), overwrite=True) as file:
        file.write(data)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn what the Hub's library raises into one line."""
    try:
        yield
    except (NeucodecError, ModelError, KeyboardInterrupt):
        raise
    except HFValidationError:
        raise NeucodecError(
            f"{what}: no folder that is there, and no repository: those are OWNER/NAME"
        ) from None
    except Exception as error:  # of several HTTP libraries, as the version has it
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise NeucodecError(f"{what}: {reason}") from error


def _readme(card: Card) -> str:
    """Return the model card in Markdown, its head in YAML; JSON's texts are YAML's, too."""
    licence = card.license_weights.lower().replace(" ", "-")
    known = licence in _LICENCES
    lines = [
        "---",
        f"license: {licence if known else 'other'}",
        *([] if known else [f"license_name: {json.dumps(card.license_weights)}"]),
        f"library_name: {LIBRARY}",
        "pipeline_tag: audio-to-audio",
        "tags: [audio, codec, neural-audio-codec, tokens]",
        "---",
        f"# {card.name}",
        "",
        f"{card.title}. A codec of the family {card.family}, for neucodec {__version__} or later.",
        "",
        "| | |",
        "|---|---|",
        f"| sample rate | {card.sample_rate} Hz |",
        f"| channels of a stream | {card.channels} |",
        f"| frames of codes | {card.sample_rate / card.hop:.4g} per second |",
        f"| codebooks | up to {card.codebooks}, {card.default_codebooks} unless you say otherwise, "
        f"of {card.codebook_size} entries |",
        f"| bitrate of a stream | {card.bitrate(card.counts[0]) / 1000:.3g} to "
        f"{card.bitrate(card.counts[-1]) / 1000:.3g} kbps |",
        f"| parameters | {card.parameters / 1e6:.3g} million |",
        f"| licence of the weights | {card.license_weights} |",
        f"| licence of the code | {card.license_code} |",
        *([f"| paper | <{card.paper}> |"] if card.paper else []),
        "",
        "```python",
        "import neucodec",
        "",
        'model = neucodec.Model.from_pretrained("OWNER/NAME")  # this repository',
        "tokens = model.encode(audio, sample_rate)  # tokens.codes: [batch, codebooks, frames]",
        "audio = model.decode(tokens)",
        "```",
        "",
    ]
    return "\n".join(lines)
