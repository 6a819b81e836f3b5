"""Tones and clicks, which our codecs blur: what the layer of a chunk keeps of them."""

from __future__ import annotations

import io
import json

import numpy as np
import numpy.typing as npt
import pytest
from conftest import MakeClip, Run
from hypothesis import given
from hypothesis import strategies as st

import neucodec
from neucodec.audio.samples import Audio
from neucodec.coding.entropy_models import SHARED
from neucodec.coding.mdct import backward, forward
from neucodec.coding.payloads import undecodable
from neucodec.coding.tones import find_layer
from neucodec.formats import Chunk, LayerKind, NcfReader, NcfWriter
from neucodec.interchange.tokens import read_tokens
from neucodec.models.catalogue.card import cards

RATE = 44100


def tone(hz: float, seconds: float = 3.0, rate: int = RATE) -> npt.NDArray[np.float64]:
    return 0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def clicks(seconds: float = 3.0) -> npt.NDArray[np.float64]:
    """Single samples, three a second, over silence."""
    audio = np.zeros(round(seconds * RATE))
    audio[7000 :: RATE // 3] = 0.5
    return audio


def noise(seconds: float = 3.0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE))


def decoded(data: bytes) -> Audio:
    return neucodec.decode(data)[0]


def chunks(data: bytes) -> list[Chunk]:
    return list(NcfReader(io.BytesIO(data)))


def error_db(audio: npt.NDArray[np.floating], wanted: npt.NDArray[np.floating]) -> float:
    """Power of what is wrong, against that of what is wanted, but for the ends."""
    wrong, right = (x[4000:-4000] for x in (audio - wanted, wanted))
    return float(10 * np.log10(np.sum(wrong**2) / np.sum(right**2)))


@given(st.integers(1, 3000), st.sampled_from([16, 64, 256]), st.integers(0, 2**32))
def test_the_transform_gives_back_what_it_was_given(count: int, length: int, seed: int) -> None:
    audio = np.random.default_rng(seed).normal(0, 1, count).astype(np.float32)
    again = backward(forward(audio, length), count)
    np.testing.assert_allclose(again, audio, atol=1e-5)


def test_the_transform_is_the_one_of_the_specification() -> None:
    """NCF.md, "Sound": coefficients to samples, as the sum that it gives."""
    size, count = 16, 3
    values = np.random.default_rng(1).normal(0, 1, (count, size)).astype(np.float32)
    n, k = np.arange(2 * size)[:, None], np.arange(size)
    cosines = np.cos(np.pi / size * (n + 0.5 + size / 2) * (k + 0.5))
    window = np.sin(np.pi * (n[:, 0] + 0.5) / (2 * size)) * np.sqrt(2 / size)
    expected = np.zeros((count + 1) * size)
    for at in range(count):
        expected[at * size : (at + 2) * size] += window * (cosines @ values[at])
    np.testing.assert_allclose(
        backward(values, (count - 1) * size), expected[size:-size], atol=1e-5
    )


@pytest.mark.parametrize("hz", [1500, 3000.7, 6000, 11000])
def test_a_tone_comes_back_with_its_phase(hz: float) -> None:
    wanted = tone(hz)
    data = neucodec.encode(wanted, RATE, bitrate="8kbps", entropy="adaptive")
    assert error_db(decoded(data)[:, 0], wanted) < -20
    # Codes alone keep a band of noise about where it was.
    blurred = decoded(
        neucodec.encode(wanted, RATE, bitrate="8kbps", entropy="adaptive", layer=False)
    )[:, 0]
    assert error_db(blurred, wanted) > -3


def test_a_tone_takes_no_more_than_the_codes_that_it_replaces() -> None:
    data = neucodec.encode(tone(3000, 6), RATE, bitrate="8kbps", entropy="adaptive")
    assert len(data) * 8 / 6 < 8100


def test_clicks_over_silence_stay_clicks() -> None:
    wanted = clicks()
    found = decoded(neucodec.encode(wanted, RATE, bitrate="8kbps", entropy="adaptive"))[:, 0]
    at = np.flatnonzero(wanted)[1:-1]
    assert (found[at] > 0.36).all()  # within 3 dB
    around = np.concatenate([found[k + 500 : k + 10000] for k in at])
    assert np.abs(around).max() < 0.01


