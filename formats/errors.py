"""Define the error of a file's bytes."""

from __future__ import annotations

from neucodec.errors import NeucodecError


class NcfError(NeucodecError, ValueError):
    """Not an .ncf, one that this reader cannot read, or values that an .ncf cannot hold.

    The message is one line: what was found, what is allowed, what to do.
    """
