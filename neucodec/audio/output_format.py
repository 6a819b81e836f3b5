"""In which form decoded audio is written: container, sample format, and what becomes of peaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from neucodec.errors import NeucodecError

from . import flac_writer, pcm, wav_writer
from .lossy_writer import LOSSY

_RAW_FORMS = wav_writer.SUBTYPES | {
    name: form for name, form in pcm.SAMPLE_FORMATS.items() if form.kind not in ("alaw", "mulaw")
}
SUBTYPES: dict[str, tuple[str, ...]] = {
    "wav": tuple(wav_writer.SUBTYPES),
    "flac": tuple(flac_writer.BITS),
    **{container: (lossy.subtype,) for container, lossy in LOSSY.items()},
    "raw": tuple(_RAW_FORMS),
}
"""The sample formats of each container, by libsndfile's names; raw also by names such as s16be."""

CLIPS = ("clamp", "rescale", "none")
"""The ways to treat samples beyond full scale; see `OutputFormat.clip`."""


@dataclass(frozen=True)
class OutputFormat:
    """The form of an audio file or stream that is to be written.

    Raises NeucodecError where the container cannot hold it, and says what it can hold.
    """

    sample_rate: int
    """Samples per second and channel."""
    channels: int
    container: str = "wav"
    """One of `SUBTYPES`: "wav", "flac", "opus", "ogg" (Vorbis), "mp3" or "raw"."""
    subtype: str = "PCM_16"
    """The sample format, by a name that `SUBTYPES` has for the container."""
    samples: int | None = None
    """Samples per channel that will come; None where unknown. A WAV header on a pipe says it."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Vorbis comment names to texts; written where the container has a place for them."""
    channel_mask: int | None = None
    """The speakers of the channels, as a WAV mask; None where they are the usual ones. Written
    where the container has a place for it."""
    clip: str | None = None
    """What becomes of samples beyond full scale. "clamp" cuts them off; "rescale" makes all of the
    audio softer, and holds it in a temporary file until then; "none" leaves them, which only
    floating-point subtypes can. None is "none" for those and "clamp" for others."""

    def __post_init__(self) -> None:
        if self.container not in SUBTYPES:
            raise NeucodecError(
                f"cannot write {self.container!r}: choose from {', '.join(SUBTYPES)}"
            )
        if self.subtype not in SUBTYPES[self.container]:
            choices = ", ".join(SUBTYPES[self.container])
            raise NeucodecError(
                f"{self.container} cannot hold {self.subtype}: choose from {choices}"
            )
        if self.clip is not None and self.clip not in CLIPS:
            raise NeucodecError(
                f"cannot handle clipping by {self.clip!r}: choose from {', '.join(CLIPS)}"
            )
        if self.clip == "none" and not self.is_float:
            raise NeucodecError(
                f"{self.subtype} cannot hold samples beyond full scale: clamp or rescale them, or "
                "use FLOAT"
            )

    @property
    def sample_format(self) -> pcm.SampleFormat:
        """Return how one sample is stored, of all but lossy formats; FLAC's are compressed."""
        return _RAW_FORMS[self.subtype]

    @property
    def is_float(self) -> bool:
        """Return whether samples are floating-point numbers, which hold values beyond 1.0."""
        return self.container not in LOSSY and self.sample_format.kind == "float"

    @property
    def clipping(self) -> str:
        """Return `clip`, or the default for the subtype where it is None."""
        return self.clip or ("none" if self.is_float else "clamp")

    @property
    def max_level(self) -> float:
        """Return the largest sample that is not clipped: 1.0 in floats, the largest integer."""
        return (
            1.0
            if self.is_float or self.container in LOSSY
            else 1.0 - 2.0 ** (1 - self.sample_format.bits)
        )
