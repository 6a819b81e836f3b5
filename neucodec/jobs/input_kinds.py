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


_AUDIO = frozenset([
    # What libsndfile reads and is in use.
    ".aif", ".aifc", ".aiff", ".au", ".bwf", ".caf", ".flac", ".mp1", ".mp2", ".mp3", ".nist",
    ".oga", ".ogg", ".opus", ".rf64", ".sf", ".snd", ".sph", ".voc", ".w64", ".wav", ".wave",
])  # fmt: skip
MEDIA = frozenset([
    # What takes PyAV or ffmpeg. Not .ts and .mts, which are more often programs.
    ".3g2", ".3gp", ".3gpp", ".aa3", ".aac", ".ac3", ".adts", ".amr", ".ape", ".asf", ".avi",
    ".awb", ".dff", ".dsf", ".dts", ".dtshd", ".eac3", ".ec3", ".f4a", ".f4v", ".flv", ".loas",
    ".m2ts", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mlp", ".mov", ".mp4", ".mpc", ".mpeg",
    ".mpg", ".mxf", ".nut", ".ogm", ".ogv", ".oma", ".qt", ".ra", ".rm", ".rmvb", ".shn", ".spx",
    ".tak", ".thd", ".tta", ".vob", ".webm", ".wma", ".wmv", ".wv",
])  # fmt: skip
"""Suffixes of media files that libsndfile does not read."""


def audio_kind(*, media: bool) -> Kind:
    """Return the kind of files that can be encoded; `media` says whether `MEDIA` can be read."""
    if media:
        return Kind("audio files", _AUDIO | MEDIA)
    return Kind("audio files", _AUDIO, unreadable=MEDIA)


RAW = Kind("raw files (.raw, .pcm)", frozenset({".raw", ".pcm"}))
NCF = Kind(".ncf files", frozenset({".ncf"}))
TOKENS = Kind(".npz and .npy files", frozenset({".npz", ".npy"}))
FOREIGN = Kind(".ecdc and .dac files", frozenset({".ecdc", ".dac"}))
DECODABLE = Kind(".ncf, .ecdc or .dac files", NCF.suffixes | FOREIGN.suffixes)
