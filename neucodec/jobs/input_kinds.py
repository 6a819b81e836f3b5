"""The kinds of files that commands read, by their suffixes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of files that a command reads."""

    name: str
    """The name for messages, in the plural: ``audio files``."""
    suffixes: frozenset[str]
    """Suffixes in lower case: directories are searched for them, and names of outputs drop them."""
    unreadable: frozenset[str] = frozenset()
    """Suffixes of files that cannot be read, which users are told of when a directory has them."""


AUDIO = Kind(
    "audio files",
    # What libsndfile reads and is in use.
    frozenset([
        ".aif", ".aifc", ".aiff", ".au", ".bwf", ".caf", ".flac", ".mp1", ".mp2", ".mp3", ".nist",
        ".oga", ".ogg", ".opus", ".rf64", ".sf", ".snd", ".sph", ".voc", ".w64", ".wav", ".wave",
    ]),
    unreadable=frozenset([
        ".aac", ".ac3", ".ape", ".dsf", ".m4a", ".m4b", ".mka", ".mpc", ".tta", ".wma", ".wv",
    ]),
)  # fmt: skip
RAW = Kind("raw files (.raw, .pcm)", frozenset({".raw", ".pcm"}))
NCF = Kind(".ncf files", frozenset({".ncf"}))
FOREIGN = Kind(".ecdc and .dac files", frozenset({".ecdc", ".dac"}))
DECODABLE = Kind(".ncf, .ecdc or .dac files", NCF.suffixes | FOREIGN.suffixes)
