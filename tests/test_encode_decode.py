"""From samples to bytes and back, through the Python interface and the loops behind it."""

import io
import threading
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import neucodec
from neucodec.api import ArraySource
from neucodec.audio.samples import Audio
from neucodec.coding.decoder import Decoder
from neucodec.coding.encoder import encode as encode_source
from neucodec.coding.options import DecodeOptions, EncodeOptions
from neucodec.errors import NeucodecError
from neucodec.formats import NcfReader

OVERLAP = 2560
"""Samples that adjacent chunks of the embedded codec share."""
QUICK = {"entropy": "adaptive"}
"""Unpacks in a fraction of the time that a model takes; test_entropy.py has both."""


def sound(seconds: float, rate: int = 44100, channels: int = 1, seed: int = 0) -> Audio:
    """A few gliding tones and some noise, different in each channel."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tracks = []
    for _ in range(channels):
        glide = 200 * 2 ** (rng.uniform(0, 3) + 0.3 * np.sin(2 * np.pi * time))
        phase = 2 * np.pi * np.cumsum(glide) / rate
        tracks.append(0.2 * np.sin(phase) + 0.02 * rng.standard_normal(len(time)))
    return np.stack(tracks, axis=1).astype(np.float32)


def decoder(data: bytes, **options: object) -> Decoder:
    reader = NcfReader(io.BytesIO(data))
    return Decoder(reader, neucodec.load_model().codec, DecodeOptions(**options))  # type: ignore[arg-type]


def samples(data: bytes, **options: object) -> Audio:
    blocks = list(decoder(data, **options).blocks())
    return np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)


@pytest.mark.parametrize("frames", [0, 1, 511, 512, 513, 44031, 44032, 44033])
def test_lengths_are_exact_around_hops_and_chunks(frames: int) -> None:
    audio = sound(1.1)[:frames]
    decoded, rate = neucodec.decode(neucodec.encode(audio, 44100, codebooks=2, **QUICK))
    assert decoded.shape == (frames, 1) and rate == 44100


@pytest.mark.parametrize(
    ("rate", "channels"), [(8000, 1), (16000, 2), (22050, 6), (44099, 1), (48000, 2), (192000, 1)]
)
def test_rate_and_channels_are_the_sources(rate: int, channels: int) -> None:
    audio = sound(1.3, rate, channels)
    decoded, decoded_rate = neucodec.decode(neucodec.encode(audio, rate, codebooks=2, **QUICK))
    assert decoded.shape == audio.shape and decoded_rate == rate


def test_the_level_is_kept_however_loud_or_quiet() -> None:
    audio = sound(2)

    def gain(level: float) -> float:
        decoded, _ = neucodec.decode(neucodec.encode(level * audio, 44100, **QUICK))
        return float(np.std(decoded) / np.std(level * audio))

    for level in (1e-4, 100.0):
        assert gain(level) == pytest.approx(gain(1.0), rel=0.1)


@pytest.mark.parametrize("rest", [1, 5, 512, 513])
def test_what_the_overlap_of_a_short_last_chunk_holds_takes_no_further_one(rest: int) -> None:
    """The last chunk has the rest already, and an .ncf no chunk after a short one."""
    count = 2 * 43008 + rest
    audio = sound(2)[:count]
    data = neucodec.encode(audio, 44100, **QUICK)
    assert NcfReader(io.BytesIO(data)).complete
    decoded, _ = neucodec.decode(data)
    assert len(decoded) == count
    kept, at_the_end = (np.std(decoded[s:]) / np.std(audio[s:]) for s in (0, -2000))
    assert at_the_end > max(0.5, 0.75 * kept)


def test_a_higher_bitrate_is_a_bigger_file_near_that_bitrate() -> None:
    audio = sound(8)
    for kbps in (2, 4, 8, 12):
        size = len(neucodec.encode(audio, 44100, bitrate=f"{kbps}kbps", entropy="none"))
        assert size * 8 / 8 / 1000 == pytest.approx(kbps, rel=0.2)


def test_silence_costs_no_payload_and_stays_silent() -> None:
    data = neucodec.encode(np.zeros((441000, 2), np.float32), 44100)
    # The header, which names codec and entropy model, a fingerprint, and 11 empty chunks.
    assert len(data) < 260
    decoded, _ = neucodec.decode(data)
    assert decoded.shape == (441000, 2) and not decoded.any()


def test_the_stereo_image_survives() -> None:
    """Only left, only right, both alike: the other side stays (almost) silent, or the same."""
    tone = sound(2)[:, 0]
    for left, right in ((1, 0), (0, 1)):
        decoded, _ = neucodec.decode(neucodec.encode(np.outer(tone, (left, right)), 44100, **QUICK))
        quiet, loud = sorted(np.std(decoded, axis=0))
        assert quiet < 1e-3 * loud and np.argmax(np.std(decoded, axis=0)) == right
    data = neucodec.encode(np.outer(tone, (1, 1)), 44100, **QUICK)
    decoded, _ = neucodec.decode(data)
    np.testing.assert_array_equal(decoded[:, 0], decoded[:, 1])


def test_two_equal_channels_cost_hardly_more_than_one() -> None:
    tone = sound(3)
    one = neucodec.encode(tone, 44100, codebooks=9)
    two = neucodec.encode(np.repeat(tone, 2, axis=1), 44100, codebooks=9)
    assert len(two) < len(one) + 20


def test_the_same_input_gives_the_same_bytes_whatever_the_threads() -> None:
    audio = sound(6, channels=2)
    outputs = set()
    for threads in (1, 2, 5):
        target = io.BytesIO()
        source, options = ArraySource(audio, 44100), EncodeOptions(threads=threads, **QUICK)
        encode_source(source, target, neucodec.load_model().codec, options)
        outputs.add(target.getvalue())
    assert len(outputs) == 1


@pytest.mark.parametrize("rate", [44100, 48000, 16000])
def test_a_range_is_sample_for_sample_what_the_whole_has_there(rate: int) -> None:
    data = neucodec.encode(sound(7, rate, 2), rate, codebooks=2, **QUICK)
    whole = samples(data)
    for start, end in ((0.0, 0.2), (2.5, 4.123), (1.0, 1.0001), (6.9, 99.0)):
        part = samples(data, start=start, end=end)
        expected = whole[round(start * rate) : round(end * rate)]
        np.testing.assert_array_equal(part, expected)


def test_a_range_reads_only_the_chunks_it_needs() -> None:
    class Counting(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            Counting.count += len(data)
            return data

    data = neucodec.encode(sound(30), 44100, codebooks=2, **QUICK)
    file = Counting(data)
    part = Decoder(NcfReader(file), neucodec.load_model().codec, DecodeOptions(start=15, end=16.5))
    assert sum(map(len, part.blocks())) == round(1.5 * 44100)
    assert Counting.count < len(data) / 4


def test_another_rate_or_one_channel_may_come_out() -> None:
    data = neucodec.encode(sound(2, 44100, 2), 44100, codebooks=2, **QUICK)
    changed = decoder(data, rate=16000, mono=True)
    audio = np.concatenate(list(changed.blocks()))
    assert audio.shape == (32000, 1) and changed.sample_rate == 16000 and changed.channels == 1


def test_a_file_cut_off_anywhere_gives_its_whole_chunks() -> None:
    data = neucodec.encode(sound(5), 44100, codebooks=2, **QUICK)
    whole = samples(data)
    for keep in (0.25, 0.5, 0.75, 0.99):
        cut = decoder(data[: int(len(data) * keep)])
        part = np.concatenate([np.zeros((0, 1), np.float32), *cut.blocks()])
        assert cut.truncated
        assert len(part) >= (int(5 * keep) - 1) * 43008
        agree = max(0, len(part) - OVERLAP)
        np.testing.assert_array_equal(part[:agree], whole[:agree])


def test_a_damaged_chunk_is_silent_and_the_rest_is_as_it_was() -> None:
    data = bytearray(neucodec.encode(sound(5), 44100, codebooks=2, **QUICK))
    whole = samples(bytes(data))
    data[len(data) // 2] ^= 0x10
    damaged = decoder(bytes(data))
    audio = np.concatenate(list(damaged.blocks()))
    assert audio.shape == whole.shape
    [(start, end)] = damaged.damaged
    # Around the lost second its neighbours fade out and in.
    first, last = round(start * 44100) + OVERLAP, round(end * 44100) - OVERLAP
    assert not audio[first:last].any() and last - first > 35000
    first, last = round(start * 44100) - OVERLAP, round(end * 44100) + OVERLAP
    np.testing.assert_array_equal(audio[:first], whole[:first])
    np.testing.assert_array_equal(audio[last:], whole[last:])


def test_strict_decoding_stops_at_damage_and_at_a_missing_end() -> None:
    data = neucodec.encode(sound(4), 44100, codebooks=2, **QUICK)
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    with pytest.raises(NeucodecError, match=r"damaged from \d\.\d to \d\.\d s"):
        samples(bytes(flipped), strict=True)
    with pytest.raises(NeucodecError, match="cut off after"):
        samples(data[:-100], strict=True)


def by_other_weights(data: bytes, fingerprint: bytes) -> bytes:
    """A file of the embedded codec as one with weights of that fingerprint would have made it."""
    changed = bytearray(data.replace(neucodec.load_model().card.fingerprint, fingerprint, 1))
    body = int.from_bytes(changed[10:14], "little")
    changed[14 + body : 18 + body] = zlib.crc32(changed[: 14 + body]).to_bytes(4, "little")
    return bytes(changed)


def test_other_weights_are_refused() -> None:
    data = by_other_weights(neucodec.encode(sound(1), 44100, codebooks=2), b"8 others")
    with pytest.raises(NeucodecError, match="other weights of neu2-44khz"):
        neucodec.decode(data)


def test_files_of_earlier_weights_with_the_same_codes_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = neucodec.load_model()
    data, earlier = neucodec.encode(sound(1), 44100, codebooks=2, **QUICK), bytes(range(32))
    monkeypatch.setattr(model.codec, "card", replace(model.card, same_codes=[earlier.hex()]))
    found, _ = neucodec.decode(by_other_weights(data, earlier[:8]), model=model)
    np.testing.assert_array_equal(found, neucodec.decode(data)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 9.0}, "the start, 9 s, is past the end, 2 s"),
        ({"start": 1.0, "end": 0.5}, "the end, 0.5 s, is not after the start, 1 s"),
        ({"start": -1.0}, "-1 s is before the start"),
    ],
)
def test_impossible_ranges_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(NeucodecError, match=message):
        decoder(neucodec.encode(sound(2), 44100, codebooks=2, **QUICK), **options)


def test_what_cannot_be_encoded_is_refused() -> None:
    for audio, message in (
        (np.zeros((4, 4, 4)), r"give \[samples\]"),
        (np.zeros(100, np.complex64), "give floats"),
        (np.full(100, np.nan), "NaN or infinity"),
    ):
        with pytest.raises(NeucodecError, match=message):
            neucodec.encode(audio, 44100)


def test_an_opened_file_behaves_like_soundfiles(tmp_path: Path) -> None:
    audio = sound(4, 48000, 2)
    (tmp_path / "a.ncf").write_bytes(
        neucodec.encode(audio, 48000, tags={"TITLE": "Glide"}, codebooks=2, **QUICK)
    )
    whole, _ = neucodec.decode(tmp_path / "a.ncf")
    with neucodec.open(tmp_path / "a.ncf") as file:
        assert (file.samplerate, file.channels, file.frames) == (48000, 2, len(audio))
        assert len(file) == len(audio) and file.tags == {"TITLE": "Glide"}
        assert file.seekable() and not file.closed and file.name == str(tmp_path / "a.ncf")
        assert repr(file).endswith(f"a.ncf': 48000 Hz, 2 ch, {len(audio)} samples>")
        np.testing.assert_array_equal(file.read(1000), whole[:1000])
        np.testing.assert_array_equal(file.read(70000), whole[1000:71000])
        assert file.seek(-500, 2) == len(audio) - 500 == file.tell()
        np.testing.assert_array_equal(file.read(), whole[-500:])
        assert file.read().shape == (0, 2)
        file.seek(0)
        blocks = list(file.blocks(50000, overlap=100))
        np.testing.assert_array_equal(blocks[1][:100], blocks[0][-100:])
        np.testing.assert_array_equal(np.concatenate([b[100:] for b in blocks[1:]]), whole[50000:])
        with pytest.raises(ValueError, match="seeks to sample"):
            file.seek(1, 2)
    assert file.closed
    with pytest.raises(ValueError, match=r"a\.ncf is closed"):
        file.read(1)


def test_codes_of_a_chunk_are_at_hand(tmp_path: Path) -> None:
    data = neucodec.encode(sound(2.5, channels=2), 44100, codebooks=4, **QUICK)
    with neucodec.open(io.BytesIO(data)) as file:
        assert file.chunk_count == 3
        shapes = [codes.shape for i in range(3) if (codes := file.codes(i)) is not None]
        assert shapes == [(2, 4, 86), (2, 4, 86), (2, 4, 48)]


def test_codes_may_be_looked_up_while_reading() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            time.sleep(0.002)  # time enough for another thread to seek elsewhere
            return super().read(size)

    data = neucodec.encode(sound(6), 44100, codebooks=2, **QUICK)
    whole, _ = neucodec.decode(data)
    with neucodec.open(Slow(data)) as file:
        parts = []
        while file.tell() < file.frames:
            parts.append(file.read(44100))  # goes on reading ahead while codes are looked up
            assert all(file.codes(n) is not None for n in range(file.chunk_count))
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_files_are_read_in_threads_at_once() -> None:
    data = neucodec.encode(sound(3), 44100, codebooks=2, **QUICK)
    whole, _ = neucodec.decode(data)
    results: list[Audio] = []

    def work() -> None:
        results.append(neucodec.decode(data)[0])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    for result in results:
        np.testing.assert_array_equal(result, whole)
