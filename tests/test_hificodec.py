"""HiFi-Codec: no package exists, so its published layout and quirks are written out here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from networks import agree, parameters, randomise, signal, spread
from published_configs import HIFICODEC_16KHZ_320D, HIFICODEC_24KHZ_240D, HIFICODEC_24KHZ_320D
from torch import Tensor

from neucodec.models.families.hificodec.network import HifiCodec, HifiCodecConfig

SMALL = [
    HifiCodecConfig(width=8, codebook_size=64),
    HifiCodecConfig(rates=(8, 5, 3, 2), kernels=(16, 11, 7, 4), width=8, codebook_size=64),
]
CONFIGS = pytest.mark.parametrize("config", SMALL, ids=["320d", "240d"])


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def published(config: HifiCodecConfig) -> dict[str, dict[str, Tensor]]:
    """Return a checkpoint as AcademiCodec saves it, with sensible random weights.

    Three state dicts; weight norm everywhere but on the encoder's ``conv_post``. What a test draws
    at random after that is the same whether the checkpoint had to be made or was there.
    """
    made = _published(config)
    torch.manual_seed(0)
    return made


@lru_cache
def _published(config: HifiCodecConfig) -> dict[str, dict[str, Tensor]]:
    torch.manual_seed(0)
    model = HifiCodec(config).eval()
    audio = signal(10 * config.hop, 24000)
    randomise(model, lambda: model.generator(model.encoder(audio)))
    parts: dict[str, dict[str, Tensor]] = {"generator": {}, "encoder": {}, "quantizer": {}}
    for name, tensor in model.state_dict().items():
        part, _, rest = name.partition(".")
        if part == "quantisers":
            continue
        normed = rest.endswith("weight") and "normalize" not in rest
        if normed and (part, rest) != ("encoder", "conv_post.weight"):
            length = torch.rand(len(tensor), 1, 1) + 0.5
            parts[part][f"{rest}_g"] = tensor.flatten(1).norm(dim=1)[:, None, None]
            parts[part][f"{rest}_v"] = tensor * length
        else:
            parts[part][rest] = tensor.clone()
    half = config.latent // 2
    for group, latent in enumerate(model.encoder(audio).mT.split(half, dim=-1)):
        books = [torch.empty(config.codebook_size, half) for _ in range(2)]
        spread(books, latent)
        parts["quantizer"][f"quantizer_modules.{group}.embedding.weight"] = books[0]
        parts["quantizer"][f"quantizer_modules2.{group}.embedding.weight"] = books[1]
    return parts


@dataclass(frozen=True)
class Quirks:
    """What one would get wrong; the defaults are what the published code does."""

    last_slope: float = 0.01
    normalise_sum: bool = True
    epsilon: float = 1e-6
    channels_per_group: int = 16


class Reference:
    """The published network as plain functions of its state dicts."""

    def __init__(
        self,
        weights: dict[str, dict[str, Tensor]],
        config: HifiCodecConfig,
        quirks: Quirks | None = None,
    ) -> None:
        self.weights, self.config, self.quirks = weights, config, quirks or Quirks()

    def conv(self, part: str, name: str, x: Tensor, **how: int) -> Tensor:
        w = self.weights[part]
        if f"{name}.weight" in w:
            weight = w[f"{name}.weight"]
        else:
            g, v = w[f"{name}.weight_g"], w[f"{name}.weight_v"]
            weight = g * v / v.square().sum((1, 2), keepdim=True).sqrt()
        up = part == "generator" and name.startswith("ups")
        function = F.conv_transpose1d if up else F.conv1d
        return function(x, weight, w[f"{name}.bias"], **how)

    def block(self, part: str, index: int, kernel: int, x: Tensor) -> Tensor:
        for k, dilation in enumerate((1, 3, 5)):
            y = F.leaky_relu(x, 0.1)
            padding = (kernel - 1) * dilation // 2
            name = f"resblocks.{index}.convs1.{k}"
            y = self.conv(part, name, y, dilation=dilation, padding=padding)
            y = F.leaky_relu(y, 0.1)
            x = x + self.conv(part, f"resblocks.{index}.convs2.{k}", y, padding=kernel // 2)
        return x

    def latent(self, audio: Tensor) -> Tensor:
        x = self.conv("encoder", "conv_pre", audio, padding=3)
        rates = list(zip(self.config.rates, self.config.kernels, strict=True))
        for i, (rate, kernel) in enumerate(reversed(rates)):
            x = F.leaky_relu(x, 0.1)
            padding = (kernel - rate) // 2
            x = self.conv("encoder", f"ups.{i}", x, stride=rate, padding=padding)
            total = torch.zeros(())
            for j, branch in enumerate((11, 7, 3)):
                y = self.block("encoder", 3 * i + j, branch, x)
                if self.quirks.normalise_sum:
                    total = self.norm(3 * i + j, total + y)
                else:
                    total = total + self.norm(3 * i + j, y)
            x = total / 3
        x = F.leaky_relu(x, self.quirks.last_slope)
        return self.conv("encoder", "conv_post", x, padding=1)

    def norm(self, index: int, x: Tensor) -> Tensor:
        w = self.weights["encoder"]
        affine = w[f"normalize.{index}.weight"], w[f"normalize.{index}.bias"]
        groups = x.shape[1] // self.quirks.channels_per_group
        return F.group_norm(x, groups, *affine, eps=self.quirks.epsilon)

    def codes(self, audio: Tensor) -> Tensor:
        """Tokens [B, 4, F]: stage 1 of both groups, then stage 2 of both."""
        residual, codes = self.latent(audio), []
        for stage in ("quantizer_modules", "quantizer_modules2"):
            chosen = []
            for group, part in enumerate(residual.split(self.config.latent // 2, dim=1)):
                book = self.weights["quantizer"][f"{stage}.{group}.embedding.weight"]
                code = torch.cdist(part.mT.double(), book.double()).argmin(-1)
                codes.append(code)
                chosen.append(book[code].mT)
            residual = residual - torch.cat(chosen, dim=1)
        return torch.stack(codes, dim=1)

    def audio(self, codes: Tensor) -> Tensor:
        books = self.weights["quantizer"]
        x = torch.cat(
            [
                books[f"quantizer_modules.{g}.embedding.weight"][codes[:, g]]
                + books[f"quantizer_modules2.{g}.embedding.weight"][codes[:, 2 + g]]
                for g in range(2)
            ],
            dim=-1,
        ).mT
        x = self.conv("generator", "conv_pre", x, padding=3)
        for i, (rate, kernel) in enumerate(
            zip(self.config.rates, self.config.kernels, strict=True)
        ):
            x = F.leaky_relu(x, 0.1)
            padding = (kernel - rate) // 2
            x = self.conv("generator", f"ups.{i}", x, stride=rate, padding=padding)
            blocks = [self.block("generator", 3 * i + j, k, x) for j, k in enumerate((3, 7, 11))]
            x = torch.stack(blocks).mean(0)
        return self.conv("generator", "conv_post", F.leaky_relu(x, 0.1), padding=3).tanh()


def loaded(weights: dict[str, dict[str, Tensor]], config: HifiCodecConfig, path: Path) -> HifiCodec:
    torch.save(weights, path / "HiFi-Codec")
    return HifiCodec.load(path / "HiFi-Codec", config)


@CONFIGS
@pytest.mark.parametrize("frames", [1, 7, 24])
def test_codes_and_audio_are_the_published_networks(
    config: HifiCodecConfig, frames: int, tmp_path: Path
) -> None:
    weights = published(config)
    ours, reference = loaded(weights, config, tmp_path), Reference(weights, config)
    audio = signal(frames * config.hop, 24000, batch=2, seed=frames)
    codes = reference.codes(audio)
    agree(ours.encode(audio, 4), codes)
    out = reference.audio(codes)
    assert out.shape == audio.shape
    torch.testing.assert_close(ours.decode(codes), out, atol=1e-5, rtol=0)
    if frames == 24:
        assert codes.unique().numel() > 30
        assert 0.01 < float(out.std()) < 1


@pytest.mark.parametrize(
    "wrong",
    [
        Quirks(last_slope=0.1),
        Quirks(normalise_sum=False),
        Quirks(epsilon=1e-2),
        Quirks(channels_per_group=8),
    ],
    ids=["slope before conv_post", "norm of the branches", "epsilon", "size of groups"],
)
def test_each_quirk_of_the_encoder_is_kept(wrong: Quirks, tmp_path: Path) -> None:
    config = SMALL[0]
    weights = published(config)
    ours = loaded(weights, config, tmp_path)
    audio = signal(8 * config.hop, 24000)
    latent = ours.encoder(audio)
    torch.testing.assert_close(Reference(weights, config).latent(audio), latent, atol=1e-5, rtol=0)
    assert float((Reference(weights, config, wrong).latent(audio) - latent).abs().max()) > 1e-3


def test_names_and_shapes_are_the_published_ones(tmp_path: Path) -> None:
    weights = published(HifiCodecConfig(width=32, codebook_size=1024))
    shapes = {f"{p}.{n}": tuple(t.shape) for p in weights for n, t in weights[p].items()}
    assert shapes["encoder.conv_pre.weight_v"] == (32, 1, 7)
    assert [shapes[f"encoder.ups.{i}.weight_v"] for i in range(4)] == [
        (64, 32, 4),
        (128, 64, 8),
        (256, 128, 11),
        (512, 256, 16),
    ]
    # Kernels 11, 7, 3 in the encoder, 3, 7, 11 in the generator; dilations do not show in shapes.
    assert [shapes[f"encoder.resblocks.{i}.convs1.2.weight_v"][2] for i in range(6)] == [
        11,
        7,
        3,
    ] * 2
    assert [shapes[f"generator.resblocks.{i}.convs2.0.weight_v"][2] for i in range(3)] == [3, 7, 11]
    assert shapes["encoder.resblocks.11.convs1.0.weight_g"] == (512, 1, 1)
    assert shapes["encoder.normalize.11.weight"] == (512,)
    assert shapes["encoder.conv_post.weight"] == (512, 512, 3)
    assert shapes["generator.conv_pre.weight_v"] == (512, 512, 7)
    assert [shapes[f"generator.ups.{i}.weight_v"] for i in range(4)] == [
        (512, 256, 16),
        (256, 128, 11),
        (128, 64, 8),
        (64, 32, 4),
    ]
    assert shapes["generator.ups.0.weight_g"] == (512, 1, 1)
    assert shapes["generator.conv_post.weight_v"] == (1, 32, 7)
    for name in ("quantizer_modules.0", "quantizer_modules.1", "quantizer_modules2.1"):
        assert shapes[f"quantizer.{name}.embedding.weight"] == (1024, 256)

    ours = loaded(weights, HIFICODEC_24KHZ_320D, tmp_path)
    audio = signal(4 * 320, 24000)
    codes = Reference(weights, HIFICODEC_24KHZ_320D).codes(audio)
    agree(ours.encode(audio, 4), codes)


def test_half_the_codebooks_are_every_groups_first_stage(tmp_path: Path) -> None:
    config = SMALL[0]
    ours = loaded(published(config), config, tmp_path)
    audio = signal(8 * config.hop, 24000)
    assert torch.equal(ours.encode(audio, 2), ours.encode(audio, 4)[:, :2])
    assert ours.decode(ours.encode(audio, 2)).shape == audio.shape
    with pytest.raises(ValueError, match="3 codebooks asked for, groups need a multiple of 2"):
        ours.encode(audio, 3)


def test_chunks_with_context_decode_to_the_whole_signal(tmp_path: Path) -> None:
    config = SMALL[0]
    ours = loaded(published(config), config, tmp_path)
    codes = torch.randint(0, config.codebook_size, (1, 4, 60))
    whole = ours.decode(codes)
    reach = ours.decoder_reach
    assert reach == 14
    parts = []
    for start in range(0, 60, 20):
        left = min(start, reach)
        part = ours.decode(codes[..., start - left : start + 20 + reach])
        parts.append(part[..., left * config.hop : (left + 20) * config.hop])
    torch.testing.assert_close(torch.cat(parts, dim=-1), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("config", "rate", "frame_rate"),
    [
        (HIFICODEC_24KHZ_320D, 24000, 75),
        (HIFICODEC_24KHZ_240D, 24000, 100),
        (HIFICODEC_16KHZ_320D, 16000, 50),
    ],
)
def test_frame_rates_and_sizes_are_the_published_ones(
    config: HifiCodecConfig, rate: int, frame_rate: int
) -> None:
    with torch.device("meta"):
        model = HifiCodec(config)
        second = torch.zeros(1, 1, rate)
        assert model.encode(second, 4).shape[-1] == frame_rate
        assert parameters(model) == pytest.approx(63.6e6, rel=1e-3)
