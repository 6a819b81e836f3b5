"""Give those who work with tensors a loaded codec: whole signals to codes and back, batched."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from neucodec.coding.bitrate import codebooks_for, parse_bitrate

from .arguments import number, whole_number
from .errors import GivenValueError
from .loaded_model import LoadedModel
from .tensor_audio import batch_of, lengths_of, rate_of, resampled
from .tokens import Tokens, apart, check_codes, checked_tokens, together, tokens_of

if TYPE_CHECKING:
    from torch import Tensor

    from neucodec.coding.tensor_coder import TensorCoder


class Model(LoadedModel):
    """Codes tensors. Safe to share between threads; results do not depend on what else is in a
    batch.
    """

    def encode(
        self,
        audio: Any,
        sample_rate: int | None = None,
        *,
        lengths: Any = None,
        mask: Any = None,
        bitrate: float | str | None = None,
        codebooks: int | None = None,
        uniform: bool = True,
        one_level: bool = False,
    ) -> Tokens:
        """Encode audio [samples], [channels, samples] or [batch, channels, samples] to `Tokens`.

        Audio is a tensor or an array of floats with full scale 1, or of int16, at ``sample_rate``
        Hz, the model's unless given. ``lengths`` [batch], or a ``mask`` [batch, samples], say where
        signals end that were padded; each is coded as it would be alone. ``bitrate`` is nominal, in
        bit/s, of all channels together; without it and ``codebooks`` the model's usual number is
        used. A mono codec codes every channel as a stream of its own, a stereo codec two channels
        as one.

        Codes are ``uniform`` [batch, codebooks, ceil(samples / hop)]; without that they are those
        that an .ncf holds, see `Tokens`. With ``one_level`` a stream has one level throughout
        instead of one for each chunk, for those whose models make codes and no levels; quiet
        passages sound worse. Raises NeucodecError for what cannot be.
        """
        import torch

        batch = batch_of(audio)
        rate = rate_of(sample_rate, self.sample_rate)
        ends = lengths_of(lengths, mask, batch)
        channels = batch.shape[1]
        count = self._count(channels, bitrate, codebooks)
        lacking = -channels % self.card.channels
        filled = torch.cat([batch, batch[:, -1:].expand(-1, lacking, -1)], dim=1)
        found: dict[int, Tokens] = {}
        for end in sorted(set(ends)):
            rows = [row for row, own in enumerate(ends) if own == end]
            signal = filled[rows, :, :end].flatten(0, 1).float().cpu().numpy()
            signal = resampled(signal, rate, self.sample_rate)
            coded = self._coder.encode(signal, count, uniform=uniform, one_level=one_level)
            codes, scales = (
                t if t is None else t.reshape(len(rows), -1, *t.shape[1:]) for t in coded
            )
            assert codes is not None
            for k, row in enumerate(rows):
                level = None if scales is None else scales[k]
                found[row] = Tokens(codes[k], level, signal.shape[-1], uniform)
        return together([found[row] for row in range(len(batch))]).to(batch.device)

    def decode(self, tokens: Tokens | Any, sample_rate: int | None = None) -> Tensor:
        """Decode tokens, or plain codes, to audio [batch, channels, samples], float32.

        Plain codes are uniform ones, integers [codebooks, frames] or [batch, codebooks, frames] in
        a tensor or an array, and are decoded at a level of 1: their RMS is about full scale, as
        that of all audio is that the network sees. The audio is at ``sample_rate`` Hz, the model's
        unless given. Raises GivenValueError, a ValueError, for what no encoder gives: codes outside
        of their codebooks (-1 is one), scales that are not one for each chunk, more samples than
        the codes have.
        """
        import torch

        rate = rate_of(sample_rate, self.sample_rate)
        given = tokens_of(tokens, self.card.hop)
        check_codes(given.codes, self.card, uniform=given.uniform)
        samples = checked_tokens(given, self.card, self._coder)
        parts: list[Tensor] = []
        for one in apart(given, samples, self.card.hop, self._coder):
            codes = one.codes.flatten(0, -3).cpu().long()
            levels = None if one.scales is None else one.scales.flatten(0, -2).cpu().float()
            signal = self._coder.decode(codes, levels, one.samples, one.uniform)
            whole = torch.from_numpy(resampled(signal, self.sample_rate, rate))
            parts.append(whole.reshape(len(one.codes), -1, whole.shape[-1]))
        longest = max(part.shape[-1] for part in parts)
        padded = [torch.nn.functional.pad(part, (0, longest - part.shape[-1])) for part in parts]
        return torch.cat(padded).to(given.codes.device)

    def embed(self, codes: Tokens | Any) -> Tensor:
        """Return the vectors that codes stand for, float32 [batch, frames, dimensions].

        Each is the sum of its frame's entries, what the decoder's network is given and what a
        language model may take in. Codes are as `decode` takes them. Gradients flow to the
        parameters of `network` where these require them.
        """
        given = tokens_of(codes, self.card.hop)
        check_codes(given.codes, self.card, uniform=given.uniform)
        shape, device = given.codes.shape, given.codes.device
        flat = given.codes.reshape(-1, *shape[-2:]).long()
        vectors = self._plain.embed(flat.to(self.device))
        return vectors.reshape(*shape[:-2], *vectors.shape[1:]).to(device)

    def synthesise(self, vectors: Tensor) -> Tensor:
        """Decode vectors [batch, frames, dimensions], as `embed` gives them, to audio
        [batch, channels, frames * hop] at a level of 1, in one piece.

        Gradients flow to the vectors where these require them.
        """
        return self._plain.audio_of(vectors.to(self.device))

    def reconstruct(self, audio: Tensor, codebooks: int | None = None) -> Tensor:
        """Encode and decode audio [batch, channels, samples] at the model's rate, in one piece.

        Gradients flow to the audio where it requires them, straight through the quantiser: as if
        the codebooks had the very vector that was to be coded. The audio, floats with full scale 1,
        has as many channels as the codec.
        """
        import torch.nn.functional as F

        batch_of(audio)
        count = self._count(self.card.channels, None, codebooks)
        samples = audio.shape[-1]
        padded = F.pad(audio, (0, -samples % self.card.hop)).to(self.device)
        level: Any = 1.0
        if self.card.level != "none":
            level = padded.square().mean(dim=(1, 2), keepdim=True).sqrt().clamp_min(1e-8)
        latent = self._plain.latent_of(padded / level)
        quantised = self._plain.embed(self._plain.quantise(latent, count))
        decoded: Tensor = self._plain.audio_of(latent + (quantised - latent).detach()) * level
        return decoded[..., :samples]

    @cached_property
    def _coder(self) -> TensorCoder:
        from neucodec.coding.tensor_coder import TensorCoder

        return TensorCoder(self.codec)

    def _count(self, channels: int, bitrate: float | str | None, codebooks: int | None) -> int:
        if codebooks is None:
            if bitrate is None:
                return self.card.default_codebooks
            if isinstance(bitrate, str):
                return codebooks_for(self.card, channels, parse_bitrate(bitrate))
            return codebooks_for(self.card, channels, number("bitrate", bitrate))
        codebooks = whole_number("codebooks", codebooks, 1)
        if problem := self.card.no_codebooks(codebooks):
            raise GivenValueError(problem)
        return codebooks
