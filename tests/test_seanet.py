"""SEANet on rows, as a CPU runs it: what the network of its modules gives, but for rounding."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neucodec.models.families.encodec.seanet_rows import RowCoder, RowConvolution
from neucodec.models.parts.causal_state import Carry
from neucodec.models.parts.seanet import Conv, Decoder, Encoder, SeanetConfig, reflect
from neucodec.models.parts.signal_rows import Moments, Rows, elu

MONO = SeanetConfig(filters=4, latent=16)
STEREO = SeanetConfig(channels=2, causal=False, group_norm=True, filters=4, latent=16)
# Large enough for several blocks and for saved products.
WIDE = SeanetConfig(filters=32, latent=16, ratios=(4, 2))
WIDE_STEREO = replace(WIDE, channels=2, causal=False, group_norm=True)
CONFIGS = pytest.mark.parametrize(
    "config",
    [
        MONO,
        STEREO,
        WIDE,
        WIDE_STEREO,
        replace(MONO, causal=False),
        replace(MONO, group_norm=True),
    ],
    ids=["24khz", "48khz", "24khz-wide", "48khz-wide", "both-ways", "causal-normed"],
)


def of(config: SeanetConfig, kind: type[Encoder] | type[Decoder]) -> tuple[nn.Module, RowCoder]:
    """A network of modules, and another one of the same weights on rows."""
    made = []
    for _ in range(2):
        torch.manual_seed(0)
        network = kind(config).requires_grad_(False)
        for norm in network.modules():
            if isinstance(norm, nn.GroupNorm):
                nn.init.normal_(norm.weight, 1, 0.2)
                nn.init.normal_(norm.bias, 0, 0.5)
        made.append(network)
    return made[0], RowCoder(made[1].layers, config)


def close(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, atol=2e-5 * expected.abs().max().item())


@CONFIGS
@pytest.mark.parametrize("frames", [7, 8, 33, 2000])
@torch.no_grad()
def test_a_whole_signal_is_coded_as_by_the_modules(config: SeanetConfig, frames: int) -> None:
    torch.manual_seed(1)
    frames = min(frames, 200) if config.filters == 4 else frames
    audio = torch.randn(1, config.channels, frames * config.hop)
    for short in (0, 1, config.hop // 2):
        some = audio[..., : audio.shape[-1] - short]
        modules, rows = of(config, Encoder)
        if rows.takes(some, Carry()):
            assert close(rows(some, Carry()), modules(some, Carry()))
    modules, rows = of(config, Decoder)
    latent = torch.randn(1, config.latent, frames)
    assert rows.takes(latent, Carry())
    assert close(rows(latent, Carry()), modules(latent, Carry()))


@pytest.mark.parametrize("config", [MONO, WIDE], ids=["small", "wide"])
@torch.no_grad()
def test_a_stream_is_coded_as_the_whole(config: SeanetConfig) -> None:
    torch.manual_seed(1)
    for kind, channels, step in (
        (Encoder, config.channels, config.hop),
        (Decoder, config.latent, 1),
    ):
        modules, rows = of(config, kind)
        signal = torch.randn(1, channels, 40 * step)
        trace, parts = None, []
        for start, stop in ((0, 7), (7, 8), (8, 25), (25, 40)):
            with Carry(trace, last=stop == 40) as carry:
                part = signal[..., start * step : stop * step]
                assert rows.takes(part, carry)
                parts.append(rows(part, carry))
            trace = carry.after
        assert close(torch.cat(parts, dim=-1), modules(signal, Carry()))


@pytest.mark.parametrize("samples", [1, 3, 5])
@torch.no_grad()
def test_the_end_of_a_stream_may_be_of_any_length(samples: int) -> None:
    torch.manual_seed(1)
    modules, rows = of(MONO, Encoder)
    audio = torch.randn(1, 1, 8 * MONO.hop + samples)
    with Carry(last=False) as carry:
        first = rows(audio[..., : 8 * MONO.hop], carry)
    second = rows(audio[..., 8 * MONO.hop :], Carry(carry.after))
    assert close(torch.cat([first, second], dim=-1), modules(audio, Carry()))


@torch.no_grad()
def test_a_segment_is_coded_alike_alone_and_among_others() -> None:
    torch.manual_seed(1)
    _, rows = of(STEREO, Encoder)
    audio = torch.randn(5, 2, 40 * STEREO.hop)
    together = rows(audio, Carry())
    for k in range(5):
        assert torch.equal(rows(audio[k : k + 1], Carry())[0], together[k])


@torch.no_grad()
def test_what_rows_cannot_do_is_left_to_the_modules() -> None:
    _, mono = of(MONO, Encoder)
    _, stereo = of(STEREO, Encoder)
    short = torch.randn(2, 2, 7 * STEREO.hop - 1)
    assert not stereo.takes(short, Carry())
    several = torch.randn(2, 1, 7 * MONO.hop)
    assert mono.takes(several, Carry())
    assert not mono.takes(several, Carry(last=False))
    assert mono.takes(several[:1], Carry(last=False))
    assert not stereo.takes(torch.randn(1, 2, 7 * STEREO.hop), Carry(last=False))


@torch.no_grad()
def test_weights_lie_in_memory_once() -> None:
    torch.manual_seed(0)
    conv = Conv(WIDE, 32, 64, 4, 2).requires_grad_(False)
    before = conv.conv.weight.clone()
    row = RowConvolution(conv)
    assert torch.equal(conv.conv.weight, before)
    assert conv.conv.weight.untyped_storage().data_ptr() == row.taps.untyped_storage().data_ptr()


@pytest.mark.parametrize("mean", [0.0, 3.0, -10.0])
@torch.no_grad()
def test_a_norm_gathered_block_by_block_is_group_norm(mean: float) -> None:
    torch.manual_seed(0)
    norm = nn.GroupNorm(1, 32)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    bias = torch.randn(32) + mean
    rows = Rows.empty(48000, 32, 1)
    rows.inner.normal_()
    moments = Moments(norm, bias)
    for start in range(0, 48000, 8192):
        moments.add(rows.inner[start : start + 8192])
    rows.affine = moments.affine()
    exact = F.group_norm(
        (rows.inner + bias).double().t()[None], 1, norm.weight.double(), norm.bias.double()
    )
    assert torch.allclose(rows.done().double(), exact[0].t(), atol=3e-6 * max(1, abs(mean)))


@torch.no_grad()
def test_elu_is_pytorchs_to_rounding() -> None:
    x = torch.cat([torch.linspace(-100, 100, 100001), torch.tensor([0.0, -0.0, -1e-30, 1e-30])])
    assert torch.allclose(elu(x), F.elu(x), rtol=1e-6, atol=1.2e-7)
    assert torch.equal(elu(x, out=x), x)


@pytest.mark.parametrize(("left", "right"), [(0, 0), (2, 0), (3, 3), (0, 7)])
def test_a_signal_too_short_to_reflect_is_lengthened_first(left: int, right: int) -> None:
    x = torch.arange(1.0, 4.0)[None, None]
    found = reflect(x, left, right)
    assert found.shape[-1] == 3 + left + right
    lengthened = F.pad(x, (0, max(0, max(left, right) - 2)))
    expected = F.pad(lengthened, (left, right), mode="reflect") if left or right else x
    assert torch.equal(found, expected[..., : found.shape[-1]])
