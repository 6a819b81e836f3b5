"""Failures that a user can do something about."""


class NeucodecError(Exception):
    """An expected failure; the message is one clear line: what was given, what is allowed."""
