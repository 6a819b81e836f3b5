"""Choose and load entropy models for codecs and files, each once.

Who encodes or decodes hands an `EntropyModels` in, which knows whether anything may be fetched.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from neucodec.errors import NeucodecError
from neucodec.formats import EntropyCoder, Header, can_adapt
from neucodec.models import SILENT, Card, ModelError, Monitor, find_card
from neucodec.terminal.signals import interruptible

from .entropy import Adaptive, EntropyModel, Learned
from .options import ENTROPY_MODES

if TYPE_CHECKING:
    from neucodec.models import FrequencyModel


class EntropyModels:
    """Loads entropy models, each once. Safe to share between threads."""

    def __init__(self, offline: str = "", monitor: Monitor = SILENT) -> None:
        """Take ``offline``, which names what forbids fetching and is empty where nothing does, and
        ``monitor``, which learns how far a download is.
        """
        self._offline, self._monitor = offline, monitor
        self._loaded: dict[tuple[str, str, Path], Learned] = {}
        self._lock = Lock()

    def choose(self, card: Card, mode: str) -> EntropyModel | None:
        """Return what an encoder is to use; None for codes as they are.

        ``mode`` is one of `ENTROPY_MODES`; only where it is ``lm`` is anything fetched.
        Raises NeucodecError where there is no such model for the codec, ModelError where it cannot
        be had.
        """
        if mode not in ENTROPY_MODES:
            raise NeucodecError(f"entropy coder {mode!r}: give {', '.join(ENTROPY_MODES)}")
        # What is in the cache must not decide what comes of the same command.
        own = card.entropy is not None and not card.entropy.sources
        if mode == "lm" or (mode == "auto" and own):
            if card.entropy is None:
                raise NeucodecError(
                    f"there is no entropy model for {card.name}: use --entropy adaptive or none"
                )
            return self._load(card)
        if mode == "none" or not can_adapt(card.codebook_size, card.chunk_frames):
            return None
        return Adaptive(card.codebook_size)

    def of(self, header: Header, card: Card | None = None) -> EntropyModel | None:
        """Return what a file's payloads were coded with; None where they are raw.

        ``card`` is the codec's, found by its name unless given. Raises NeucodecError where the
        model cannot be had. Another version of it will not do, and there is no forcing it: nothing
        but noise would come of it.
        """
        if header.entropy == EntropyCoder.NONE:
            return None
        if header.entropy == EntropyCoder.ADAPTIVE:
            return Adaptive(header.codebook_size)
        card = card or find_card(header.codec)
        maker = f", which {header.encoder} had" if header.encoder else ""
        if card.entropy is None or card.entropy.name != header.entropy_model:
            raise NeucodecError(
                f"its codes need the entropy model {header.entropy_model}, which is not here: use "
                f"a version that has it{maker}"
            )
        try:
            found = self._load(card)
        except ModelError as error:
            raise NeucodecError(f"its codes need an entropy model: {error}") from None
        _check(header, found, maker)
        return found

    def _load(self, card: Card) -> Learned:
        from neucodec.models import fetch_entropy_model, load_entropy_model

        with self._lock:
            with interruptible():  # a server may take its time
                file = fetch_entropy_model(card, offline=self._offline, monitor=self._monitor)
            assert card.entropy is not None
            key = card.name, card.entropy.name, file.path
            if key not in self._loaded:
                self._loaded[key] = Learned(load_entropy_model(card, file))
            return self._loaded[key]


SHARED = EntropyModels()
"""What the Python interface takes: it fetches what is not here, unless the environment forbids."""


def _check(header: Header, found: Learned, maker: str) -> None:
    """Raise NeucodecError where a loaded model is not the one that a file names, or cannot be."""
    if found.fingerprint != header.entropy_fingerprint:
        raise NeucodecError(
            f"its codes need another version of the entropy model {header.entropy_model} "
            f"({header.entropy_fingerprint.hex()}) than is here ({found.fingerprint.hex()}): use a "
            f"version that has it{maker}"
        )
    model: FrequencyModel = found.model
    if header.codebook_size != model.codebook_size or header.chunk_frames > model.frames:
        raise NeucodecError(
            f"its header does not fit its entropy model {header.entropy_model}: codebooks of "
            f"{header.codebook_size} instead of {model.codebook_size} entries, chunks of "
            f"{header.chunk_frames} frames where {model.frames} are possible"
        )