def test_what_is_no_tone_and_no_click_has_no_layer() -> None:
    data = neucodec.encode(noise(), RATE, codebooks=4, entropy="none")
    assert not any(chunk.layer for chunk in chunks(data))
    plain = neucodec.encode(noise(), RATE, codebooks=4, entropy="none", layer=False)
    np.testing.assert_array_equal(decoded(data), decoded(plain))


def test_a_layer_beside_codes_leaves_them_what_is_below_it() -> None:
    """A whistle over a rumble: the one is the layer's, the other the codes'."""
    rumble = np.convolve(noise(4), np.hanning(400) / 100, mode="same")
    data = neucodec.encode(rumble + tone(4000, 4), RATE, bitrate="8kbps", entropy="adaptive")
    both = [chunk for chunk in chunks(data) if chunk.layer and chunk.codebooks]
    assert len(both) >= 3
    found = decoded(data)[:, 0]
    spectrum = np.abs(np.fft.rfft(found[RATE : 2 * RATE] * np.hanning(RATE)))
    expected = np.abs(np.fft.rfft((rumble + tone(4000, 4))[RATE : 2 * RATE] * np.hanning(RATE)))
    assert spectrum[4000] == pytest.approx(expected[4000], rel=0.1)
    assert np.sum(spectrum[:200] ** 2) == pytest.approx(np.sum(expected[:200] ** 2), rel=0.5)


@pytest.mark.parametrize(("left", "right"), [(1, 0), (0, 1), (1, 1), (1, 0.5), (1, -1)])
def test_a_tone_stays_where_it_is_in_stereo(left: float, right: float) -> None:
    wanted = np.outer(tone(5000), (left, right))
    found = decoded(neucodec.encode(wanted, RATE, bitrate="8kbps", entropy="adaptive"))
    inner = slice(4000, -4000)
    assert np.sum((found - wanted)[inner] ** 2) < 0.01 * np.sum(wanted[inner] ** 2)


@pytest.mark.parametrize("seconds", [0.03, 0.3, 1.0, 1.01, 2.4])
def test_lengths_are_exact_and_ends_are_kept(seconds: float) -> None:
    wanted = tone(3000, seconds)
    found = decoded(neucodec.encode(wanted, RATE, bitrate="8kbps", entropy="adaptive"))
    assert found.shape == (len(wanted), 1)
    if seconds > 0.1:
        error = (found[:, 0] - wanted)[1000:-1000]
        assert np.sqrt(np.mean(error**2)) < 0.05


def test_a_part_sounds_as_the_whole_does_there() -> None:
    data = neucodec.encode(tone(3000) + 0.3 * clicks(), RATE, bitrate="8kbps", entropy="adaptive")
    whole = decoded(data)
    with neucodec.open(io.BytesIO(data)) as file:
        file.seek(50000)
        np.testing.assert_allclose(file.read(30000), whole[50000:80000], atol=2e-5)


def test_the_same_bytes_whatever_the_threads(run: Run, clip: MakeClip) -> None:
    path = clip("whistle.wav", seconds=4, rate=RATE)
    import soundfile

    soundfile.write(path, tone(2500, 4) + 0.01 * noise(4), RATE)
    files = []
    for threads in ("1", "2"):
        target = path.with_name(f"{threads}.ncf")
        assert run("encode", path, "-b8kbps", "--threads", threads, "-o", target).code == 0
        files.append(target.read_bytes())
    assert files[0] == files[1] and any(chunk.layer for chunk in chunks(files[0]))


def test_our_codecs_take_layers_and_published_ones_do_not() -> None:
    assert {name for name, card in cards().items() if card.layer_gain} == {
        "neu2-44khz", "neu-16khz", "specmini-16khz",
    }  # fmt: skip


@pytest.mark.parametrize("model", ["neu-16khz", "specmini-16khz"])
def test_speech_codecs_keep_whistles_too(model: str) -> None:
    wanted = tone(2500, 3, 16000)
    found, _ = neucodec.decode(neucodec.encode(wanted, 16000, model=model))
    assert error_db(found[:, 0], wanted) < -15


