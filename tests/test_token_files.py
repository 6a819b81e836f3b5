"""Uniform codes of files, shards of many files, codes of one's own checkpoints, and back again."""

from __future__ import annotations

import io
import json
import math
import re
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import Run
from small_codecs import codec

import neucodec
from neucodec import Model, NeucodecError, read_tokens
from neucodec.commands.token_shards import key_of, parse_size
from neucodec.interchange.detokenise import audio_blocks
from neucodec.interchange.uniform import uniform_tokens

RATE = 16000
SMALL = "specmini-16khz"
OPTIONS = ("-m", SMALL, "--entropy", "adaptive")


def noise(seconds: float, channels: int = 1) -> np.ndarray:
    shape = (round(seconds * RATE), channels)
    return np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)


def of(audio: np.ndarray, rate: int = RATE, **choices: object) -> bytes:
    return neucodec.encode(audio, rate, model=SMALL, **{"entropy": "none", **choices})  # type: ignore[arg-type]


def own(tmp_path: Path) -> Path:
    """A checkpoint of one's own, with a name that no card of the package has."""
    folder = tmp_path / "mine"
    neucodec.load_model(SMALL).save_pretrained(folder)
    card = (folder / "card.toml").read_text()
    (folder / "card.toml").write_text(card.replace(f'name = "{SMALL}"', 'name = "mine"', 1))
    return folder


def test_a_file_with_all_codes_keeps_them() -> None:
    audio = noise(2.5)
    tokens = read_tokens(of(audio, codebooks=3), uniform=True)
    assert tokens.codes.shape == (1, 3, 125) and tokens.uniform
    model = neucodec.load_model(SMALL)
    expected = model.encode(audio.T, codebooks=3)
    assert expected.scales is not None
    assert np.array_equal(tokens.codes[0], expected.codes[0].numpy())
    assert np.array_equal(tokens.scales[:, 0], expected.scales[0].numpy())
    fewer = read_tokens(of(audio, codebooks=3), uniform=True, codebooks=2)
    assert np.array_equal(fewer.codes, tokens.codes[:, :2])


