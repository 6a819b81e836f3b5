"""What can go wrong with a model."""


class ModelError(Exception):
    """A model is unknown, absent, damaged or does not fit; the message is one clear line."""