def test_without_layers_a_file_is_one_that_earlier_versions_read(run: Run, clip: MakeClip) -> None:
    path = clip(seconds=1)
    for options, version, kind in (
        (["--no-layer"], "1.1", "none"),
        (["-b4kbps"], "1.2", "mdct"),
        (["-b8kbps"], "1.4", "waveform"),
    ):
        assert run("encode", path, *options, "-f").code == 0
        found = json.loads(run("info", "--json", path.with_suffix(".ncf")).out)
        assert (found["format"], found["layer"]) == (version, kind)


def test_info_says_which_chunks_have_layers(run: Run, clip: MakeClip) -> None:
    import soundfile

    path = clip("clicks.wav", seconds=3)
    soundfile.write(path, clicks(3), RATE)
    assert run("encode", path, "-n9").code == 0
    ncf = path.with_suffix(".ncf")
    held = [len(chunk.layer) for chunk in chunks(ncf.read_bytes())]
    assert sum(map(bool, held)) > 1
    found = json.loads(run("info", "--json", "--chunks", ncf).out)
    assert [chunk["layer_bytes"] for chunk in found["chunks"]] == held
    assert (found["layer_bytes"], found["layered_chunks"]) == (sum(held), sum(map(bool, held)))
    text = run("info", "--chunks", ncf).out.decode()
    assert f"  layer    mdct, {sum(held)} bytes in {sum(map(bool, held))} chunks\n" in text
    assert f"layer of {held[0]} bytes\n" in text


def test_codes_to_train_on_come_with_a_word_on_layers(run: Run, clip: MakeClip) -> None:
    import soundfile

    path = clip("whistle.wav", seconds=3)
    soundfile.write(path, tone(3000), RATE)
    assert run("encode", path).code == 0
    ncf = path.with_suffix(".ncf")
    with neucodec.open(ncf) as file:
        layered = read_tokens(file).layered
    assert layered.tolist() == [bool(chunk.layer) for chunk in chunks(ncf.read_bytes())]
    ran = run("tokens", ncf)
    assert ran.code == 0
    assert f"{layered.sum()} chunks with a layer, which is not in the codes" in ran.err


def spoilt(data: bytes, at: int) -> bytes:
    """The file with another layer in a chunk, of which no checksum tells."""
    reader = NcfReader(io.BytesIO(data))
    target = io.BytesIO()
    writer = NcfWriter(target, reader.header)
    for chunk in reader:
        layer = b"\xff" * len(chunk.layer) if chunk.index == at else chunk.layer
        writer.write(Chunk(**{**vars(chunk), "layer": layer}))
    writer.close(reader.frames or 0)
    return target.getvalue()


def test_a_layer_that_is_none_costs_its_chunk_alone() -> None:
    data = neucodec.encode(tone(3000), RATE, bitrate="8kbps", entropy="adaptive")
    bad = spoilt(data, 1)
    found = NcfReader(io.BytesIO(bad))
    assert undecodable(list(found), found.header, SHARED.of(found.header)) == [1]
    whole, rest = decoded(data), neucodec.decode(bad)[0]
    middle = slice(43008 + 4000, 2 * 43008 - 4000)
    assert not rest[middle].any()
    outside = np.r_[0:40000, 2 * 43008 + 4000 : len(whole)]
    np.testing.assert_allclose(rest[outside], whole[outside], atol=1e-5)


def test_a_layer_is_kept_within_its_share_of_the_bits() -> None:
    """Where a chunk would need more coefficients than that, codes alone are the better choice."""
    data = neucodec.encode(tone(3000), RATE, codebooks=9, entropy="adaptive")
    header = NcfReader(io.BytesIO(data)).header
    assert header.layer == LayerKind.MDCT
    many = sum(tone(hz, 1.05) for hz in range(1000, 9000, 37)).astype(np.float32)[None, :45568]
    few = tone(3000, 1.05).astype(np.float32)[None, :45568]
    for audio, codebooks in ((many, 2), (few, 9)):
        layer = find_layer(audio, header, header.chunk_frames, codebooks, 10)
        most = header.raw_bytes(1, codebooks, header.chunk_frames) / 2
        assert layer is None or len(layer.payload) <= most
    assert layer is not None
