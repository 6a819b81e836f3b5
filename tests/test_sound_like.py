"""Python as with soundfile: info, read, write, streams, and what notebooks show."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

import neucodec
from neucodec import NcfDamageWarning, NcfWriter, NeucodecError

RATE = 16000
SMALL = "specmini-16khz"


def noise(seconds: float, channels: int = 1) -> np.ndarray:
    shape = (round(seconds * RATE), channels)
    return np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)


@pytest.fixture(scope="module")
def song() -> bytes:
    tags = {"TITLE": "<b>A & B</b>"}
    return neucodec.encode(noise(2.5, 2), RATE, model=SMALL, codebooks=2, tags=tags)


def test_info_says_what_a_file_is_in_whatever_holds_it(song: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.ncf"
    path.write_bytes(song)
    for given in (song, bytearray(song), memoryview(song), path, str(path), io.BytesIO(song)):
        found = neucodec.info(given)
        assert (found.samplerate, found.channels, found.frames) == (RATE, 2, 40000)
        assert (found.duration, found.format, found.subtype) == (2.5, "NCF", SMALL)
        assert found.bitrate == pytest.approx(8 * len(song) / 2.5) and found.complete
    assert str(neucodec.info(path)).splitlines()[:3] == [
        str(path), "samplerate: 16000 Hz", "channels: 2",
    ]  # fmt: skip
    assert "cut off" in str(neucodec.info(song[:-5]))


def test_read_takes_parts_and_types_as_soundfile_does(song: bytes, tmp_path: Path) -> None:
    whole, rate = neucodec.read(song)
    assert (whole.shape, whole.dtype, rate) == ((40000, 2), np.float64, RATE)
    soundfile.write(tmp_path / "a.wav", whole, RATE, "DOUBLE")
    parts = (
        {}, {"frames": 100}, {"start": 500, "frames": 100}, {"start": 500, "stop": 900},
        {"start": -300}, {"start": -300, "stop": -100}, {"start": 900, "stop": 500},
        {"start": 39999, "frames": 100}, {"stop": 1 << 40},
    )  # fmt: skip
    for part in parts:
        expected, _ = soundfile.read(tmp_path / "a.wav", **part)
        assert np.array_equal(neucodec.read(song, **part)[0], expected)
    soundfile.write(tmp_path / "16.wav", whole, RATE, "PCM_16")
    for dtype in ("float32", "int16", "int32", np.int16):
        name = np.dtype(dtype).name
        source = "a.wav" if name == "float32" else "16.wav"
        expected, _ = soundfile.read(tmp_path / source, dtype=name)
        found, _ = neucodec.read(song, dtype=dtype)  # type: ignore[arg-type]
        assert found.dtype == expected.dtype
        assert np.abs(found.astype(float) - expected).max() <= (1 << 16 if name == "int32" else 1)
    mono = neucodec.encode(noise(0.5), RATE, model=SMALL, codebooks=1)
    assert neucodec.read(mono)[0].shape == (8000,)
    assert neucodec.read(mono, always_2d=True)[0].shape == (8000, 1)
    with neucodec.open(mono) as file:
        assert file.read(10).shape == (10, 1) and file.read(10, "int16").dtype == np.int16
        assert file.read(10, always_2d=False).shape == (10,)
        blocks = list(file.blocks(4000, dtype="float64", always_2d=False))
        assert [block.shape for block in blocks] == [(4000,), (3970,)]
    for wrong, message in (
        ({"dtype": "int8"}, "dtype 'int8': give float32, float64, int16, int32"),
        ({"frames": 5, "stop": 9}, "both frames and stop"),
        ({"start": 0.5}, "start is 0.5: give a whole number"),
    ):
        with pytest.raises(NeucodecError, match=message):
            neucodec.read(mono, **wrong)  # type: ignore[arg-type]


def test_damage_is_warned_of_where_read_was_called(song: bytes) -> None:
    data = bytearray(song)
    with neucodec.open(song) as file:
        entry = file.reader.table()[1]
    data[entry.offset + entry.length // 2] ^= 1
    with pytest.warns(NcfDamageWarning, match="silence at 0:01.0-0:02.0") as caught:
        neucodec.read(bytes(data))
    assert caught[0].filename == __file__
    with pytest.raises(NeucodecError, match="damaged from 1.0 to 2.0 s"):
        neucodec.read(bytes(data), strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        neucodec.read(bytes(data), stop=8000)


def test_write_and_encode_make_the_same_file(tmp_path: Path) -> None:
    audio = (noise(1.3, 2) * 32768).round().clip(-32768, 32767).astype(np.int16)
    expected = neucodec.encode(audio / 32768, RATE, model=SMALL, codebooks=2)
    path = tmp_path / "a.ncf"
    path.write_bytes(b"there already")
    report = neucodec.write(path, audio, RATE, model=SMALL, codebooks=2)
    assert path.read_bytes() == expected and report.file_bytes == len(expected)
    with io.BytesIO() as target:
        neucodec.write(target, audio, RATE, model=SMALL, codebooks=2)
        assert target.getvalue() == expected
    soundfile.write(tmp_path / "a.wav", audio, RATE)
    (tmp_path / "b.ncf").touch()
    report = neucodec.encode(tmp_path / "a.wav", tmp_path / "b.ncf", model=SMALL, codebooks=2)
    assert (tmp_path / "b.ncf").read_bytes() == expected and report.kbps > 0
    wav = (tmp_path / "a.wav").read_bytes()
    for given in (str(tmp_path / "a.wav"), wav, bytearray(wav), memoryview(wav), io.BytesIO(wav)):
        assert neucodec.encode(given, model=SMALL, codebooks=2) == expected


def test_tags_loudness_and_progress_of_files(tmp_path: Path) -> None:
    audio = 0.01 * noise(2.2)
    with soundfile.SoundFile(tmp_path / "a.flac", "w", RATE, 1) as file:
        file.title = "Far"
        file.write(audio)
    told: list[tuple[float, float | None]] = []
    data = neucodec.encode(
        tmp_path / "a.flac", model=SMALL, normalize_loudness=True,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert neucodec.info(data).tags["TITLE"] == "Far"
    with neucodec.open(data) as file:
        assert file.header.gain_db and file.header.gain_db > 10
    assert told == [(1.0, 2.2), (2.0, 2.2), (2.2, 2.2)]
    told.clear()
    neucodec.decode(data, progress=lambda done, total: told.append((done, total)))
    assert told == [(1.0, 2.2), (2.0, 2.2), (2.2, 2.2)]
    with pytest.raises(NeucodecError, match="an array of shape|no array"):
        neucodec.encode(np.zeros((3, 3, 3)), RATE)


@pytest.mark.parametrize("length", [1, 777, 100_000])
def test_a_stream_of_blocks_makes_the_file_that_all_at_once_makes(
    length: int, tmp_path: Path
) -> None:
    audio = noise(2.4, 2)
    expected = neucodec.encode(audio[:2000] if length == 1 else audio, RATE, model=SMALL)
    audio = audio[:2000] if length == 1 else audio
    path = tmp_path / "a.ncf"
    with neucodec.open(path, "w", RATE, 2, model=SMALL) as file:
        for start in range(0, len(audio), length):
            file.write(audio[start : start + length])
        assert not path.exists() and file.tell() == file.frames == len(audio)
    assert path.read_bytes() == expected
    assert file.closed and file.report is not None and file.report.samples == len(audio)
    file.close()
    with pytest.raises(NeucodecError, match="is closed"):
        file.write(audio)


def test_a_stream_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.ncf"
    with pytest.raises(KeyError), NcfWriter(path, RATE, 1, model=SMALL) as file:
        file.write(noise(3))
        raise KeyError
    assert file.closed and list(tmp_path.iterdir()) == []

    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    file = NcfWriter(Full(), RATE, 1, model=SMALL)
    with pytest.raises(NeucodecError, match="the file: No space left on device"):
        for _ in range(20):
            file.write(noise(2))
        file.close()
    for wrong, message in (
        (lambda: NcfWriter(path, 0, 1), "a sample rate of 0"),
        (lambda: NcfWriter(path, RATE, 0), "channels is 0: give 1 to 255"),
        (lambda: NcfWriter(tmp_path / "no/a.ncf", RATE, 1, model=SMALL), "there is no directory"),
        (lambda: NcfWriter(io.StringIO(), RATE, 1, model=SMALL), "opened in binary mode"),
        (lambda: neucodec.open(path, "w"), "give samplerate and channels"),
        (lambda: neucodec.open(path, "x"), "mode 'x': give 'r' or 'w'"),
    ):
        with pytest.raises(NeucodecError, match=message):
            wrong()  # type: ignore[no-untyped-call]
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_opened_raise_both_kinds_of_errors(tmp_path: Path) -> None:
    for call in (neucodec.open, neucodec.read, neucodec.decode, neucodec.info):
        with pytest.raises(NeucodecError, match=r"nope\.ncf: there is no such file") as caught:
            call(tmp_path / "nope.ncf")
        assert isinstance(caught.value, FileNotFoundError) and caught.value.errno == 2
        with pytest.raises(NeucodecError, match="directory") as caught:
            call(tmp_path)
        assert isinstance(caught.value, OSError)
    with pytest.raises(NeucodecError, match=r"nope\.wav"):
        neucodec.encode(tmp_path / "nope.wav", tmp_path / "a.ncf")


def test_auto_chooses_the_model_by_the_bitrate() -> None:
    audio = noise(0.3)
    for bitrate, name in (("6kbps", "neu2-44khz"), (600, "neu-16khz"), (None, "neu2-44khz")):
        data = neucodec.encode(audio, RATE, model="auto", bitrate=bitrate, entropy="none")
        assert neucodec.info(data).codec == name
    assert neucodec.load_model("auto").name == "neu2-44khz"
    decoded, _ = neucodec.decode(data, model="auto")
    assert np.array_equal(decoded, neucodec.decode(data)[0])
    with neucodec.open(data, model="auto") as file:
        assert np.array_equal(file.read(), decoded)


def test_notebooks_show_a_player(song: bytes) -> None:
    with neucodec.open(song) as file:
        file.seek(100)
        shown = file._repr_html_()
        assert file.tell() == 100
    sound = re.search(r'src="data:audio/flac;base64,([^"]+)"', shown)
    assert sound and "&lt;b&gt;A &amp; B&lt;/b&gt;" in shown and "<b>A" not in shown
    import base64

    heard, rate = soundfile.read(io.BytesIO(base64.b64decode(sound[1])), dtype="float32")
    assert rate == RATE and heard.shape == (40000, 2)
    assert np.abs(heard - neucodec.decode(song)[0].clip(-1, 1)).max() < 1e-3
    assert file._repr_html_() == ""
