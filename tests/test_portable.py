"""The portable decoder in C finds what the package finds: docs/portable.md.

It is compiled once for a whole run of the tests; without a C compiler these are skipped.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Ran
from filelock import FileLock

import neucodec
from neucodec.api import load_model
from neucodec.errors import NeucodecError
from neucodec.formats import EntropyCoder, NcfReader
from neucodec.models import ModelError, export_portable

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))
import fuzz_portable as portable  # noqa: E402

TESTS = Path(__file__).parent
CODES = {
    "0.3.0": "13fa6c77 00000000",
    "0.4.0": "5d5c8c18 00000000",
    "0.5.0": "d1f46e61 00000000",
    "0.6.0": "477471a9 00000000",
    "0.6.0-neu-16khz": "3af81765 00000000",
    "0.7.0": "477471a9 00000000",
    "0.8.0": "477471a9 00000000",
    "0.8.0-neu2-44khz": "6d078f6d 88e115fb",
}
"""CRC-32s of codes and layers of files in tests/released, as the package gives them. They
stand here because its entropy models take long."""
MODELS = ("neu2-44khz", "neu-44khz", "neu-16khz")
THOROUGH = ("-O1", "-ffp-contract=fast")
"""Optimised so little that it is compiled in a few seconds; results must not depend on it."""

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler is here")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with the compiled programs and files of weights, the same for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "portable"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            made = folder.with_name("portable-unfinished")
            made.mkdir()
            for program in ("dump", "ncfdec"):
                portable.compiled(program, made, THOROUGH)
            for name in MODELS:
                (made / f"{name}.ncfw").write_bytes(export_portable(name)[1])
            made.rename(folder)
    return folder


@pytest.fixture(scope="module")
def dump(built: Path) -> Iterator[portable.Portable]:
    program = portable.Portable(built / "dump", str(built / "neu2-44khz.ncfw"))
    yield program
    program.close()


Ncfdec = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def ncfdec(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Ncfdec:
    """Runs the program, which finds weights in a folder: where they were made, or another."""
    program = shutil.copy(built / "ncfdec", tmp_path_factory.mktemp("bin"))

    def run(*arguments: object, stdin: bytes = b"", weights: Path = built) -> object:
        command = [str(program), *map(str, arguments)]
        env = {"NCF_WEIGHTS": str(weights)}
        return subprocess.run(command, input=stdin, capture_output=True, env=env, check=False)

    return run  # type: ignore[return-value]


def noise(seconds: float, channels: int = 1, rate: int = 44100) -> np.ndarray:
    """Noise that swells, and a tone above it."""
    rng, count = np.random.default_rng(channels), round(seconds * rate)
    swell = np.linspace(0.01, 0.1, count)[:, None]
    tone = 0.2 * np.sin(np.arange(count) * 2 * np.pi * 440 / rate)[:, None]
    audio: np.ndarray = (rng.normal(size=(count, channels)) * swell + tone).astype(np.float32)
    return audio


def whistle(seconds: float) -> np.ndarray:
    """A tone high enough to go into a layer."""
    audio: np.ndarray = 0.3 * np.sin(np.arange(round(seconds * 44100)) * 2 * np.pi * 3000 / 44100)
    return audio.astype(np.float32)[:, None]


def assert_alike(decoder: portable.Portable, how: int, data: bytes) -> None:
    """Both readers give the same samples, within the bound between two machines."""
    codec = load_model(NcfReader(io.BytesIO(data)).header.codec).codec
    want = portable.decoded(how, data, codec, portable.MOST_SAMPLES // 2)
    got = decoder.decode(how, data, portable.MOST_SAMPLES // 2)
    assert want and got
    assert got[0] == want[0]
    assert got[1].shape == want[1].shape
    assert np.abs(got[1] - want[1]).max() <= portable.BOUND * np.abs(want[1]).max()


@pytest.mark.parametrize("path", sorted((TESTS / "golden").glob("*.ncf")), ids=lambda p: p.stem)
@pytest.mark.parametrize("how", [portable.PIPE, portable.PASS, portable.RANDOM])
def test_golden_files_hold_the_same_integers(dump: portable.Portable, path: Path, how: int) -> None:
    data = path.read_bytes()
    header = portable.header_of(data)
    got, want = dump.ask(how, data), portable.expected(how, data, header)
    if header and header.entropy == EntropyCoder.LM:  # of a model that there is not
        got, want = got.rsplit(maxsplit=3)[0], want.rsplit(maxsplit=3)[0]
    assert got == want


@pytest.mark.parametrize("name", CODES)
def test_files_of_earlier_versions_hold_the_same_codes(built: Path, name: str) -> None:
    data = (TESTS / "released" / f"{name}.ncf").read_bytes()
    weights = built / f"{NcfReader(io.BytesIO(data)).header.codec}.ncfw"
    program = portable.Portable(built / "dump", str(weights))
    assert program.ask(portable.PASS, data) == f"3 88200 1 0 3 4f8c5ccc 00000000 {CODES[name]}"
    program.close()


def test_damaged_files_are_read_alike(dump: portable.Portable) -> None:
    case = portable.ByteCases()
    for number in range(150):
        assert portable.differences(dump, case(number)) == [], f"case {number}"


@pytest.mark.parametrize("how", [portable.DECODE_PIPE, portable.DECODE_FILE])
@pytest.mark.parametrize(
    ("audio", "choices"),
    [
        (noise(2.3), {"codebooks": 3}),
        (noise(1.2, 2), {"codebooks": 4, "entropy": "adaptive"}),
        (noise(2.4), {"bitrate": "8kbps", "entropy": "adaptive"}),
        (noise(2.0, 2), {"bitrate": "24kbps", "entropy": "adaptive"}),
        (noise(0.01), {"entropy": "none"}),
        (noise(1.1, 5), {"codebooks": 2, "entropy": "none"}),
        (whistle(1.5), {"bitrate": "8kbps"}),
        (np.zeros((60000, 1), np.float32), {}),
    ],
    ids=["mono", "stereo", "waveform", "stereo waveform", "short", "surround", "layer", "silence"],
)  # fmt: skip
def test_samples_agree(
    dump: portable.Portable, how: int, audio: np.ndarray, choices: dict[str, object]
) -> None:
    assert_alike(dump, how, neucodec.encode(audio, 44100, **choices))


@pytest.mark.parametrize("name", ["neu-44khz", "neu-16khz"])
def test_samples_of_other_models_agree(built: Path, name: str) -> None:
    rate = load_model(name).sample_rate
    data = neucodec.encode(noise(2.2, 2, rate), rate, model=name, codebooks=6)
    program = portable.Portable(built / "dump", str(built / f"{name}.ncfw"))
    assert_alike(program, portable.DECODE_FILE, data)
    program.close()


@pytest.mark.parametrize("how", [portable.DECODE_PIPE, portable.DECODE_FILE])
@pytest.mark.parametrize("choices", [{"codebooks": 2}, {"bitrate": "6kbps"}], ids=str)
def test_damage_is_silent_in_the_same_places(
    dump: portable.Portable, how: int, choices: dict[str, object]
) -> None:
    data = bytearray(neucodec.encode(noise(4.2), 44100, entropy="none", **choices))
    table = NcfReader(io.BytesIO(bytes(data))).table()
    data[table[2].offset + 20] ^= 1
    assert_alike(dump, how, bytes(data))
    assert_alike(dump, how, bytes(data[: table[4].offset]))  # its end is missing
    del data[table[1].offset : table[3].offset]
    assert_alike(dump, how, bytes(data))


def test_mid_and_side_among_more_channels(dump: portable.Portable) -> None:
    data = bytearray(neucodec.encode(noise(0.9, 3), 44100, codebooks=1, entropy="none"))
    (entry,) = NcfReader(io.BytesIO(bytes(data))).table()
    data[entry.offset + 1] |= 0x20
    end = entry.offset + entry.length - 4
    data[end : end + 4] = zlib.crc32(data[entry.offset : end]).to_bytes(4, "little")
    assert_alike(dump, portable.DECODE_FILE, bytes(data))


def test_the_program_writes_what_the_package_decodes(ncfdec: Ncfdec, tmp_path: Path) -> None:
    data = neucodec.encode(noise(1.3, 2), 44100, codebooks=3)
    source, target = tmp_path / "a.ncf", tmp_path / "a.wav"
    source.write_bytes(data)
    ran = ncfdec("-f", source, target)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    want, rate = neucodec.decode(data)
    got, found_rate = soundfile.read(target, dtype="float32")
    assert (got.shape, found_rate) == (want.shape, rate)
    assert np.abs(got - want).max() <= portable.BOUND * np.abs(want).max()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []

    piped = ncfdec("-", "-", stdin=data)
    assert piped.returncode == 0
    (tmp_path / "b.wav").write_bytes(piped.stdout)
    rounded, _ = soundfile.read(tmp_path / "b.wav", dtype="float32")
    assert rounded.shape == want.shape
    assert np.abs(rounded - want).max() < 1.1 / 32768


@pytest.mark.parametrize(("start", "end"), [(0, 0.7), (1.25, 1.5), (0.98, 1.1), (3.2, 9), (9, 10)])
@pytest.mark.parametrize("choices", [{"codebooks": 2}, {"bitrate": "6kbps"}], ids=str)
def test_any_part_is_the_same_as_of_the_whole(
    ncfdec: Ncfdec, tmp_path: Path, start: float, end: float, choices: dict[str, object]
) -> None:
    source, target = tmp_path / "a.ncf", tmp_path / "a.wav"
    source.write_bytes(neucodec.encode(noise(3.3), 44100, entropy="none", **choices))
    assert ncfdec("-f", source, target).returncode == 0
    whole, _ = soundfile.read(target, dtype="float32")
    assert ncfdec("-f", "-s", start, "-e", end, source, target).returncode == 0
    part, _ = soundfile.read(target, dtype="float32")
    assert np.array_equal(part, whole[round(start * 44100) : round(end * 44100)])


def test_damage_is_said(ncfdec: Ncfdec, tmp_path: Path) -> None:
    source = tmp_path / "a.ncf"
    data = bytearray(neucodec.encode(noise(2.2), 44100, codebooks=2, entropy="none"))
    data[NcfReader(io.BytesIO(bytes(data))).table()[1].offset + 9] ^= 1
    source.write_bytes(data[:-1])
    ran = ncfdec(source, tmp_path / "a.wav")
    assert ran.returncode == 3
    assert b"damaged from 1.0 to 2.0 s, which is silent" in ran.stderr
    assert b"its end is missing" in ran.stderr


def test_what_cannot_be_decoded_is_refused_in_one_line(ncfdec: Ncfdec, tmp_path: Path) -> None:
    source = tmp_path / "a.ncf"
    source.write_bytes(neucodec.encode(noise(0.1), 44100))
    (tmp_path / "text").write_bytes(b"RIFF")
    (tmp_path / "other.ncfw").write_bytes(export_portable("neu-44khz")[1])
    damaged = bytearray(export_portable("neu2-44khz")[1])
    damaged[-1000] ^= 1
    (tmp_path / "damaged.ncfw").write_bytes(damaged)
    for arguments, status, said in (
        ((tmp_path / "text", "-"), 1, b"not an .ncf"),
        ((tmp_path / "missing", "-"), 1, b"cannot be opened"),
        (("-m", tmp_path / "other.ncfw", source, "-"), 1, b"made with other weights"),
        (("-m", tmp_path / "damaged.ncfw", source, "-"), 1, b"damaged"),
        (("-m", source, source, "-"), 1, b"not a file of weights"),
        ((source, tmp_path / "no/folder.wav"), 1, b"cannot be written"),
        (("-s", "x", source, "-"), 2, b"seconds"),
        (("-x", source, "-"), 2, b"no such option"),
        ((), 2, b"give an input"),
    ):
        ran = ncfdec(*arguments)
        assert (ran.returncode, ran.stdout) == (status, b"")
        assert said in ran.stderr
        assert ran.stderr.count(b"\n") == 1
    ran = ncfdec(source, "-", weights=tmp_path)
    assert ran.returncode == 1
    assert b"neucodec export --portable neu2-44khz" in ran.stderr


def test_a_file_says_what_it_is_without_weights(ncfdec: Ncfdec, tmp_path: Path) -> None:
    source = tmp_path / "a.ncf"
    source.write_bytes(neucodec.encode(noise(1.5), 44100, tags={"TITLE": "Rain"}))
    ran = ncfdec("-i", source, weights=tmp_path)
    assert ran.returncode == 0
    for line in (b"neu2-44khz", b"length      1.500 s", b"2, complete", b"TITLE=Rain"):
        assert line in ran.stdout


def test_damage_to_weights_is_noticed_wherever_it_is(built: Path) -> None:
    data = bytearray((built / "neu-16khz.ncfw").read_bytes())
    rng = np.random.default_rng(0)
    head = np.concatenate([np.arange(24), rng.integers(32, 20000, 40)])
    count = struct.unpack_from("<I", data, 12)[0]
    for place in [*head, 32 + 96 * count, len(data) - 1, len(data) // 2]:
        damaged = bytearray(data)
        damaged[place] ^= 1
        path = built / f"damaged-{place}.ncfw"
        path.write_bytes(damaged)
        ran = subprocess.run([built / "dump", path], stdin=subprocess.DEVNULL, check=False)
        path.unlink()
        padding = damaged[place] ^ data[place] and 32 + 96 * count + 4 <= place < len(data) - 64
        assert ran.returncode == 1 or padding, place


def test_exporting_again_gives_the_same_file(
    run: Callable[..., Ran], built: Path, tmp_path: Path
) -> None:
    done = run("export", "--portable", "neu-16khz", "-o", str(tmp_path))
    assert done.code == 0
    made = (tmp_path / "neu-16khz.ncfw").read_bytes()
    assert (
        hashlib.sha256(made).digest()
        == hashlib.sha256((built / "neu-16khz.ncfw").read_bytes()).digest()
    )
    assert run("export", "--portable", "neu-16khz", "-o", str(tmp_path)).code == 1
    assert run("export", "--portable", "neu-16khz", "a run").code == 2


def test_codecs_that_the_portable_decoder_lacks_are_refused() -> None:
    with pytest.raises((ModelError, NeucodecError), match="the family neu alone"):
        export_portable("dac-44khz")


def links(compiler: str, folder: Path) -> bool:
    """Tell whether a compiler has what the sanitizers need, by a program that does nothing."""
    source = folder / "nothing.c"
    source.write_text("int main(void) { return 0; }\n")
    command = [compiler, "-fsanitize=address,undefined", str(source), "-o", str(folder / "nothing")]
    return subprocess.run(command, capture_output=True).returncode == 0


COMPILERS = [
    (compiler, flags)
    for compiler in ("gcc", "clang")
    for flags in (("-O0",), ("-O3", "-march=native"), ("-O2", "-m32"), portable.SANITIZED)
]


@pytest.mark.slow
@pytest.mark.parametrize(("compiler", "flags"), COMPILERS)
def test_compilers_agree(built: Path, tmp_path: Path, compiler: str, flags: Sequence[str]) -> None:
    try:
        program = portable.compiled("dump", tmp_path, flags, compiler)
    except RuntimeError:
        pytest.skip(f"{compiler} is not here")
    except subprocess.CalledProcessError:
        if "-m32" in flags:
            pytest.skip(f"{compiler} has no library for 32 bits here")
        if flags == portable.SANITIZED and not links(compiler, tmp_path):
            pytest.skip(f"{compiler} has no library of sanitizers here")
        raise
    decoder = portable.Portable(program, str(built / "neu2-44khz.ncfw"))
    case = portable.ByteCases()
    for number in range(200, 300):
        assert portable.differences(decoder, case(number)) == [], f"case {number}"
    for audio in (noise(1.1, 2), whistle(1.1)):
        assert_alike(decoder, portable.DECODE_FILE, neucodec.encode(audio, 44100, codebooks=3))
    decoder.close()
