"""Write Neu networks as ONNX graphs: audio to codes, codes to audio.

Fourier transforms are matrix products here, since few runtimes have them; all else is the network's
own layers and weights. Levels, chunks and overlap-add are left to the program that runs the graphs;
the metadata of each graph have all the numbers that this takes.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.errors import ModelError
from neucodec.models.families.family import DECODER, ENCODER

from .codec import NeuCodec
from .limiter import limit
from .network import Neu

if TYPE_CHECKING:
    from neucodec.models.codec import Codec

OPSET = 18
_FRAMES = 86  # in the example that is traced; graphs take any number


def _fourier(size: int) -> Tensor:
    """Return the matrix [2 * (size / 2 + 1), size] of the orthonormal DFT of real signals.

    Rows of cosines, which give real parts, come before rows of negative sines.
    """
    # Angles are reduced in integers, so that they are exact to the last bit of float64.
    turns = torch.arange(size // 2 + 1)[:, None] * torch.arange(size) % size
    angle = turns.double() * (2 * math.pi / size)
    return torch.cat([angle.cos(), -angle.sin()]) / math.sqrt(size)


class Encoder(nn.Module):
    """Neu's encoder as it is exported.

    Audio [batch, frames * hop + 2 * context] at unit RMS to codes [batch, codebooks, frames].
    """

    basis: Tensor
    """Window and Fourier transform [size, 2 * bins] of one spectrum."""

    def __init__(self, network: Neu) -> None:
        super().__init__()
        self.network = network
        size = network.spectrum.size
        basis = _fourier(size) * network.spectrum.window.double().cpu()
        self.register_buffer("basis", basis.T.float().contiguous())

    def forward(self, audio: Tensor) -> Tensor:
        """Encode with all codebooks; whoever wants fewer takes the first ones."""
        network, hop = self.network, self.network.spectrum.hop
        hops = audio.reshape(audio.shape[0], -1, hop)
        count = network.spectrum.size // hop
        frames = torch.cat(
            [hops[:, k : hops.shape[1] - (count - 1 - k)] for k in range(count)], dim=-1
        )
        spectrum = frames @ self.basis
        bins = spectrum.shape[-1] // 2
        features = network.describe(spectrum[..., :bins], spectrum[..., bins:])
        latent = network.encoder(features)
        latent = F.layer_norm(latent, latent.shape[-1:])
        return network.quantiser.encode(latent, network.config.codebooks)


class Decoder(nn.Module):
    """Neu's decoder as it is exported.

    Codes [batch, codebooks, frames], of any number of codebooks, to windowed audio
    [batch, frames * hop + 2 * context], to be added to that of the neighbours.
    """

    basis: Tensor
    """Inverse Fourier transform and window [2 * bins, size] of one spectrum."""
    entries: Tensor
    """Entries [codebooks * codebook_size, dim] of all codebooks."""
    up: Tensor
    """Matrices [codebooks, dim, D] from entries to the latent."""
    bias: Tensor
    """Biases [codebooks, D] of those."""

    def __init__(self, network: Neu) -> None:
        super().__init__()
        self.network = network
        books = network.quantiser.stages()
        self.register_buffer("entries", torch.cat([book.entries for book in books]))
        self.register_buffer("up", torch.stack([book.up.weight.T for book in books]))
        self.register_buffer("bias", torch.stack([book.up.bias for book in books]))
        size = network.spectrum.size
        # Every bin but the outermost two stands for its mirror image, too.
        twice = torch.full((size // 2 + 1,), 2.0, dtype=torch.float64)
        twice[0] = twice[-1] = 1.0
        basis = _fourier(size) * torch.cat([twice, twice])[:, None]
        self.register_buffer(
            "basis", (basis * network.spectrum.window.double().cpu() / 1.5).float().contiguous()
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Decode as `Neu.decode` does."""
        network, size = self.network, self.network.config.codebook_size
        count = codes.shape[1]
        offsets = torch.arange(count, device=codes.device) * size
        points = F.embedding(codes + offsets[:, None], self.entries)  # [B, K, F, dim]
        latent = (points @ self.up[:count]).sum(1) + self.bias[:count].sum(0)
        magnitude, x, y = network.spectra(latent)
        x, y = network.phases(x, y, network.phases.start(codes))
        frames = torch.cat([magnitude * x, magnitude * y], dim=-1) @ self.basis
        hop = network.spectrum.hop
        parts = frames.reshape(*frames.shape[:2], -1, hop)
        shifts = parts.shape[2]
        out = F.pad(parts[:, :, 0], (0, 0, 0, shifts - 1))
        for k in range(1, shifts):
            out = out + F.pad(parts[:, :, k], (0, 0, k, shifts - 1 - k))
        return limit(out.flatten(1), hop)


def export_onnx(codec: Codec, folder: Path) -> tuple[Path, Path]:
    """Write both graphs of a Neu codec into a folder that is there; return their paths.

    Raises ModelError where the packages ``onnx`` and ``onnxscript`` are missing.
    """
    assert isinstance(codec, NeuCodec)
    network = codec.network.cpu()
    c = network.config
    audio = torch.zeros(2, _FRAMES * network.hop + 2 * network.context)
    codes = torch.zeros(2, 3, _FRAMES, dtype=torch.int64)
    batch, frames = torch.export.Dim("batch"), torch.export.Dim("frames", min=4)
    samples = network.hop * frames + 2 * network.context
    books = torch.export.Dim("codebooks", min=2, max=c.codebooks)
    metadata = _metadata(codec)
    # Written as a whole first, for the exporter may fail half way.
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        made = Path(unfinished)
        _write(
            Encoder(network), audio, {"audio": {0: batch, 1: samples}},
            ("audio", "codes"), made / ENCODER, metadata,
        )  # fmt: skip
        _write(
            Decoder(network), codes, {"codes": {0: batch, 1: books, 2: frames}},
            ("codes", "audio"), made / DECODER, metadata,
        )  # fmt: skip
        for name in (ENCODER, DECODER):
            (made / name).replace(folder / name)
    return folder / ENCODER, folder / DECODER


def _metadata(codec: NeuCodec) -> dict[str, str]:
    """Return the numbers that a program needs to run the graphs, by the names of metadata."""
    card, network = codec.card, codec.network
    facts: dict[str, Any] = {
        "codec": card.name, "fingerprint": codec.fingerprint.hex(),
        "sample_rate": card.sample_rate, "hop": card.hop, "codebooks": card.codebooks,
        "codebook_size": card.codebook_size, "chunk_frames": card.chunk_frames,
        "chunk_stride": card.chunk_stride, "context": network.context,
    }  # fmt: skip
    return {f"neucodec.{key}": str(value) for key, value in facts.items()} | {
        "neucodec": json.dumps(facts)
    }


def _write(
    module: nn.Module, example: Tensor, dynamic: dict[str, Any], names: tuple[str, str],
    path: Path, metadata: dict[str, str],
) -> None:  # fmt: skip
    export = _exporter()
    given, gives = names
    program = export(
        module.eval(), (example,), dynamo=True, opset_version=OPSET, verbose=False,
        input_names=[given], output_names=[gives], dynamic_shapes=dynamic,
    )  # fmt: skip
    program.model.metadata_props.update(metadata)
    program.save(path, external_data=False)


def _exporter() -> Callable[..., Any]:
    try:
        import onnx
        import onnxscript
    except ImportError as error:
        raise ModelError(
            f"ONNX needs the package {error.name}: pip install 'neucodec-cli[onnx]'"
        ) from None
    assert onnx.__version__ and onnxscript.__version__
    return torch.onnx.export
