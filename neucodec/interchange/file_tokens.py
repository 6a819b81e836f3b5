"""The codes of a whole file as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any

import numpy as np
import numpy.typing as npt

ABSENT = -1
"""The value in place of a code where there is none: in silence, in damaged chunks, and in codebooks
that a chunk does not use."""


@dataclass(frozen=True)
class FileTokens:
    """Holds the codes of a whole .ncf as arrays, and all else that its codec needs to decode them.

    Layers are not among it, see ``layered``. The chunks of a file stand one after the other,
    ``chunk_frames`` each but perhaps the last. Where ``chunk_frames * hop > chunk_stride``, the
    last frames of a chunk and the first ones of the next code the same audio.
    """

    codec: str
    """The name of the codec."""
    sample_rate: int
    """The sample rate in Hz of the codec's model."""
    hop: int
    """The number of samples that a frame stands for, at ``sample_rate``."""
    codebook_size: int
    """The number of entries in a codebook: codes are below it."""
    chunk_frames: int
    """The number of frames in a whole chunk."""
    chunk_stride: int
    """The number of samples from one chunk's start to the next one's, at ``sample_rate``."""
    source_rate: int
    """The sample rate in Hz of the audio that was encoded."""
    samples: int
    """The length of that audio, in samples per channel at ``source_rate``."""
    channels: int
    """The number of channels of that audio."""
    codes: npt.NDArray[np.signedinteger[Any]]
    """The codes [streams, codebooks, frames], int16 or, for codebooks beyond 32768, int32."""
    scales: npt.NDArray[np.float32]
    """The factors [chunks, streams] by which decoded audio is multiplied; 0 for silence and
    damage."""
    mid_side: npt.NDArray[np.bool_]
    """Whether streams 0 and 1 of each chunk [chunks] are mid and side: left = mid + side, right =
    mid - side."""
    layered: npt.NDArray[np.bool_]
    """Whether the file has an MDCT layer in each chunk [chunks]; a layer has no tokens, and the
    codes do not hold what it adds."""
    gain_db: float = 0.0
    """The change of level in dB that was made before encoding, and that decoding undoes."""
    uniform: bool = False
    """Whether every frame stands for one hop: frames that two chunks share are there once, and -1
    stands for damage alone. A chunk begins every ``chunk_stride`` samples, a whole number of
    frames."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the numbers of streams, codebooks and frames."""
        streams, codebooks, frames = self.codes.shape
        return streams, codebooks, frames

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of the codes."""
        return self.codes.dtype

    def parts(self) -> Iterator[npt.NDArray[np.signedinteger[Any]]]:
        """Give the codes, as `TokenReader.parts` does."""
        yield self.codes

    def fields(self) -> dict[str, Any]:
        """Return all fields but the codes, by name."""
        names = (f.name for f in dataclass_fields(self) if f.name != "codes")
        return {name: getattr(self, name) for name in names}