def test_what_a_file_lacks_is_encoded_again_and_damage_alone_is_absent() -> None:
    audio = noise(5, channels=2)
    audio[:, 1] *= 0.3  # left and right, not mid and side
    audio[RATE : 2 * RATE] = 0  # no codes
    audio[2 * RATE : 3 * RATE, 1] = audio[2 * RATE : 3 * RATE, 0]  # mid and side
    data = bytearray(of(audio, codebooks=2))
    with neucodec.open(bytes(data)) as file:
        entry = file.reader.table()[3]
        stored = [file.codes(index) for index in range(5)]
    data[entry.offset + entry.length // 2] ^= 1
    tokens = read_tokens(bytes(data), uniform=True)
    assert tokens.codes.shape == (2, 2, 250)
    absent = (tokens.codes < 0).all(axis=(0, 1)).reshape(5, 50)
    assert absent.all(axis=1).tolist() == absent.any(axis=1).tolist()
    assert absent.all(axis=1).tolist() == [False, False, False, True, False]
    assert stored[0] is not None and np.array_equal(tokens.codes[..., :50], stored[0])
    assert (tokens.scales[1] < tokens.scales[0]).all() and tokens.scales[2].all()
    more = read_tokens(of(audio, codebooks=2), uniform=True, codebooks=5)
    assert more.codes.shape == (2, 5, 250) and (more.codes >= 0).all()


def test_variable_codebooks_become_equally_many() -> None:
    data = neucodec.encode(noise(4)[:, 0], RATE, model=SMALL, bitrate=2500)
    with neucodec.open(data) as file:
        assert file.header.average_bitrate
    tokens = read_tokens(data, uniform=True)
    default = neucodec.load_model(SMALL).card.default_codebooks
    assert tokens.codes.shape == (1, default, 200) and (tokens.codes >= 0).all()
    level = read_tokens(data, uniform=True, one_level=True)
    assert len(np.unique(level.scales)) == 1 and level.codes.shape == tokens.codes.shape
    with pytest.raises(NeucodecError, match="specmini-16khz has no 13 codebooks"):
        read_tokens(data, uniform=True, codebooks=13)


@pytest.mark.parametrize("name", ["encodec-24khz", "encodec-48khz", "hificodec-24khz-320d"])
def test_every_family_has_uniform_codes_that_can_be_heard(name: str) -> None:
    model = Model(codec(name))
    audio = noise(1.3, model.card.channels)
    data = neucodec.encode(audio, model.sample_rate, model=model, codebooks=4, entropy="none")
    with neucodec.open(data, model=model) as file:
        tokens = uniform_tokens(file, load=lambda: model.codec)
    assert tokens.codes.shape == (1, 4, math.ceil(len(audio) / model.card.hop))
    assert (tokens.codes >= 0).all()
    heard = np.concatenate(list(audio_blocks(tokens, model.codec)))
    assert heard.shape == audio.shape and np.isfinite(heard).all()


def test_codes_go_to_standard_output_in_every_format(run: Run, tmp_path: Path) -> None:
    data = of(noise(1.2), codebooks=2)
    (tmp_path / "a.ncf").write_bytes(data)
    for kind, start in (
        ("npz", b"PK"), ("npy", b"\x93NUMPY"), ("parquet", b"PAR1"), ("webdataset", b"-."),
    ):  # fmt: skip
        if kind == "parquet":
            pytest.importorskip("pyarrow")
        for source, stdin in ((tmp_path / "a.ncf", b""), ("-", data)):
            for more in ((), ("--uniform",)):
                ran = run("tokens", source, "-o", "-", "--format", kind, *more, stdin=stdin)
                assert ran.code == 0, ran.err
                assert ran.out.startswith(start) or (kind == "webdataset" and ran.out)


def test_there_and_back_is_the_same_file_or_sounds_so(run: Run, tmp_path: Path) -> None:
    audio = noise(2.4, channels=2)
    audio[RATE : 2 * RATE] = 0
    (tmp_path / "a.ncf").write_bytes(of(audio, 22050, codebooks=3))
    decoded, _ = neucodec.read(tmp_path / "a.ncf", dtype="float32")
    for uniform in ((), ("--uniform",)):
        assert run("tokens", tmp_path / "a.ncf", "-o", tmp_path / "a.npz", "-f", *uniform).code == 0
        ran = run("detokenize", tmp_path / "a.npz", "-o", tmp_path / "b.ncf", "-f")
        assert ran.code == 0, ran.err
        again, rate = neucodec.read(tmp_path / "b.ncf", dtype="float32")
        assert (rate, again.shape) == (22050, decoded.shape)
        if not uniform:
            assert np.array_equal(again, decoded)
        ran = run("detokenize", tmp_path / "a.npz", "-o", tmp_path / "b.wav", "-f")
        assert ran.code == 0, ran.err
        heard, rate = soundfile.read(tmp_path / "b.wav", dtype="float32")
        assert rate == 22050 and np.abs(heard - again.clip(-1, 1)).max() < 1e-4
    assert "3 codebooks" in ran.err


def test_codes_alone_are_of_a_model_that_is_named_and_have_a_level(
    run: Run, tmp_path: Path
) -> None:
    model = neucodec.load_model(SMALL)
    codes = model.encode(noise(2).T, codebooks=4).codes[0].numpy()
    np.save(tmp_path / "codes.npy", codes)
    command = ["detokenize", tmp_path / "codes.npy", "-m", SMALL, "-f"]
    for level in (-20, -30):
        ran = run(*command, "-o", tmp_path / "x.wav", "--level", str(level))
        assert ran.code == 0, ran.err
        heard, rate = soundfile.read(tmp_path / "x.wav")
        assert (len(heard), rate) == (2 * RATE, RATE)
        assert 20 * math.log10(np.sqrt((heard**2).mean())) == pytest.approx(level, abs=3)
    assert run(*command, "-o", tmp_path / "x.ncf").code == 0
    assert np.array_equal(read_tokens(tmp_path / "x.ncf", uniform=True).codes[0], codes)
    assert run("tokens", tmp_path / "x.ncf", "--uniform", "-o", tmp_path / "y.npy").code == 0
    assert np.array_equal(np.load(tmp_path / "y.npy"), codes)
    assert np.array_equal(read_tokens(tmp_path / "y.npy", model=SMALL).codes[0], codes)


def test_files_that_are_no_codes_are_refused_in_one_line(run: Run, tmp_path: Path) -> None:
    good = tmp_path / "good.npz"
    (tmp_path / "a.ncf").write_bytes(of(noise(1), codebooks=2))
    assert run("tokens", tmp_path / "a.ncf", "-o", good).code == 0
    fields = dict(np.load(good))
    bad = tmp_path / "bad.npz"
    for changes, said in (
        ({"codes": fields["codes"] + 5000}, "codes from"),
        ({"codes": fields["codes"].astype(float)}, "codes are float64"),
        ({"scales": -fields["scales"] - 1}, "negative"),
        ({"samples": np.array(-5)}, "samples is -5"),
        ({"hop": np.array(7)}, "do not fit specmini-16khz"),
        ({"codec": np.array("nobody")}, "no model is called 'nobody'"),
    ):
        np.savez(bad, **{**fields, **changes})
        ran = run("detokenize", bad, "-o", tmp_path / "x.ncf")
        assert ran.code == 1 and said in ran.err and "Traceback" not in ran.err
    whole = good.read_bytes()
    for data in (b"", b"PK", whole[:200], whole[: len(whole) // 2], b"\x93NUMPY\x01\x00\xff\xff"):
        bad.write_bytes(data)
        ran = run("detokenize", bad, "-o", tmp_path / "x.ncf")
        assert ran.code == 1 and "Traceback" not in ran.err and ran.err.count("\n") <= 2
    np.save(tmp_path / "huge.npy", np.zeros((2, 3)))
    header = (tmp_path / "huge.npy").read_bytes().replace(b"(2, 3)", b"(9999999999, 3)"[:6])
    (tmp_path / "huge.npy").write_bytes(header)
    assert run("detokenize", tmp_path / "huge.npy", "-o", tmp_path / "x.ncf").code == 1


def test_ones_own_checkpoint_has_codes_without_and_with_its_model(run: Run, tmp_path: Path) -> None:
    folder = own(tmp_path)
    soundfile.write(tmp_path / "a.wav", noise(2.2), RATE)
    ncf = tmp_path / "a.ncf"
    assert run("encode", tmp_path / "a.wav", "-m", folder, "-n3", "--entropy", "adaptive").code == 0
    assert run("info", ncf).code == 0
    assert "made with the given one" in run("info", ncf, "-m", folder).out.decode()
    assert "made with another" in run("info", ncf, "-m", "neu-16khz").out.decode()
    assert run("verify", "--codes", ncf).code == 0
    assert run("verify", "--codes", ncf, "-m", folder).code == 0
    plain, uniform = tmp_path / "p.npz", tmp_path / "u.npz"
    assert run("tokens", ncf, "-o", plain).code == 0
    assert str(np.load(plain)["codec"]) == "mine"
    assert run("tokens", ncf, "--uniform", "-o", uniform).code == 0  # it lacks nothing
    assert neucodec.info(ncf).codec == "mine"
    assert read_tokens(ncf).codes.shape == read_tokens(uniform).codes.shape == (1, 3, 110)
    ran = run("tokens", ncf, "--uniform", "--codebooks", "5", "-o", tmp_path / "five.npz")
    assert ran.code == 1 and "made with a codec that this version lacks" in ran.err
    ran = run(
        "tokens", ncf, "-m", folder, "--uniform", "--codebooks", "5", "-o", tmp_path / "5.npz"
    )
    assert ran.code == 0 and np.load(tmp_path / "5.npz")["codes"].shape == (1, 5, 110)
    assert run("detokenize", plain, "-m", folder, "-o", tmp_path / "b.ncf").code == 0
    with (
        neucodec.open(tmp_path / "b.ncf", model=folder) as again,
        neucodec.open(ncf, model=folder) as file,
    ):
        assert np.array_equal(again.read(), file.read())


def archive(run: Run, tmp_path: Path) -> Path:
    for number, name in enumerate(("a.b.ncf", "deep/a.b.ncf", "deep/a_b.ncf")):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(of(noise(1 + number), codebooks=2))
    return tmp_path / "in"


def test_shards_are_cut_by_size(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    source = archive(run, tmp_path)
    for kind, suffix in (("parquet", "parquet"), ("webdataset", "tar")):
        out = tmp_path / kind
        command = ["tokens", source, "-o", out, "--uniform", "--format", kind]
        assert run(*command, "--shard-size", "700B").code == 0
        assert [p.name for p in sorted(out.iterdir())] == [
            f"tokens-0000{n}.{suffix}" for n in (0, 1)
        ]
        assert "exists; -f overwrites" in run(*command).err
    for text, size in (("500MB", 5e8), ("1.5 kB", 1500), ("2GiB", 2**31), ("7", 7)):
        assert parse_size(text) == size
    for text in ("", "much", "-1MB", "0"):
        with pytest.raises(NeucodecError, match="is no size"):
            parse_size(text)
    assert run("tokens", source, "-o", out, "--codebooks", "2").code == 2


def test_parquet_has_large_lists_and_says_what_its_columns_are(run: Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    source = archive(run, tmp_path)
    out = tmp_path / "out"
    assert run("tokens", source, "-o", out, "--uniform", "--format", "parquet").code == 0
    table = parquet.read_table(out / "tokens-00000.parquet")
    kind = str(table.schema.field("codes").type)
    assert re.sub(r"\w+: |not null| ", "", kind) == "large_list<large_list<large_list<int16>>>"
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["samples"] == {"dtype": "int64", "_type": "Value"}
    assert features["scales"]["feature"]["feature"] == {"dtype": "float32", "_type": "Value"}
    assert list(features) == table.column_names


def test_datasets_loads_the_parquet(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets")
    source = archive(run, tmp_path)
    run("tokens", source, "-o", tmp_path / "out", "--uniform", "--format", "parquet", "--shard=2")
    found = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "out/*.parquet"), split="train",
        cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    assert len(found) == 3 and found.features["codes"] == datasets.LargeList(
        datasets.LargeList(datasets.LargeList(datasets.Value("int16")))
    )
    row = found.with_format("numpy")[0]
    expected = read_tokens(row["path"], uniform=True)
    assert np.array_equal(np.stack([np.stack(s) for s in row["codes"]]), expected.codes)


def test_tars_are_as_webdataset_reads_them(run: Run, tmp_path: Path) -> None:
    source = archive(run, tmp_path)
    out = tmp_path / "out"
    assert run("tokens", source, "-o", out, "--uniform", "--format", "webdataset").code == 0
    shard = out / "tokens-00000.tar"
    with tarfile.open(shard) as tar:
        names = tar.getnames()
        codes = np.load(io.BytesIO(tar.extractfile(names[0]).read()))  # type: ignore[union-attr]
        facts = json.loads(tar.extractfile(names[2]).read())  # type: ignore[union-attr]
    assert names[:3] == ["a_b.codes.npy", "a_b.scales.npy", "a_b.json"]
    keys = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    assert keys == ["a_b", "deep/a_b", "deep/a_b-2"]
    assert codes.shape == (2, 50) and facts["codec"] == SMALL and facts["uniform"]
    before = shard.read_bytes()
    assert run("tokens", source, "-o", out, "-f", "--uniform", "--format", "webdataset").code == 0
    assert shard.read_bytes() == before
    assert key_of(Path("x/.ncf"), set()) == "x/_ncf"


def test_webdataset_reads_the_tars(run: Run, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    source = archive(run, tmp_path)
    run("tokens", source, "-o", tmp_path / "out", "--uniform", "--format", "webdataset")
    shards = str(tmp_path / "out/tokens-00000.tar")
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode())
    assert len(samples) == 3
    assert [sample["codes.npy"].shape for sample in samples] == [(2, 50), (2, 100), (2, 150)]
    assert samples[0]["json"]["hop"] == 320


def test_the_example_prints_what_it_reads(run: Run, tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from token_dataset import TokenDataset

    archive(run, tmp_path)
    windows = list(TokenDataset(tmp_path / "in", codebooks=2, frames=25))
    assert len(windows) >= 6 and {tuple(window.shape) for window in windows} == {(2, 25)}
    assert all(window.dtype == torch.int64 for window in windows)
