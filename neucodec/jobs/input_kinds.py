"""The kinds of files that commands read, by their suffixes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """The files that a command reads."""

    name: str
    """In the plural: ``audio files``."""
    suffixes: frozenset[str]
    """Lower case. Directories are searched for them, and outputs drop them from their names."""
    unreadable: frozenset[str] = frozenset()
    """Suffixes of files whose absence from the outputs would surprise."""


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
