"""Writing audio: every way out holds the same samples, whole or not at all."""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import soundfile

from neucodec.audio import wav_writer
from neucodec.audio.input import RawFormat, open_audio
from neucodec.audio.output import open_sink
from neucodec.audio.output_format import SUBTYPES, OutputFormat
from neucodec.audio.samples import Audio
from neucodec.errors import NeucodecError

if sys.platform != "win32":
    import resource

linux = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full and sparse files")

BITS = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
KINDS = [(form, subtype) for form in ("wav", "flac") for subtype in SUBTYPES[form]]
TAGS = {
    "TITLE": "Tïtle",
    "ARTIST": "Artist",
    "ALBUM": "Album",
    "DATE": "2024",
    "TRACKNUMBER": "7",
    "GENRE": "Noise",
    "COMMENT": "Words",
    "COPYRIGHT": "Nobody",
}


def noise(frames: int = 3001, channels: int = 2, level: float = 0.99) -> Audio:
    rng = np.random.default_rng(0)
    return rng.uniform(-level, level, (frames, channels)).astype(np.float32)


def rounded(audio: Audio, subtype: str) -> Audio:
    """`audio` as it reads once `subtype` has held it."""
    if subtype == "FLOAT":
        return audio
    full = 2.0 ** (BITS[subtype] - 1)
    integers = np.clip(np.rint(audio.astype(np.float64) * full), -full, full - 1)
    return (integers / full).astype(np.float32)


def read(file: Path | bytes) -> Audio:
    source = io.BytesIO(file) if isinstance(file, bytes) else file
    audio: Audio = soundfile.read(source, dtype="float32", always_2d=True)[0]
    return audio


def through_pipe(write: Callable[[BinaryIO], None]) -> bytes:
    """What comes out of a pipe while `write` writes into it."""
    reading, writing = os.pipe()
    received = []

    def receive() -> None:
        with open(reading, "rb") as file:  # noqa: PTH123
            received.append(file.read())

    reader = threading.Thread(target=receive)
    reader.start()
    with open(writing, "wb", 0) as file:  # noqa: PTH123
        write(file)
    reader.join()
    return received[0]


@pytest.mark.parametrize(("form", "subtype"), KINDS)
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("known", [False, True])
def test_a_file_and_a_pipe_hold_the_samples_rounded_to_nearest(
    tmp_path: Path, form: str, subtype: str, channels: int, known: bool
) -> None:
    audio = noise(3001, channels)
    frames = len(audio) if known else None

    def write(target: Path | BinaryIO) -> None:
        with open_sink(
            target,
            OutputFormat(
                44100, channels, container=form, subtype=subtype, samples=frames, tags=TAGS
            ),
        ) as sink:
            for start in range(0, len(audio), 700):
                sink.write(audio[start : start + 700])

    path = tmp_path / f"clip.{form}"
    write(path)
    piped = through_pipe(write)
    expected = rounded(audio, subtype)
    assert np.array_equal(read(path), expected)
    assert np.array_equal(read(piped), expected)
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype) == (44100, channels, subtype)
    if known:
        assert piped == path.read_bytes()


