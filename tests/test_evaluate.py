"""``neucodec evaluate`` and ``compare``: what they measure, write and refuse."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import MakeClip, Run
from safetensors.torch import load_file, save_file

import neucodec
from neucodec.coding.encoder import EncodeOptions
from neucodec.evaluation.codebooks import codebook_use
from neucodec.evaluation.codecs import OpusTools, Rival, Sndfile
from neucodec.evaluation.summary import ALL, means
from neucodec.evaluation.trial import Row

FAST = ("--metrics", "mel,si-sdr", "-j", "1", "-b", "4kbps")
"""What needs no other package and little time."""


@pytest.fixture
def processes() -> None:
    """For a test that measures in processes of their own, see `here`."""


@pytest.fixture(autouse=True)
def here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure in this process, which has everything imported, unless a test is of several.

    Codes are squeezed by counting then: to unpack what a model squeezed takes most of the time.
    """
    if "processes" not in request.fixturenames:
        monkeypatch.setattr("neucodec.evaluation.run._pool", ThreadPoolExecutor)
        options = partial(EncodeOptions, entropy="adaptive")
        monkeypatch.setattr("neucodec.evaluation.codecs.EncodeOptions", options)


@pytest.fixture
def corpus(clip: MakeClip, tmp_path: Path) -> Path:
    """Two kinds of sound, one of them in a folder deeper down."""
    clip("corpus/music/chord.wav", seconds=1.5, rate=44100)
    clip("corpus/speech/someone/hum.flac", seconds=1.2, rate=16000)
    return tmp_path / "corpus"


def table(text: bytes) -> list[dict[str, str]]:
    """The first table on standard output."""
    lines = text.decode().split("\n\n")[0].splitlines()
    head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    return [dict(zip(head, row, strict=True)) for row in rows]


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "results.csv").read_text())))


def test_means_by_kind_and_over_all(run: Run, corpus: Path) -> None:
    ran = run("evaluate", corpus, *FAST)
    assert (ran.code, ran.err) == (0, "")
    rows = table(ran.out)
    assert [(row["kind"], row["files"]) for row in rows] == [
        ("all", "2"), ("music", "1"), ("speech", "1"),
    ]  # fmt: skip
    total, music, speech = (float(row["mel"]) for row in rows)
    assert total == pytest.approx((music + speech) / 2, abs=0.01)
    assert "bitrate efficiency" in ran.out.decode()


