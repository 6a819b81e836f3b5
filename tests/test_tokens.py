"""Codes as arrays, and what is to be known of them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeClip, Run

import neucodec
from neucodec.interchange.tokens import read_tokens

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

QUICK = ("--entropy", "adaptive")
"""Unpacks in a fraction of the time that a model takes."""


def test_codes_scales_and_what_they_are_of(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path = clip(seconds=2.5, rate=22050, channels=2)
    ncf, npz = path.with_suffix(".ncf"), path.with_suffix(".npz")
    run("encode", path, "-n4", *QUICK)
    ran = run("tokens", ncf)
    assert ran.code == 0
    assert ran.err == f"{ncf}: neu2-44khz, 2 streams, 4 codebooks, 220 frames to {npz}\n"
    found = np.load(npz, allow_pickle=False)
    assert found["codes"].shape == (2, 4, 2 * 86 + 48)
    assert found["codes"].dtype == np.int16
    assert found["scales"].shape == (3, 2)
    assert found["mid_side"].shape == (3,)
    assert (found["codec"], found["hop"], found["samples"]) == ("neu2-44khz", 512, 55125)
    with neucodec.open(ncf) as file:
        second = file.codes(1)
    assert second is not None
    assert (found["codes"][:, :, 86:172] == second).all()


def test_no_codes_where_it_is_silent_or_damaged(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * 44100)
    noise[:66150] = 0
    data = bytearray(neucodec.encode(noise, 44100, codebooks=2, entropy="adaptive"))
    with neucodec.open(io.BytesIO(bytes(data))) as file:
        damaged = file.reader.table()[2]
    data[damaged.offset + damaged.length // 2] ^= 1
    with neucodec.open(io.BytesIO(bytes(data))) as file:
        tokens = read_tokens(file)
    chunks = tokens.codes[:, :, : 4 * 86].reshape(1, 2, 4, 86)
    assert [(chunks[:, :, k] < 0).all() for k in range(4)] == [True, False, True, False]
    assert [scale == 0 for scale in tokens.scales[:4, 0]] == [True, False, True, False]
    empty = neucodec.encode(np.zeros(0), 44100, codebooks=2)
    with neucodec.open(io.BytesIO(empty)) as file:
        assert read_tokens(file).codes.shape == (1, 2, 0)


def test_all_codes_at_once_are_those_of_each_chunk() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * 44100)
    noise[:66150] = 0
    data = neucodec.encode(noise, 44100, bitrate="2kbps")
    with neucodec.open(io.BytesIO(data)) as file:
        assert file.entropy is not None and file.entropy.name == "neu2-44khz-lm"
        at_once = list(file.all_codes())
        assert len(at_once) == file.chunk_count > 3
        for index, codes in enumerate(at_once):
            np.testing.assert_array_equal(codes, file.codes(index))


def test_codes_alone_to_a_pipe_and_back(run: Run, clip: MakeClip) -> None:
    data = run("encode", clip(), "-o", "-", *QUICK).out
    ran = run("tokens", "-", "-o", "-", "--format", "npy", stdin=data)
    assert ran.code == 0
    assert np.load(io.BytesIO(ran.out)).shape[::2] == (1, 26)


def test_a_damaged_output_is_made_again(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    run("encode", clip(), *QUICK)
    for name in ("a.npz", "a.npy"):
        command = ["tokens", tmp_path / "clip.ncf", "-o", tmp_path / name, "--skip-existing", "-v"]
        assert run(*command).code == 0
        whole = (tmp_path / name).read_bytes()
        assert run(*command).err.endswith("is there\n")
        (tmp_path / name).write_bytes(whole[:-9])
        assert run(*command).code == 0
        assert len((tmp_path / name).read_bytes()) == len(whole)


def test_a_row_for_every_file_in_parquet(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for number in range(3):
        run(
            "encode",
            clip(f"in/{number}.wav", seconds=0.4 + number, channels=1 + number % 2),
            "-n3",
            "--entropy",
            "adaptive",
        )
    (tmp_path / "in/bad.ncf").write_bytes(b"no")
    out = tmp_path / "out"
    command = ["tokens", tmp_path / "in", "-o", out, "--format=parquet", "--shard=2"]
    ran = run(*command)
    assert ran.code == 1
    assert "4 files: 3 done, 1 failed" in ran.err
    assert sorted(p.name for p in out.iterdir()) == ["tokens-00000.parquet", "tokens-00001.parquet"]
    table = parquet.read_table(out)
    rows = table.to_pylist()
    assert [Path(row["path"]).name for row in rows] == ["0.ncf", "1.ncf", "2.ncf"]
    for row in rows:
        with neucodec.open(row["path"]) as file:
            tokens = read_tokens(file)
        assert np.array_equal(np.array(row["codes"]), tokens.codes)
        assert np.array_equal(np.array(row["scales"], np.float32), tokens.scales)
        assert (row["codec"], row["samples"]) == (tokens.codec, tokens.samples)

    ran = run(*command)
    assert ran.code == 2
    assert "exists; -f overwrites such files" in ran.err


def test_the_example_data_set(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    from token_dataset import TokenDataset
    from torch.utils.data import DataLoader

    for number in range(3):
        run("encode", clip(f"{number}.wav", seconds=2.5, rate=44100), "-n4", *QUICK)
    dataset = TokenDataset(tmp_path, codebooks=2, frames=32)
    for workers in (0, 2):
        windows = list(DataLoader(dataset, batch_size=None, num_workers=workers))
        assert len(windows) >= 3 * 5
        assert {tuple(window.shape) for window in windows} == {(2, 32)}
        assert min(int(window.min()) for window in windows) >= 0
