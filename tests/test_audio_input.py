"""Reading audio: files, pipes and headerless PCM give the same samples."""

import io
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import soundfile

from neucodec.audio.input import AudioSource, RawFormat, open_audio
from neucodec.audio.samples import Audio
from neucodec.errors import NeucodecError

posix = pytest.mark.skipif(os.name != "posix", reason="needs named pipes")


def noise(frames: int = 3001, channels: int = 2) -> Audio:
    rng = np.random.default_rng(0)
    return rng.uniform(-0.99, 0.99, (frames, channels)).astype(np.float32)


def encoded(
    audio: Audio, form: str, subtype: str, rate: int = 44100, endian: str = "FILE", **tags: str
) -> bytes:
    """`audio` as the bytes of a file that libsndfile wrote."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", rate, audio.shape[1], subtype, endian, format=form
    ) as file:
        for tag, text in tags.items():
            setattr(file, tag, text)
        file.write(audio)
    return buffer.getvalue()


def decoded(data: bytes) -> Audio:
    """What libsndfile reads in `data`."""
    audio: Audio = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]
    return audio


def all_of(source: AudioSource, blocksize: int = 1000) -> Audio:
    blocks = list(source.blocks(blocksize))
    return np.concatenate(blocks) if blocks else np.zeros((0, source.channels), np.float32)


@contextmanager
def pipe_with(data: bytes) -> Iterator[BinaryIO]:
    """The reading end of a pipe into which someone writes `data` and then leaves."""
    reading, writing = os.pipe()

    def feed() -> None:
        with open(writing, "wb") as file:  # noqa: PTH123
            file.write(data)

    writer = threading.Thread(target=feed)
    writer.start()
    with open(reading, "rb") as file:  # noqa: PTH123
        yield file
        while file.read(65536):  # lets the writer end where a test stops early
            pass
    writer.join()


def patched(wav: bytes, riff_size: int, data_size: int) -> bytes:
    """`wav` with other sizes in its header, as writers to pipes leave them."""
    at = wav.index(b"data") + 4
    head = wav[:4] + struct.pack("<I", riff_size) + wav[8:at]
    return head + struct.pack("<I", data_size) + wav[at + 4 :]


PIPED = [
    (form, subtype, endian)
    for form in ("WAV", "WAVEX", "RF64")
    for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW")
    for endian in ("LITTLE", "BIG")
    if soundfile.check_format(form, subtype, endian)
]


@pytest.mark.parametrize(("form", "subtype", "endian"), PIPED)
def test_a_wav_read_from_a_pipe_equals_what_libsndfile_reads(
    form: str, subtype: str, endian: str
) -> None:
    data = encoded(noise(), form, subtype, endian=endian)
    with pipe_with(data) as pipe, open_audio(pipe) as source:
        assert source.samples == 3001
        assert (source.sample_rate, source.channels, source.subtype) == (44100, 2, subtype)
        assert np.array_equal(all_of(source), decoded(data))


def test_both_byte_orders_are_among_those_checked() -> None:
    assert {("WAV", "PCM_24", "LITTLE"), ("WAV", "PCM_24", "BIG")} <= set(PIPED)


@pytest.mark.parametrize("subtype", ["ALAW", "ULAW"])
def test_every_code_of_g711_is_expanded_as_libsndfile_does(subtype: str) -> None:
    data = encoded(np.zeros((256, 1), np.float32), "WAV", subtype)
    data = data[:-256] + bytes(range(256))
    with pipe_with(data) as pipe, open_audio(pipe) as source:
        assert np.array_equal(all_of(source), decoded(data))


@pytest.mark.parametrize(
    ("form", "subtype"),
    [
        ("WAV", "IMA_ADPCM"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("MP3", "MPEG_LAYER_III"),
        ("AIFF", "PCM_24"),
        ("CAF", "ALAC_16"),
        ("W64", "FLOAT"),
    ],
)
def test_any_other_format_on_a_pipe_is_read_too(form: str, subtype: str) -> None:
    data = encoded(noise(), form, subtype)
    with pipe_with(data) as pipe, open_audio(pipe) as source:
        assert source.subtype == subtype
        assert np.allclose(all_of(source), decoded(data), atol=1e-6)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_a_file_reads_the_same_by_name_and_from_memory(tmp_path: Path, form: str) -> None:
    data = encoded(noise(30_001), form, soundfile.default_subtype(form))
    path = tmp_path / f"clip.{form.lower()}"
    path.write_bytes(data)
    with open_audio(path) as by_name, open_audio(io.BytesIO(data)) as in_memory:
        assert by_name.samples == in_memory.samples == 30_001
        first = all_of(by_name)
        assert len(first) == 30_001
        assert np.array_equal(first, all_of(in_memory))


@pytest.mark.parametrize("blocksize", [1, 7, 3000, 3001, 65536])
def test_blocks_have_the_size_asked_for_but_the_last(blocksize: int) -> None:
    data = encoded(noise(), "FLAC", "PCM_16")
    with open_audio(io.BytesIO(data)) as source:
        blocks = list(source.blocks(blocksize))
    lengths = [len(block) for block in blocks]
    assert lengths[:-1] == [blocksize] * (
        3001 // blocksize if 3001 % blocksize else 3000 // blocksize
    )
    assert sum(lengths) == 3001
    assert all(block.dtype == np.float32 and block.shape[1] == 2 for block in blocks)


@pytest.mark.parametrize(
    "sizes",
    [(0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (36, 0), (0x7FFFF024, 0x7FFFF000), (0xFFFFFFFF, 0)],
    ids=["ffmpeg", "zero", "wave", "sox", "mixed"],
)
def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path: Path, sizes: tuple[int, int]) -> None:
    audio = noise()
    data = patched(encoded(audio, "WAV", "FLOAT"), *sizes)
    with pipe_with(data) as pipe, open_audio(pipe) as source:
        assert source.samples is None
        assert np.array_equal(all_of(source), audio)
    (tmp_path / "clip.wav").write_bytes(data)
    with open_audio(tmp_path / "clip.wav") as source:
        assert np.array_equal(all_of(source), audio)


def test_rf64_as_ffmpeg_writes_it_to_a_pipe() -> None:
    audio = noise()
    wav = encoded(audio, "RF64", "FLOAT")
    at = wav.index(b"ds64") + 8
    data = wav[:at] + bytes(24) + wav[at + 24 :]
    with pipe_with(data) as pipe, open_audio(pipe) as source:
        assert source.samples is None
        assert np.array_equal(all_of(source), audio)


def test_a_wav_cut_off_anywhere_in_its_audio_gives_every_whole_sample() -> None:
    audio = noise(100)
    data = encoded(audio, "WAV", "FLOAT")
    start = data.index(b"data") + 8
    for end in range(start, len(data), 13):
        with pipe_with(data[:end]) as pipe, open_audio(pipe) as source:
            assert np.array_equal(all_of(source), audio[: (end - start) // 8])


def test_chunks_around_the_audio_are_passed_over_and_tags_before_it_read() -> None:
    audio = noise(99, 1)
    wav = encoded(audio, "WAV", "PCM_U8")
    fmt, rest = wav.index(b"fmt "), wav.index(b"data")
    info = b"INFOINAM\5\0\0\0Name\0\0IART\7\0\0\0Bj\xf6rk\0\0\0"
    data = (
        wav[:fmt]
        + b"junk\3\0\0\0abc\0"
        + wav[fmt:rest]
        + struct.pack("<4sI", b"LIST", len(info))
        + info
        + struct.pack("<4sI", b"bext", 100_001)
        + bytes(100_002)
        + wav[rest:]
        + b"\0id3 \4\0\0\0abcd"
    )
    with pipe_with(data) as pipe, open_audio(pipe) as source:
        assert source.tags == {"TITLE": "Name", "ARTIST": "Björk"}
        assert np.array_equal(all_of(source), decoded(wav))


def test_an_empty_wav_with_tags_behind_it_is_empty() -> None:
    wav = encoded(noise(0), "WAV", "PCM_16")
    data = wav + b"LIST\4\0\0\0INFO"
    data = patched(data, len(data) - 8, 0)
    with pipe_with(data) as pipe, open_audio(pipe) as source:
        assert source.samples == 0
        assert all_of(source).shape == (0, 2)


TAGS = {
    "title": "Tïtle",
    "artist": "Artist",
    "album": "Album",
    "date": "2024",
    "tracknumber": "7",
    "genre": "Noise",
    "comment": "Words",
    "copyright": "Nobody",
}


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("piped", [False, True])
def test_tags_come_by_their_vorbis_names_and_the_encoder_s_own_does_not(
    form: str, piped: bool
) -> None:
    data = encoded(
        noise(), form, soundfile.default_subtype(form), 44100, "FILE", **TAGS, software="tests"
    )
    expected = {name.upper(): text for name, text in TAGS.items()}
    if form == "MP3":
        del expected["COPYRIGHT"]  # which libsndfile does not read there
    with pipe_with(data) as pipe, open_audio(pipe if piped else io.BytesIO(data)) as source:
        assert source.tags == expected


def test_flac_as_written_to_a_pipe_does_not_know_its_length_and_loses_nothing() -> None:
    audio = noise(100_000)
    flac = bytearray(encoded(audio, "FLAC", "PCM_16"))
    flac[21] &= 0xF0  # STREAMINFO's 36 bits of total samples
    flac[22:26] = bytes(4)
    with open_audio(io.BytesIO(flac)) as source:
        assert source.samples is None
        assert len(all_of(source, 65536)) == 100_000


def vbr_mp3() -> bytes:
    """An MP3 file whose first frame, nearly silent, has a bitrate far from the mean."""
    audio = noise(88_200) * np.linspace(0, 1, 88_200, dtype=np.float32)[:, None] ** 4
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", 44100, 2, format="MP3", compression_level=0.5, bitrate_mode="VARIABLE"
    ) as file:
        file.write(audio)
    return buffer.getvalue()


@pytest.mark.parametrize("by_name", [False, True])
def test_mp3_without_a_length_is_read_to_its_end(tmp_path: Path, by_name: bool) -> None:
    whole = vbr_mp3()
    bare = whole[whole.index(b"\xff\xfb", whole.index(b"Xing")) :]
    id3v1 = b"TAG" + b"Title".ljust(30) + bytes(95)
    path = tmp_path / "clip.mp3"
    path.write_bytes(bare + id3v1)
    assert soundfile.info(path).frames != pytest.approx(88_200, rel=0.1)
    with path.open("rb") as file, open_audio(path if by_name else file) as source:
        assert source.samples is None
        assert source.tags["TITLE"] == "Title"
        assert 0 <= len(all_of(source)) - 88_200 < 3 * 1152  # its padding is not cut off


def test_mp3_with_a_length_has_the_source_s() -> None:
    with open_audio(io.BytesIO(vbr_mp3())) as source:
        assert source.samples == len(all_of(source)) == 88_200


@pytest.mark.parametrize(
    "name", ["u8", "s8", "s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "f32le", "f64be"]
)
def test_raw_pcm_equals_what_libsndfile_reads(tmp_path: Path, name: str) -> None:
    subtypes = {"u8": "PCM_U8", "s8": "PCM_S8", "f32le": "FLOAT", "f64be": "DOUBLE"}
    subtype = subtypes.get(name, f"PCM_{name[1:3]}")
    path = tmp_path / "clip.raw"
    layout: dict[str, Any] = {"endian": "BIG" if name.endswith("be") else "LITTLE", "format": "RAW"}
    soundfile.write(path, noise(), 8000, subtype, **layout)
    expected, _ = soundfile.read(path, -1, 0, None, "float32", False, None, None, 8000, 2,
                                 subtype=subtype, **layout)  # fmt: skip
    raw = RawFormat(8000, 2, name)
    with open_audio(path, raw=raw) as source:
        assert (source.samples, source.sample_rate, source.subtype) == (3001, 8000, subtype)
        assert np.array_equal(all_of(source), expected)
    with pipe_with(path.read_bytes() + b"\0") as pipe, open_audio(pipe, raw=raw) as source:
        assert source.samples is None
        assert np.array_equal(all_of(source), expected)


def test_a_file_object_is_read_from_where_it_stands() -> None:
    audio = noise()
    file = io.BytesIO(b"before" + encoded(audio, "WAV", "FLOAT"))
    file.seek(6)
    with open_audio(file) as source:
        assert np.array_equal(all_of(source), audio)
    assert not file.closed


def test_a_pipe_is_read_no_further_than_the_block_needs() -> None:
    audio = noise(4096, 1)
    data = encoded(audio, "WAV", "FLOAT")
    header = len(data) - audio.nbytes
    reading, writing = os.pipe()
    with open(reading, "rb", 0) as file:  # noqa: PTH123
        os.write(writing, data[: header + 1000 * 4])
        with open_audio(file) as source:
            blocks = source.blocks(1000)
            assert np.array_equal(next(blocks), audio[:1000])
            os.write(writing, data[header + 1000 * 4 : header + 1500 * 4])
            os.close(writing)
            assert np.array_equal(next(blocks), audio[1000:1500])


@posix
def test_a_named_pipe_is_read_as_a_pipe(tmp_path: Path) -> None:
    audio = noise()
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(encoded(audio, "WAV", "FLOAT"),))
    writer.start()
    with open_audio(path) as source:
        assert np.array_equal(all_of(source), audio)
    writer.join()


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_standard_input_may_be_a_pipe_or_a_file(tmp_path: Path, form: str) -> None:
    program = (
        "from neucodec.audio.input import open_audio\n"
        "with open_audio('-') as source:\n"
        "    print(source.samples, sum(len(block) for block in source.blocks()))"
    )
    path = tmp_path / "clip"
    path.write_bytes(encoded(noise(), form, "PCM_16"))
    command = [sys.executable, "-c", program]
    piped = subprocess.run(command, input=path.read_bytes(), stdout=subprocess.PIPE, check=True)
    with path.open("rb") as file:
        redirected = subprocess.run(command, stdin=file, stdout=subprocess.PIPE, check=True)
    assert piped.stdout.split() == redirected.stdout.split() == [b"3001", b"3001"]


def test_samples_that_are_not_finite_become_silence_and_are_counted() -> None:
    audio = noise(10)
    audio[3, 0], audio[4, 1], audio[5, 1] = np.nan, np.inf, -np.inf
    data = encoded(audio, "WAV", "FLOAT")
    expected = np.where(np.isfinite(audio), audio, 0)
    with open_audio(io.BytesIO(data)) as source, pipe_with(data) as pipe, open_audio(pipe) as piped:
        assert np.array_equal(all_of(source), expected)
        assert np.array_equal(all_of(piped), expected)
        assert source.nonfinite == piped.nonfinite == 3


@pytest.mark.parametrize("form", ["WAV", "OGG"])
@pytest.mark.parametrize("frames", [0, 1])
def test_very_short_audio(form: str, frames: int) -> None:
    data = encoded(noise(frames), form, soundfile.default_subtype(form))
    with open_audio(io.BytesIO(data)) as source:
        assert source.samples == frames
        assert all_of(source).shape == (frames, 2)


def test_a_damaged_file_gives_what_is_there_and_then_says_so(tmp_path: Path) -> None:
    flac = encoded(noise(100_000), "FLAC", "PCM_16")
    path = tmp_path / "clip.flac"
    path.write_bytes(flac[: len(flac) // 2])
    frames = 0
    with (
        open_audio(path) as source,
        pytest.raises(NeucodecError, match=r"flac: damaged or cut off"),
    ):
        for block in source.blocks(4096):
            frames += len(block)
    assert frames > 40_000


def test_a_shortened_mp3_is_noticed() -> None:
    mp3 = vbr_mp3()
    with (
        open_audio(io.BytesIO(mp3[: len(mp3) // 2])) as source,
        pytest.raises(NeucodecError, match=r"2\.00 s were announced"),
    ):
        all_of(source)


class FailingFile(io.BytesIO):
    """A file on a disk that cannot be read beyond some byte."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 20_000:
            raise OSError(5, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("start", [0, 1])
def test_an_error_of_the_file_itself_comes_through(start: int) -> None:
    file = FailingFile(bytes(start) + encoded(noise(100_000), "WAV", "FLOAT"))
    file.seek(start)
    with (
        open_audio(file) as source,
        pytest.raises(NeucodecError, match="cannot be read: Input/output error"),
    ):
        all_of(source)


def make_directory(path: Path) -> None:
    path.mkdir()


def make_text(path: Path) -> None:
    path.write_text("Once upon a time there was no audio in this file at all.")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "clip.wav: cannot be read: No such file"),
        (make_directory, "clip.wav: this is a directory"),
        (make_text, "clip.wav: (empty, or )?no audio that libsndfile (or FFmpeg )?reads"),
        (Path.touch, "clip.wav: empty, or no audio"),
    ],
    ids=["missing", "directory", "text", "empty"],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / "clip.wav")
    with pytest.raises(NeucodecError, match=message) as error:
        open_audio(tmp_path / "clip.wav")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"Once upon a time" * 99])
