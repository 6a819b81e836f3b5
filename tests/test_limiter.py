"""The bound on what a decoded chunk's energy can be."""

import pytest
import torch

from neucodec.models.families.neu.limiter import MOST, limit

HOP = 64


def chunk(levels: list[float]) -> torch.Tensor:
    """A square wave [1, H * HOP] with a level for each hop."""
    signs = torch.tensor([1.0, -1.0]).repeat(HOP // 2)
    return (torch.tensor(levels)[:, None] * signs).reshape(1, -1)


def test_a_chunk_within_it_is_left_as_it_is() -> None:
    audio = chunk([0.1, 2.0, 1.0, 0.5])
    assert audio.square().mean() < MOST * 1.06
    quieter = 0.9 * audio
    assert torch.equal(limit(quieter, HOP), quieter)


def test_a_burst_is_turned_down_and_the_rest_is_kept() -> None:
    audio = chunk([*[0.5] * 20, *[10.0] * 16, *[0.5] * 20])
    limited = limit(audio, HOP)
    assert limited.square().mean() == pytest.approx(MOST, rel=0.25)
    hops = limited.unflatten(-1, (-1, HOP)).square().mean(-1).sqrt()[0]
    torch.testing.assert_close(hops[:19], torch.full((19,), 0.5))
    torch.testing.assert_close(hops[21:35], torch.full((14,), 1.936), atol=0.01, rtol=0)


def test_items_of_a_batch_are_limited_by_themselves() -> None:
    loud, quiet = chunk([4.0] * 8), chunk([0.3] * 8)
    together = limit(torch.cat([loud, quiet]), HOP)
    assert torch.equal(together[0:1], limit(loud, HOP)) and torch.equal(together[1:], quiet)


def test_silence_stays_silent() -> None:
    assert not limit(torch.zeros(2, 5 * HOP), HOP).any()
