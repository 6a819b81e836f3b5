"""Choices of an encoder, by the names that the command line and the Python interface share."""

ENTROPY = ("auto", "none", "adaptive", "lm")
"""How codes are squeezed. ``none``: not at all. ``adaptive``: by what a chunk has shown so far.
``lm``: by a model of the codec's codes. ``auto``: by such a model where the package has one for the
codec, else adaptive."""

RATES = ("nominal", "average")
"""What a bitrate means. ``nominal``: that of the codes as they are, all chunks having equally many
codebooks. ``average``: that of the whole file, each chunk having as many as that takes."""