@pytest.mark.parametrize(("form", "subtype"), KINDS)
@pytest.mark.parametrize("known", [False, True])
def test_what_goes_into_a_pipe_can_be_read_from_a_pipe(
    form: str, subtype: str, known: bool
) -> None:
    audio = noise(101, 1)  # an odd number of bytes

    def write(target: BinaryIO) -> None:
        with open_sink(
            target,
            OutputFormat(
                8000, 1, container=form, subtype=subtype, samples=101 if known else None, tags=TAGS
            ),
        ) as sink:
            sink.write(audio)

    file = io.BytesIO(b" " + through_pipe(write))
    file.seek(1)
    with open_audio(file) as source:
        assert source.tags == TAGS
        assert np.array_equal(np.concatenate(list(source.blocks())), rounded(audio, subtype))


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_tags_can_be_read_by_others(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"clip.{form}"
    with open_sink(
        path, OutputFormat(44100, 2, container=form, tags={**TAGS, "MOOD": "grim"})
    ) as sink:
        sink.write(noise())
    with soundfile.SoundFile(path) as file:
        assert {name: getattr(file, name.lower()) for name in TAGS} == TAGS


@pytest.mark.parametrize("subtype", SUBTYPES["raw"])
def test_raw_pcm_reads_back(tmp_path: Path, subtype: str) -> None:
    audio = noise()
    path = tmp_path / "clip.raw"
    with open_sink(path, OutputFormat(8000, 2, container="raw", subtype=subtype)) as sink:
        sink.write(audio)
    little_endian = {"PCM_U8": "u8", "FLOAT": "f32le"}
    default = f"s{subtype[4:]}le" if subtype.startswith("PCM") else subtype
    name = little_endian.get(subtype, default)
    with open_audio(path, raw=RawFormat(8000, 2, name)) as source:
        assert source.subtype is not None
        expected = (
            rounded(audio, source.subtype.replace("PCM_S8", "PCM_U8"))
            if (source.subtype.startswith("PCM"))
            else audio
        )
        assert np.array_equal(np.concatenate(list(source.blocks())), expected)


def test_sixteen_bits_are_written_bit_for_bit(tmp_path: Path) -> None:
    integers = np.arange(-32768, 32768, dtype=np.int16)[:, None]
    path = tmp_path / "clip.wav"
    with open_sink(path, OutputFormat(8000, 1)) as sink:
        sink.write(integers.astype(np.float32) / np.float32(32768))
    assert np.array_equal(soundfile.read(path, dtype="int16", always_2d=True)[0], integers)


def test_ties_are_rounded_to_even(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    with open_sink(path, OutputFormat(8000, 1)) as sink:
        sink.write(np.array([[0.5], [1.5], [2.5], [-0.5], [-1.5]], np.float32) / np.float32(32768))
    assert soundfile.read(path, dtype="int16")[0].tolist() == [0, 2, 2, 0, -2]


@pytest.mark.parametrize(("form", "subtype"), [(f, s) for f, s in KINDS if s != "FLOAT"])
def test_samples_beyond_full_scale_are_cut_off_and_counted(
    tmp_path: Path, form: str, subtype: str
) -> None:
    path = tmp_path / "clip"
    with open_sink(path, OutputFormat(8000, 1, container=form, subtype=subtype)) as sink:
        sink.write(np.array([[0.5], [1.0], [1.5], [-1.0], [-3.0]], np.float32))
        assert (sink.clipped, sink.peak, sink.samples) == (2, 3.0, 5)
    top = 1 - 2.0 ** (1 - BITS[subtype])
    expected = np.array([0.5, top, top, -1, -1], np.float32)
    assert np.array_equal(read(path)[:, 0], expected)


@pytest.mark.parametrize(("clip", "loudest"), [(None, 3.0), ("none", 3.0), ("clamp", 1.0)])
def test_float_is_left_alone_unless_asked_for(
    tmp_path: Path, clip: str | None, loudest: float
) -> None:
    path = tmp_path / "clip.wav"
    with open_sink(path, OutputFormat(8000, 1, subtype="FLOAT", clip=clip)) as sink:
        sink.write(np.array([[0.5], [-3.0]], np.float32))
    assert read(path)[:, 0].tolist() == [0.5, -loudest]
    assert sink.clipped == 1


@pytest.mark.parametrize(("form", "subtype"), KINDS)
def test_rescale_makes_everything_softer_so_that_the_peak_fits(
    tmp_path: Path, form: str, subtype: str
) -> None:
    audio = noise(200_000, level=2)
    path = tmp_path / "clip"
    with open_sink(
        path, OutputFormat(8000, 2, container=form, subtype=subtype, clip="rescale")
    ) as sink:
        for start in range(0, len(audio), 50_000):
            sink.write(audio[start : start + 50_000])
    step = 2.0 ** (1 - min(BITS.get(subtype, 24), 24))  # float32 holds no finer one
    assert np.abs(read(path) - audio / sink.peak).max() < 2 * step
    assert 1 - 2 * step < np.abs(read(path)).max() <= 1
    assert sink.clipped > 0


def test_rescale_leaves_audio_that_fits_as_it_is() -> None:
    audio = noise()

    def write(target: BinaryIO) -> None:
        with open_sink(target, OutputFormat(8000, 2, subtype="FLOAT", clip="rescale")) as sink:
            sink.write(audio)

    piped = through_pipe(write)
    assert np.array_equal(read(piped), audio)
    assert len(piped) == int.from_bytes(piped[4:8], "little") + 8  # its length was known by then


def test_what_is_not_finite_becomes_silence(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    with open_sink(path, OutputFormat(8000, 1, subtype="FLOAT")) as sink:
        sink.write(np.array([[np.nan], [0.25], [np.inf]], np.float32))
    assert read(path)[:, 0].tolist() == [0, 0.25, 0]
    assert sink.peak == 0.25


@pytest.mark.parametrize(("form", "subtype"), KINDS)
def test_no_audio_at_all_makes_a_valid_empty_file(tmp_path: Path, form: str, subtype: str) -> None:
    path = tmp_path / "clip"
    with open_sink(path, OutputFormat(48000, 3, container=form, subtype=subtype)) as sink:
        sink.write(np.zeros((0, 3), np.float32))
    with open_audio(path) as source:
        assert (source.sample_rate, source.channels, source.subtype) == (48000, 3, subtype)
        assert list(source.blocks()) == []


def test_255_channels_fit_into_wav(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    with open_sink(path, OutputFormat(48000, 255, subtype="PCM_24")) as sink:
        sink.write(noise(100, 255))
    assert np.array_equal(read(path), rounded(noise(100, 255), "PCM_24"))


@pytest.mark.parametrize("rate", [1, 44099, 352_800, 655_350])
def test_flac_holds_rates_of_every_kind(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "clip.flac"
    with open_sink(path, OutputFormat(rate, 1, container="flac")) as sink:
        sink.write(noise(100, 1))
    assert soundfile.info(path).samplerate == rate


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"container": "aac"}, "cannot write 'aac': choose from wav, flac, opus, ogg, mp3"),
        ({"subtype": "PCM_12"}, "wav cannot hold PCM_12: choose from PCM_U8, PCM_16"),
        ({"container": "flac", "subtype": "FLOAT"}, "flac cannot hold FLOAT: .* PCM_16, PCM_24"),
        ({"container": "raw", "subtype": "alaw"}, "raw cannot hold alaw: choose from .*s16be"),
        ({"clip": "wrap"}, "by 'wrap': choose from clamp, rescale, none"),
        ({"clip": "none"}, "PCM_16 cannot hold samples beyond full scale: clamp or rescale"),
        ({"container": "flac", "channels": 9}, "FLAC cannot hold 9 channels: 1 to 8"),
        ({"container": "flac", "sample_rate": 768_000}, "FLAC cannot hold 768000 Hz: 1 to 655350"),
    ],
)
def test_what_cannot_be_written_is_refused_with_what_can(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    arguments = {"sample_rate": 44100, "channels": 2, **options}
    with pytest.raises(NeucodecError, match=message):
        open_sink(tmp_path / "clip", OutputFormat(**arguments))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_not_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(b"old")
    with pytest.raises(NeucodecError, match="exists"):
        open_sink(path, OutputFormat(8000, 1))
    with open_sink(path, OutputFormat(8000, 2), overwrite=True) as sink:
        sink.write(noise())
    assert len(read(path)) == 3001


@pytest.mark.parametrize("clip", ["clamp", "rescale"])
@pytest.mark.parametrize("form", ["wav", "flac", "raw"])
def test_an_exception_leaves_nothing(tmp_path: Path, form: str, clip: str) -> None:
    path = tmp_path / "clip"
    with (
        pytest.raises(KeyboardInterrupt),
        open_sink(path, OutputFormat(8000, 2, container=form, clip=clip)) as sink,
    ):
        sink.write(noise(100_000))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_block_of_another_shape_is_refused(tmp_path: Path) -> None:
    with (
        open_sink(tmp_path / "clip.wav", OutputFormat(8000, 2)) as sink,
        pytest.raises(ValueError, match="2 ch"),
    ):
        sink.write(noise(10, 3))


def test_a_wav_comes_out_of_a_pipe_block_by_block() -> None:
    audio = noise(1000, 1)
    reading, writing = os.pipe()
    with (
        open(reading, "rb", 0) as source,  # noqa: PTH123
        open(writing, "wb", 65536) as target,  # noqa: PTH123
        open_sink(target, OutputFormat(8000, 1, subtype="FLOAT")) as sink,
    ):
        sink.write(audio)
        data = source.read(65536)
        assert data.endswith(audio.tobytes())


def test_a_pipe_whose_reader_has_gone_says_so() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with (
        open(writing, "wb", 0) as target,  # noqa: PTH123
        pytest.raises(BrokenPipeError),
        open_sink(target, OutputFormat(8000, 2)) as sink,
    ):
        sink.write(noise())


@linux
@pytest.mark.parametrize("form", ["wav", "flac", "raw"])
def test_a_full_disk_is_reported(form: str) -> None:
    with (
        pytest.raises(NeucodecError, match="/dev/full: cannot be written: No space left"),
        open_sink("/dev/full", OutputFormat(8000, 2, container=form)) as sink,
    ):
        sink.write(noise(100_000))


@contextmanager
def no_file_larger_than(limit: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@linux
@pytest.mark.parametrize("form", ["wav", "flac", "raw"])
@pytest.mark.parametrize("clip", ["clamp", "rescale"])
@pytest.mark.parametrize("limit", [10, 20_000, 100_000])
def test_a_file_that_may_not_grow_is_reported_and_removed(
    tmp_path: Path, form: str, clip: str, limit: int
) -> None:
    with (
        pytest.raises(NeucodecError, match="clip: cannot be written: File too large"),
        no_file_larger_than(limit),
        open_sink(tmp_path / "clip", OutputFormat(8000, 2, container=form, clip=clip)) as sink,
    ):
        for _ in range(20):
            sink.write(noise(5000))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_standard_output_may_be_a_pipe_a_file_or_appended_to(tmp_path: Path, form: str) -> None:
    program = f"""
import numpy as np
from neucodec.audio.output import open_sink
from neucodec.audio.output_format import OutputFormat
audio = np.random.default_rng(0).uniform(-1, 1, (500, 2)).astype(np.float32)
with open_sink("-", OutputFormat(8000, 2, container="{form}")) as sink:
    sink.write(audio)
"""
    command = [sys.executable, "-c", program]
    piped = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    with (tmp_path / "clip").open("wb") as file:
        subprocess.run(command, stdout=file, check=True)
    (tmp_path / "all").write_bytes(b"before")
    with (tmp_path / "all").open("ab") as file:
        subprocess.run(command, stdout=file, check=True)
    assert (tmp_path / "all").read_bytes() == b"before" + piped
    assert soundfile.info(tmp_path / "clip").frames == 500
    assert np.array_equal(read(tmp_path / "clip"), read(piped))


@linux
@pytest.mark.parametrize("data_bytes", [2**32 - 200, 2**32 - 100, 2**32 - 9, 2**32, 5 * 2**30 + 4])
@pytest.mark.parametrize("wide", [False, True])
def test_a_file_beyond_4_gib_becomes_rf64(tmp_path: Path, data_bytes: int, wide: bool) -> None:
    form = wav_writer.SUBTYPES["FLOAT"]
    data_bytes -= data_bytes % 4
    header = wav_writer.make_header(48000, 1, form, data_bytes, TAGS, wide=wide)
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + data_bytes)  # sparse: takes no room
    assert header[:4] == (b"RIFF" if path.stat().st_size < 2**32 else b"RF64")
    assert soundfile.info(path).frames == data_bytes // 4
    with path.open("rb") as stored, open_audio(stored) as source:
        assert source.samples == data_bytes // 4


def test_the_header_of_a_growing_file_has_room_for_64_bit_sizes() -> None:
    form = wav_writer.SUBTYPES["FLOAT"]
    lengths = {
        len(wav_writer.make_header(48000, 1, form, data_bytes, TAGS, wide=True))
        for data_bytes in (None, 0, 1000, 2**32 - 100, 2**40)
    }
    assert len(lengths) == 1