def test_bitrates_are_those_of_the_files(run: Run, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    assert run("evaluate", corpus, *FAST, "-o", out).code == 0
    audio, rate = soundfile.read(corpus / "music/chord.wav")
    size = len(neucodec.encode(audio, rate, bitrate=4000, entropy="adaptive"))
    (row,) = (row for row in rows_of(out) if row["clip"] == "music/chord.wav")
    assert int(row["bytes"]) == size
    assert float(row["kbps"]) == pytest.approx(size * 8 / 1.5 / 1000, abs=1e-3)


def test_results_as_files(run: Run, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    ran = run("evaluate", corpus, *FAST, "-b", "8kbps", "--against", "vorbis", "-o", out)
    assert ran.code == 0, ran.err
    found = json.loads((out / "results.json").read_text())
    assert len(found["rows"]) == len(rows_of(out)) == 8
    assert {mean["codec"] for mean in found["means"]} == {"neu2-44khz", "vorbis"}
    assert all(0 < use["efficiency"] <= 1 for use in found["codebooks"])
    assert (out / "index.html").read_text().startswith("<!doctype html>")


def test_names_that_are_no_text_or_would_be_formulas(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    formula, foreign = tmp_path / "corpus/=1+2", tmp_path / os.fsdecode(b"corpus/k\xfcnd")
    foreign.mkdir(parents=True)
    clip("corpus/=1+2/a.wav", seconds=1.1).rename(formula / os.fsdecode(b"odd\xff.wav"))
    clip("-b.wav", seconds=1).rename(foreign / "-b.wav")
    out = tmp_path / "report"
    ran = run("evaluate", tmp_path / "corpus", *FAST, "-o", out, "--clips", "1")
    assert ran.code == 0, ran.err
    assert [row["kind"] for row in table(ran.out)] == ["all", "=1+2", "k\\xfcnd"]
    rows = rows_of(out)
    assert [(row["clip"], row["kind"], row["codec"]) for row in rows] == [
        ("'=1+2/odd\\xff.wav", "'=1+2", "neu2-44khz"),
        ("k\\xfcnd/-b.wav", "k\\xfcnd", "neu2-44khz"),
    ]
    assert all(math.isfinite(float(row["si-sdr"])) for row in rows)
    found = json.loads((out / "results.json").read_text())
    assert os.fsencode(found["rows"][0]["clip"]) == b"=1+2/odd\xff.wav"
    assert r"=1+2/odd\\xff.wav" in (out / "index.html").read_text("utf-8")


def test_a_second_run_goes_on_from_what_is_there(run: Run, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    assert run("evaluate", corpus, *FAST, "-o", out).code == 0
    before, first = rows_of(out), (out / "measurements")
    times = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    assert run("evaluate", corpus, *FAST, "-b", "8kbps", "-o", out).code == 0
    after = rows_of(out)
    # Speeds, too, are as they were: nothing was done again.
    assert [row for row in after if row["asked_bps"] == "4000"] == before
    assert len(after) == 4
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert run("evaluate", corpus, *FAST, "-o", out, "-f").code == 0
    assert all(path.stat().st_mtime_ns > time for path, time in times.items())


@pytest.mark.slow
@pytest.mark.usefixtures("processes")
def test_the_number_of_processes_changes_nothing(run: Run, corpus: Path, tmp_path: Path) -> None:
    for jobs in "12":
        ran = run("evaluate", corpus, *FAST, "-j", jobs, "-o", tmp_path / jobs, "--clips", "0")
        assert ran.code == 0, ran.err
    one, two = (rows_of(tmp_path / jobs) for jobs in "12")
    for row in one + two:
        del row["encode_seconds"], row["decode_seconds"]
    assert one == two


def test_others_at_bitrates_of_their_own(run: Run, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    against = ("--against", "vorbis:64kbps,vorbis")
    assert run("evaluate", corpus, *FAST, *against, "-o", out, "--clips", "0").code == 0
    (own,) = (r for r in rows_of(out) if r["asked_bps"] == "64000" and r["kind"] == "music")
    assert (own["codec"], own["matched"]) == ("vorbis", "vorbis")
    assert float(own["kbps"]) == pytest.approx(64, rel=0.1)
    assert sum(r["matched"] == "neu2-44khz" for r in rows_of(out)) == 4


def test_weights_of_one_name_are_told_apart(run: Run, corpus: Path, tmp_path: Path) -> None:
    ours = Path(run("models", "path", "neu2-44khz").out.decode().strip())
    weights = load_file(ours)
    name = next(name for name, tensor in weights.items() if tensor.is_floating_point())
    weights[name] = weights[name] * 1.01
    save_file(weights, tmp_path / "tuned.safetensors")
    card = (ours.parents[1] / "cards" / "neu2-44khz.toml").read_text()
    card = re.sub(r"(?m)^(sha256|weights|embedded) .*\n", "", card, count=3)
    (tmp_path / "tuned.toml").write_text(card)
    models = ("-m", "neu2-44khz", "-m", tmp_path / "tuned.safetensors", "-m", "neu2-44khz")
    ran = run("evaluate", corpus / "music", *FAST, *models)
    assert ran.code == 0, ran.err
    one, other = (row["codec"] for row in table(ran.out))
    assert one != other
    assert all(re.fullmatch("neu2-44khz:[0-9a-f]{16}", name) for name in (one, other))


def test_what_a_model_does_not_have_is_left_out(run: Run, corpus: Path) -> None:
    ran = run("evaluate", corpus, "-b", "300kbps")
    assert ran.code == 1
    assert "neu2-44khz cannot do 300 kbps for 1 channel: possible are" in ran.err
    ran = run("evaluate", corpus, *FAST, "-b", "300kbps")
    assert ran.code == 0
    left_out = "warning: left out at 300 kbps, which it does not have"
    assert ran.err == f"neucodec: neu2-44khz: {left_out}\n"
    assert table(ran.out)[0]["files"] == "2"


def test_a_rival_that_mixes_channels_down_is_not_measured(run: Run, clip: MakeClip) -> None:
    if not shutil.which("opusenc"):
        pytest.skip("opus-tools are not installed")
    path = clip("three/chord.wav", seconds=1.2, channels=3)
    ran = run("evaluate", path.parent, *FAST, "--against", "opus")
    assert (ran.code, ran.out) == (1, b"")
    assert ran.err == (
        f"neucodec: {path}: opus gives back 2 channels of 3: --mono mixes them down first\n"
    )


def test_a_bad_file_is_told_of_once_and_the_others_are_measured(run: Run, corpus: Path) -> None:
    (corpus / "music" / "broken.wav").write_bytes(b"RIFF no more")
    soundfile.write(corpus / "music" / "click.wav", np.ones(100), 16000)
    soundfile.write(corpus / "music" / "nothing.wav", np.zeros(32000), 16000)
    ran = run("evaluate", corpus, *FAST, "-b", "8kbps")
    assert ran.code == 1
    broken, click, nothing = ran.err.splitlines()
    assert "broken.wav" in broken
    assert click.endswith("click.wav: 0.01 s is too short: 1 s and more can be measured")
    assert nothing.endswith("nothing.wav: digital silence, of which nothing can be measured")
    assert table(ran.out)[0]["files"] == "2"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-b", "many"], "'many' is no bitrate"),
        (["-m", "opus"], "no model is called 'opus'"),
        (["--against", "mp3"], "cannot compare with 'mp3'; there are opus, vorbis"),
        (["--metrics", "mos"], "no metric is called 'mos'; there are visqol, mel"),
    ],
)
def test_refusals(run: Run, corpus: Path, options: list[str], said: str) -> None:
    ran = run("evaluate", corpus, *FAST, *options)
    assert ran.code in (1, 2)
    assert ran.out == b""
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_it_takes_no_directory_with_other_things_in_it(
    run: Run, corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("my page")
    ran = run("evaluate", corpus, *FAST, "-o", tmp_path / "mine")
    assert ran.code == 1
    assert "there are other files in it" in ran.err
    assert (tmp_path / "mine" / "index.html").read_text() == "my page"
    ran = run("evaluate", corpus / "music" / "chord.wav", *FAST)
    assert (ran.code, ran.out) == (1, b"")
    assert "is no directory" in ran.err


def rivals() -> list[Rival]:
    found: list[Rival] = [Sndfile("opus"), Sndfile("vorbis")]
    return [*found, OpusTools("here")] if shutil.which("opusenc") else found


@pytest.mark.parametrize("other", rivals(), ids=lambda r: f"{type(r).__name__} {r.name}")
def test_a_rival_comes_to_the_size_it_is_given(other: Rival, clip: MakeClip) -> None:
    audio, rate = soundfile.read(clip(seconds=2, rate=44100), dtype="float32", always_2d=True)
    audio += 0.02 * np.random.default_rng(0).standard_normal(audio.shape).astype(np.float32)
    size = round(2 * {"opus": 16000, "vorbis": 80000}[other.name] / 8)
    coded = other.encode(audio, rate, size)
    assert abs(len(coded.data) - size) < 0.03 * size
    decoded = other.decode(coded.data, rate, len(audio))
    assert decoded.shape == audio.shape
    noise = np.square(decoded - audio)[rate // 2 : -rate // 2].mean()
    assert np.square(audio)[rate // 2 : -rate // 2].mean() > 10 * noise  # nor is it shifted
    # Where even the lowest setting is too much, that it is.
    assert other.encode(audio, rate, 100).setting == other.words(0.0)


def test_codebook_use_is_counted_over_all_files(tmp_path: Path) -> None:
    codec, generator = neucodec.load_model().codec, np.random.default_rng(0)
    files, codes = [], []
    for k in range(2):
        files.append(tmp_path / f"{k}.ncf")
        audio = 0.1 * generator.standard_normal((50000, 1 + k))
        files[-1].write_bytes(neucodec.encode(audio, 44100, codebooks=2, entropy="adaptive"))
        with neucodec.open(files[-1]) as file:
            for index in range(file.chunk_count):
                codes += [found.T for found in file.codes(index)]  # type: ignore[union-attr]
    use = codebook_use(files, codec)
    assert use is not None
    entropies = []
    for book in np.concatenate(codes).T.tolist():
        shares = [count / len(book) for count in Counter(book).values()]
        entropies.append(-sum(share * math.log2(share) for share in shares))
    assert use.entropies == pytest.approx(entropies)
    assert use.seen == [len(set(book)) for book in np.concatenate(codes).T.tolist()]
    assert use.efficiency == pytest.approx(sum(entropies) / 20)
    assert use.used == sum(use.seen) / 2048


def row(**changes: Any) -> Row:
    known = {
        "clip": "a.wav", "kind": "", "codec": "x", "matched": "x", "bitrate": 8000.0,
        "setting": "", "bytes": 1000, "seconds": 1.0, "encode_seconds": 0.1,
        "decode_seconds": 0.2, "scores": {"mel": 1.0}, "coded": "",
    }  # fmt: skip
    return Row(**(known | changes))


def test_means_leave_out_what_is_not_defined() -> None:
    rows = [row(scores={"mel": 1.0, "si-sdr": None}), row(scores={"mel": 2.0, "si-sdr": 5.0})]
    (mean,) = means(rows)
    assert (mean.kind, mean.files, mean.kbps) == (ALL, 2, 8.0)
    assert mean.scores == {"mel": 1.5, "si-sdr": 5.0}
    assert mean.encode_speed == pytest.approx(10)
    assert mean.decode_speed == pytest.approx(5)


def test_compare_a_file_with_its_ncf(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path = clip(seconds=1.5, rate=44100)
    assert run("encode", path, "-q", "--entropy", "none").code == 0
    coded = path.with_suffix(".ncf")
    ran = run("compare", path, coded, "--metrics", "mel,si-sdr", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert found["kbps"] == pytest.approx(coded.stat().st_size * 8 / 1500)
    assert run("decode", coded, "-o", tmp_path / "back.wav", "-q").code == 0
    other = run("compare", path, tmp_path / "back.wav", "--metrics", "mel,si-sdr", "--json")
    assert json.loads(other.out)["mel"] == pytest.approx(found["mel"], abs=0.05)
    text = run("compare", path, path, "--metrics", "mel").out.decode()
    assert re.search(r"^mel +0\.00  .*lower is better$", text, re.MULTILINE)


def test_compare_of_unequal_files(run: Run, clip: MakeClip) -> None:
    mono, stereo = clip(seconds=1.5), clip("two.wav", seconds=1.3, rate=22050, channels=2)
    ran = run("compare", mono, stereo, "--metrics", "mel")
    assert (ran.code, ran.out) == (1, b"")
    assert "has 1 channels" in ran.err
    assert "--mono" in ran.err
    ran = run("compare", mono, stereo, "--metrics", "mel", "--mono")
    assert ran.code == 0
    assert "20800 samples against 24000" in ran.err
    assert run("compare", mono, mono.with_name("gone.wav")).code == 1


def test_compare_draws_both(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path, picture = clip(seconds=1.5), tmp_path / "spectra.png"
    options = ("--metrics", "mel", "--plot", picture)
    assert run("compare", path, path, *options).code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    ran = run("compare", path, path, *options)
    assert ran.code == 1
    assert "-f" in ran.err
