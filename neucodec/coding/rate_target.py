"""Turn the options of a bitrate into what is to become of each chunk."""

from __future__ import annotations

from dataclasses import dataclass

from neucodec.errors import NeucodecError
from neucodec.formats import Header, LayerKind
from neucodec.models import Card

from .bitrate import codebooks_for
from .entropy import EntropyModel
from .options import RATE_MODES, EncodeOptions
from .rate import AverageRate, NominalRate, Rate
from .waveform_rate import WaveformRate, waveform_bitrate

TRAILER_BYTES = 42
"""What a trailer takes beside its entries of chunks, about."""


def _choose_codebooks(card: Card, channels: int, options: EncodeOptions) -> int:
    """Return how many codebooks the options ask for. Raises NeucodecError for a number that the
    codec has not.
    """
    if options.codebooks is not None:
        if problem := card.no_codebooks(options.codebooks):
            raise NeucodecError(problem)
        return options.codebooks
    if options.bitrate is None:
        return card.default_codebooks
    return codebooks_for(card, channels, options.bitrate)


def _averages(card: Card, options: EncodeOptions, squeezed: bool) -> bool:
    """Tell whether codebooks are to be chosen chunk by chunk, for the file to average a bitrate."""
    if options.rate_mode not in (None, *RATE_MODES):
        raise NeucodecError(f"rate mode {options.rate_mode!r}: give {' or '.join(RATE_MODES)}")
    # A chunk's neighbours must have its codebooks, where decoding it takes their codes.
    possible = not card.chunk_code_context and len(card.counts) > 1
    if options.rate_mode is None:
        return possible and squeezed and options.bitrate is not None
    if options.rate_mode == "average":
        if options.codebooks is not None:
            raise NeucodecError("a fixed number of codebooks cannot average a bitrate: give either")
        if not possible:
            raise NeucodecError(
                f"chunks of {card.name} all take the same codebooks: use --rate-mode nominal"
            )
    return options.rate_mode == "average"


@dataclass(frozen=True)
class RateTarget:
    """What the rate of a file is to be."""

    codebooks: int
    """Codebooks of every chunk, where they do not vary."""
    max_codebooks: int
    """The most that a chunk may have."""
    bits_per_second: float
    """The nominal or the average bitrate, of all channels together."""
    is_average: bool
    """Whether the file has that on average."""
    layer: LayerKind
    """What chunks may have beside their codes."""

    @classmethod
    def of(cls, card: Card, channels: int, options: EncodeOptions, is_squeezed: bool) -> RateTarget:
        """Return what the options ask for. Raises NeucodecError for what the codec cannot do."""
        if waveform := waveform_bitrate(card, channels, options):
            books = card.waveform_codebooks
            return cls(books, books, waveform, True, LayerKind.WAVEFORM)
        codebooks = _choose_codebooks(card, channels, options)
        nominal = card.bitrate(codebooks, channels)
        average = _averages(card, options, is_squeezed)
        asked = options.bitrate if average and options.bitrate else nominal
        layer = LayerKind.MDCT if card.layer_gain and options.layer else LayerKind.NONE
        return cls(codebooks, card.counts[-1] if average else codebooks, asked, average, layer)

    @property
    def has_waveforms(self) -> bool:
        """Tell whether chunks have waveform layers, which then bring the file to its bitrate."""
        return self.layer == LayerKind.WAVEFORM

    def waveform_rate(self, header: Header, header_bytes: int) -> WaveformRate:
        """Return what chooses how much layer each chunk has."""
        budget = self.bits_per_second / 8 * header.chunk_stride / header.sample_rate
        return WaveformRate(budget, spent=header_bytes + TRAILER_BYTES)

    def rate(
        self, card: Card, header: Header, entropy_model: EntropyModel | None, header_bytes: int
    ) -> Rate:
        """Return what chooses the codebooks of each chunk."""
        if not self.is_average or self.has_waveforms:
            return NominalRate(self.codebooks)
        most = entropy_model.codebooks if entropy_model else card.codebooks
        return AverageRate(
            [count for count in card.counts if count <= most],
            # In the trailer a chunk has two bytes.
            budget=self.bits_per_second / 8 * header.chunk_stride / header.sample_rate - 2,
            book_bytes=header.raw_bytes(header.streams, 1, header.chunk_frames),
            left=entropy_model.left if entropy_model else 1.0,
            spent=header_bytes + TRAILER_BYTES,
        )
