"""What a loaded model is: its facts, its device, and how it is saved, pickled and loaded."""

from __future__ import annotations

from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from neucodec.models import (
    Card,
    Codec,
    PlainNetwork,
    card_names,
    choose_device,
    codec_of,
    device_of,
    dtype_of,
    load_codec,
    on_device,
    weights_of,
    weights_store,
)

from .arguments import path_of
from .errors import GivenTypeError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Self = TypeVar("Self", bound="LoadedModel")


class LoadedModel:
    """Holds a loaded codec."""

    def __init__(self, codec: Codec) -> None:
        """Take a loaded codec; `neucodec.load_model` and `from_pretrained` load one."""
        self.codec = codec
        """What `neucodec.encode` and `neucodec.decode` run, chunk by chunk."""

    @property
    def card(self) -> Card:
        """Return all that is to be known about the model, its licence included."""
        return self.codec.card

    @property
    def name(self) -> str:
        """Return the name that files carry."""
        return self.card.name

    @property
    def sample_rate(self) -> int:
        """Return the sample rate in Hz of the audio that goes in and comes out."""
        return self.card.sample_rate

    @property
    def frame_rate(self) -> float:
        """Return the number of frames of codes per second."""
        return self.card.sample_rate / self.card.hop

    @property
    def codebooks(self) -> int:
        """Return the largest number of codebooks."""
        return self.card.codebooks

    @property
    def codebook_size(self) -> int:
        """Return the number of entries of each codebook; codes are below it."""
        return self.card.codebook_size

    @property
    def network(self) -> nn.Module:
        """Return the network of `embed`, `synthesise` and `reconstruct`, a copy of the codec's own.

        None of its parameters requires gradients unless you say so.
        """
        return self._plain.network

    @property
    def device(self) -> torch.device:
        """Return the device on which the network is."""
        return device_of(self.codec)

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of numbers of the network's weights."""
        return dtype_of(self.codec)

    def to(self: Self, device: str | torch.device | None = None) -> Self:
        """Return the model on a device, by torch's names for them; itself where it is there.

        It is another one where that is another device: a model that others use stays where it is.
        Weights stay float32, since codes depend on every bit. Raises NeucodecError for devices
        that this machine lacks.
        """
        import torch

        if device is None:
            return self
        if not isinstance(device, (str, torch.device)):
            raise GivenTypeError(f"to({device}): give a device; weights stay float32")
        chosen = choose_device(str(device))
        moved = on_device(self.codec, chosen)
        return self if moved is self.codec else type(self)(moved)

    @classmethod
    def from_pretrained(
        cls: type[Self], model: str | PathLike[Any], *, device: str = "auto", **download: Any
    ) -> Self:
        """Load a model from a folder that `save_pretrained` wrote, or from a repository on the
        Hugging Face Hub, as in ``OWNER/NAME``; what Transformers has saved of EnCodec and DAC, and
        the names of neucodec's own models, too.

        ``download`` is what huggingface_hub takes: ``revision``, ``token``, ``cache_dir``,
        ``local_files_only``, ``force_download``. Raises NeucodecError.
        """
        from .hub import folder_of

        name = path_of(model)
        return cls(
            load_codec(name if name in card_names() else str(folder_of(name, **download)), device)
        )

    def save_pretrained(self, folder: str | PathLike[Any], **choices: Any) -> str | None:
        """Write weights, card and a model card for people to a folder.

        ``choices`` are those of huggingface_hub's ``ModelHubMixin.save_pretrained``, as
        ``push_to_hub=True`` and ``repo_id``. Raises NeucodecError.
        """
        from .hub import save

        return save(self.codec, Path(path_of(folder)), **choices)

    def push_to_hub(self, repository: str, **choices: Any) -> str:
        """Push what `save_pretrained` writes to the Hugging Face Hub; return the commit's URL.

        ``choices`` are those of huggingface_hub's ``ModelHubMixin.push_to_hub``: ``private``,
        ``token``, ``branch``, ``commit_message``. Raises NeucodecError.
        """
        from .hub import push

        return push(self.codec, repository, **choices)

    def __repr__(self) -> str:
        channels = {1: "mono", 2: "stereo"}.get(self.card.channels, f"{self.card.channels} ch")
        return (
            f"<Model {self.name!r}: {self.sample_rate} Hz, {channels}, {self.codebooks} codebooks "
            f"of {self.codebook_size}, {self.frame_rate:.4g} frames/s, on {self.device}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what the model is, not its weights: unpickling loads and checks them anew.

        Weights that lie in no file go along.
        """
        found = self.card.sha256 and weights_store.find(self.card)
        weights = None if found else weights_of(self.codec)
        return _unpickled, (type(self), self.card, str(self.device), weights)

    @cached_property
    def _plain(self) -> PlainNetwork:
        return PlainNetwork(self.codec)


def _unpickled(
    kind: type[Self], card: Card, device: str, weights: dict[str, Tensor] | None
) -> Self:
    """Load a model that was pickled."""
    if weights is None:
        return kind(load_codec(card, device))
    return kind(codec_of(card, weights, choose_device(device)))
