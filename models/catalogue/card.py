"""Read cards: what there is to know about a checkpoint without loading it."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from neucodec.models.bounds import said
from neucodec.models.errors import ModelError

from .card_ranges import RANGES
from .entropy_card import EntropyCard
from .weights_entry import WeightsEntry
from .weights_source import WeightsSource

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


# Ways in which the chunks of a codec meet, by name, in words for the documentation.
STRATEGIES = {
    "overlap": "each chunk by itself, with real samples around it that decoding fills, faded",
    "context": "as in one piece: real samples and codes of the neighbours around each chunk",
    "stream": "as in one piece: one chunk after the other, with state between them",
    "segments": "each chunk by itself, longer than the stride, cross-faded where two overlap",
}
WINDOWS = "windows"
"""Strategy of a card that `Card.windows` gave, for decoding alone."""
# Ways in which chunks are brought to a level before they are coded, by name.
LEVELS = {
    "rms": "each chunk and channel at unit RMS, its scale beside the codes; silence is free",
    "codec": "the codec levels each chunk, and the scale it gives stands beside the codes",
    "none": "as it comes",
}


_KINDS: dict[str, tuple[type, str]] = {
    "str": (str, "text"),
    "int": (int, "a whole number"),
    "bool": (bool, "true or false"),
    "Sequence[int]": (list, "a list"),
    "Sequence[str]": (list, "a list"),
    "Sequence[WeightsSource]": (list, "tables [[sources]]"),
    "dict[str, Any]": (dict, "a table"),
    "EntropyCard | None": (dict, "a table, [entropy]"),
}
_MOST_SAMPLES = 2**24
"""Most samples that a chunk may have with what its network sees on either side."""
_ANY = (0, 2**63 - 1)
_SHA256 = re.compile(r"([0-9a-f]{64})?")
# What an .ncf can name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Card(WeightsEntry):
    """One checkpoint, as its TOML file under ``cards/`` says. Samples are at the model's rate."""

    family: str
    """Family of networks that the weights are for, a key of `families.table.FAMILIES`."""
    title: str
    """Description in a few words, for people."""
    best_for: str = ""
    """What to take it for, in at most twenty characters; empty where nothing is said."""
    sample_rate: int
    """Sample rate in Hz."""
    channels: int
    """How many channels the network takes at once: a mono codec codes each channel by itself."""
    hop: int
    """Samples per frame."""
    codebooks: int
    """How many codebooks the highest bitrate takes; smaller numbers give lower bitrates."""
    codebook_size: int
    """How many entries each codebook has."""
    default_codebooks: int
    """How many codebooks are used unless a user says otherwise."""
    codebook_counts: Sequence[int] = ()
    """Numbers of codebooks that may be used, in rising order; empty for any up to ``codebooks``."""
    chunk_strategy: str = "overlap"
    """How chunks meet, a key of ``STRATEGIES``."""
    chunk_frames: int
    """How many frames a whole chunk has."""
    chunk_stride: int
    """Samples from one chunk's start to the next's."""
    chunk_context: int = 0
    """Real samples that encoding sees on either side of a chunk's own."""
    chunk_code_context: int = 0
    """Frames of the neighbours that decoding sees on either side of a chunk's own."""
    chunk_warmup: int = 0
    """How many chunks decoding runs through before the one where it is to start."""
    chunk_trim: int = 0
    """Samples by which a window of frames that is decoded without any padding falls short of
    ``frames * hop``; 0 where the codec has no such windows. See `windows`."""
    level: str = "rms"
    """How chunks are brought to a level before they are coded, a key of ``LEVELS``."""
    layer_gain: int = 0
    """How many dB an MDCT layer must take off a chunk's treble for the chunk to get one beside its
    codes; one dB more for each codebook below the default. 0: chunks never get one. For codecs that
    keep tones and clicks badly."""
    waveform_bitrate: int = 0
    """Bit/s of a channel, from which on files have a waveform layer; 0: never. See NCF.md."""
    default_bitrate: int = 8000
    """Bit/s of a channel, where there is that layer and a user says nothing else."""
    waveform_codebooks: int = 0
    """How many codebooks chunks then have beside that layer."""
    parameters: int
    """How many parameters the network has."""
    same_codes: Sequence[str] = ()
    """SHA-256 of earlier weights with the same encoder and codebooks: files that were coded with
    those are decoded with these weights, whose decoder is better."""
    entropy: EntropyCard | None = None
    """The codec's entropy model, if there is one."""
    config: dict[str, Any] = field(default_factory=dict)
    """Constructor arguments of the network that differ from its defaults."""

    @property
    def code_bits(self) -> int:
        """How many bits a code takes that is stored without an entropy coder."""
        return max(1, math.ceil(math.log2(self.codebook_size)))

    @property
    def fingerprint(self) -> bytes:
        """First 8 bytes of the weights' SHA-256, which files of the neu codecs carry.

        Files of other codecs have what `neucodec.models.parts.fingerprint` gives; see NCF.md.
        """
        return _fingerprint(self.sha256)

    @property
    def readable(self) -> set[bytes]:
        """Fingerprints of other weights whose files these weights decode."""
        return {_fingerprint(sha256) for sha256 in self.same_codes}

    def streams(self, channels: int) -> int:
        """Return how many streams a signal of ``channels`` channels is coded in."""
        return -(-channels // self.channels)

    def bitrate(self, codebooks: int, channels: int = 1) -> float:
        """Return the nominal bitrate in bit/s of a signal of ``channels`` channels.

        It is that of the codes as stored without an entropy coder. Frames that two chunks share
        are stored twice, and count twice.
        """
        per_chunk = self.streams(channels) * codebooks * self.code_bits * self.chunk_frames
        return per_chunk * self.sample_rate / self.chunk_stride

    def windows(self, frames: int) -> Card:
        """Return a card of the same checkpoint for codes in windows of ``frames`` frames.

        Each window is to be decoded by itself; the package ``descript-audio-codec`` codes what is
        longer than a few seconds in this way. Raises ModelError where the codec has no windows of
        that size.
        """
        stride = frames * self.hop - self.chunk_trim
        if not self.chunk_trim or stride < 1:
            raise ModelError(f"{self.name} has no windows of {frames} frames")
        return replace(
            self, chunk_strategy=WINDOWS, chunk_frames=frames, chunk_stride=stride,
            chunk_context=0, chunk_code_context=0,
        )  # fmt: skip

    @property
    def counts(self) -> Sequence[int]:
        """Every number of codebooks that may be used, in rising order."""
        return self.codebook_counts or range(1, self.codebooks + 1)

    def no_codebooks(self, codebooks: int) -> str:
        """Return why a number of codebooks cannot be used; empty where it can."""
        if codebooks in self.counts:
            return ""
        possible = ", ".join(map(str, self.codebook_counts)) or f"1 to {self.codebooks}"
        return f"{self.name} has no {codebooks} codebooks: give {possible}"

    def bitrates(self, channels: int = 1) -> list[float]:
        """Return every nominal bitrate in bit/s, in rising order."""
        return [self.bitrate(k, channels) for k in self.counts]

    @classmethod
    def parse(cls, text: str, source: str) -> Card:
        """Read a card from TOML. Raises ModelError, in which ``source`` names the card."""
        try:
            data = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{source}: not a card: {str(error)[:100]}") from None
        kinds = {f.name: str(f.type) for f in fields(cls) if f.name != "folder"}
        unknown = sorted(set(data) - set(kinds))
        if unknown:
            raise ModelError(f"{source}: a card has no {', '.join(unknown)}")
        for key, value in data.items():
            kind, words = _KINDS[kinds[key]]
            if type(value) is not kind:
                raise ModelError(f"{source}: {key} is to be {words}, not {said(value)}")
            low, high = RANGES.get(key, _ANY)
            if isinstance(value, int) and not low <= value <= high:
                raise ModelError(f"{source}: {key} {said(value)} is not within {low} to {high}")
        try:
            data["sources"] = [WeightsSource.of(table) for table in data.get("sources", [])]
            if "entropy" in data:
                data["entropy"] = EntropyCard.of(data["entropy"])
            return cls(**data).check()
        except TypeError as error:
            raise ModelError(f"{source}: incomplete card: {error}") from None
        except ModelError as error:
            raise ModelError(f"{source}: {error}") from None

    def check(self) -> Card:
        """Return the card itself if its values are possible together; else raise ModelError."""
        for key, (low, high) in RANGES.items():
            value = getattr(self, key)
            if type(value) is not int or not low <= value <= high:
                raise ModelError(f"{key} {said(value)} is not within {low} to {high}")
        if not _NAME.fullmatch(self.name):
            raise ModelError(f"name {said(self.name)}: 1 to 64 letters, digits and . _ + - fit")
        if self.entropy and not _NAME.fullmatch(self.entropy.name):
            raise ModelError(
                f"name {self.entropy.name!r} of [entropy]: 1 to 64 letters, digits and . _ + - fit"
            )
        counts = [self.default_codebooks, *self.codebook_counts]
        if not all(type(n) is int and 1 <= n <= self.codebooks for n in counts):
            raise ModelError(
                "default_codebooks and codebook_counts are to be within 1 to codebooks"
            )
        if list(self.codebook_counts) != sorted(set(self.codebook_counts)):
            raise ModelError("codebook_counts are to rise, each once")
        of_entropy = self.entropy.sha256 if self.entropy else ""
        for sha256 in (self.sha256, of_entropy, *self.same_codes):
            if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
                raise ModelError(f"sha256 {sha256!r} is not 64 of 0-9a-f")
        for key, known in (("chunk_strategy", STRATEGIES), ("level", LEVELS)):
            if (value := getattr(self, key)) not in known:
                raise ModelError(f"{key} {said(value)}: there are {', '.join(known)}")
        layered = self.layer_gain or self.waveform_bitrate
        if layered and (self.level != "rms" or self.channels != 1):
            raise ModelError('layers need level = "rms" and a single channel')
        own, shared = self.chunk_frames * self.hop, self.chunk_frames * self.hop - self.chunk_stride
        if not 0 <= shared <= self.chunk_stride:
            raise ModelError(
                f"chunk_stride {self.chunk_stride}: chunks of {self.chunk_frames} frames of "
                f"{self.hop} samples are to meet, and to share no more than half with the next"
            )
        if own + 2 * (self.chunk_context + self.chunk_code_context * self.hop) > _MOST_SAMPLES:
            raise ModelError(f"chunks of more than {_MOST_SAMPLES} samples with their context")
        return self


def _fingerprint(sha256: str) -> bytes:
    return bytes.fromhex(sha256)[:8]


_FOLDER = files("neucodec.models") / "cards"


@cache
def card_names() -> tuple[str, ...]:
    """Return the names of all cards in the package, sorted."""
    found = (file.name for file in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))


def cards() -> dict[str, Card]:
    """Read all cards in the package, by name."""
    return {name: find_card(name) for name in card_names()}


def entropy_cards() -> dict[str, EntropyCard]:
    """Return the entropy models of all cards in the package, by name."""
    return {card.entropy.name: card.entropy for card in cards().values() if card.entropy}


@cache
def find_card(name: str) -> Card:
    """Read the card called ``name`` in the package; ModelError where there is none."""
    if name not in card_names():
        near = get_close_matches(str(name).lower(), card_names(), n=1, cutoff=0.5)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise ModelError(
            f"no model is called {said(name)}{meant}; there are {', '.join(card_names())}"
        )
    file = f"{name}.toml"
    return Card.parse((_FOLDER / file).read_text(encoding="utf-8"), file)
