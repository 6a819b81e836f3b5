"""What the Python interface raises: one kind, of which the kinds of the other rooms are special
cases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from neucodec.models.errors import ModelError

from .errors import NeucodecError
from .formats import NcfError


class FileError(NeucodecError, NcfError):
    """A file is no .ncf, or none that can be read."""


class LoadError(NeucodecError, ModelError):
    """A model is unknown, absent, damaged or does not fit."""


@contextmanager
def as_one_kind() -> Iterator[None]:
    """Makes every expected failure a NeucodecError, whichever room it comes from."""
    try:
        yield
    except NeucodecError:
        raise
    except NcfError as error:
        raise FileError(*error.args) from error
    except ModelError as error:
        raise LoadError(*error.args) from error