def test_a_pipe_without_audio_is_refused(data: bytes) -> None:
    with pipe_with(data) as pipe, pytest.raises(NeucodecError, match="no audio"):
        open_audio(pipe)


def test_a_pipe_that_ends_within_the_header_is_refused() -> None:
    data = encoded(noise(), "WAV", "PCM_16")
    with pipe_with(data[:40]) as pipe, pytest.raises(NeucodecError, match="ends within its header"):
        open_audio(pipe)


@pytest.mark.parametrize("form", ["WAV", "AU"])
def test_more_channels_than_a_file_of_ours_holds_are_refused(form: str) -> None:
    data = encoded(noise(10, 256), form, "PCM_16")
    with pipe_with(data) as pipe, pytest.raises(NeucodecError, match="256 channels: 1 to 255"):
        open_audio(pipe)


def test_a_raw_name_without_a_format_is_refused_unless_it_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "clip.raw"
    path.write_bytes(bytes(1000))
    with pytest.raises(NeucodecError, match="--raw"):
        open_audio(path)
    path.write_bytes(encoded(noise(), "FLAC", "PCM_16"))
    with open_audio(path) as source:
        assert source.samples == 3001


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ((0, 1, "s16le"), "0 Hz"),
        ((8000, 0, "s16le"), "0 channels"),
        ((8000, 1, "s17"), "s17.*choose from u8, s8, s16le"),
    ],
)
def test_an_impossible_raw_format_is_refused(layout: tuple[int, int, str], message: str) -> None:
    with pytest.raises(NeucodecError, match=message):
        RawFormat(*layout)
