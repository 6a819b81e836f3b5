"""Define the errors of models."""

from neucodec.errors import NeucodecError


class ModelError(NeucodecError):
    """A model is unknown, absent, damaged or does not fit; the message is one clear line."""


class UnavailableError(ModelError):
    """A file cannot be had from one place, but perhaps from another or later."""
