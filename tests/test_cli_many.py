"""What large batches need: a choice of files, files at once, a report, and names of every kind."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from conftest import MakeClip, Run

posix = pytest.mark.skipif(os.name != "posix", reason="links and names of Unix")


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_only_what_is_included(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    for name in ("in/a.wav", "in/a.flac.wav", "in/sub/b.flac", "in/sub/c.wav"):
        clip(name)
    options = ["-i", "*.flac", "--include", "sub/c*"]
    assert run("encode", tmp_path / "in", "-o", tmp_path / "out", *options).code == 0
    assert names(tmp_path / "out") == ["sub/b.ncf", "sub/c.ncf"]


@posix
def test_links_to_directories_are_followed_once_and_where_asked(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    clip("elsewhere/a.wav")
    clip("in/b.wav")
    (tmp_path / "in/linked.wav").symlink_to(tmp_path / "in/b.wav")
    (tmp_path / "in/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/round").symlink_to(tmp_path / "in")
    source, out = tmp_path / "in", tmp_path / "out"
    ran = run("encode", "-q", source, "-o", out)
    assert ran.code == 0
    assert ran.err == (
        f"neucodec: {source}: warning: 1 link to a directory not followed; --follow-links does\n"
    )
    assert names(out) == ["b.ncf", "linked.ncf"]
    assert run("encode", source, "-o", out, "-L", "--skip-existing").code == 0
    assert names(out) == ["b.ncf", "link/a.ncf", "linked.ncf"]


@posix
def test_a_link_to_nothing_is_a_failure(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    clip("in/a.wav")
    (tmp_path / "in/gone.wav").symlink_to(tmp_path / "nowhere.wav")
    ran = run("encode", tmp_path / "in")
    assert ran.code == 1
    assert ran.err.splitlines()[-1] == "2 files: 1 done, 1 failed"


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="its names are UTF-8")
def test_names_of_every_kind_through_a_tree_and_back(
    run: Run, clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = ["-n.wav", "a b.wav", "a\nb.wav", "é.wav", "\udcff.wav", "*.wav", "-"]
    content = clip().read_bytes()
    (tmp_path / "in").mkdir()
    for name in odd[:-1]:
        (tmp_path / "in" / name).write_bytes(content)
    monkeypatch.chdir(tmp_path / "in")
    options = ("-j", "2", "--entropy", "none", "--report", "../report")
    ran = run("encode", ".", "-o", "../out", *options)
    assert ran.code == 0
    assert "\na\\nb.wav: neu2-44khz" in f"\n{ran.err}"
    out = [name.replace(".wav", ".ncf") for name in odd[:-1]]
    assert names(tmp_path / "out") == sorted(out)
    lines = map(json.loads, (tmp_path / "report").read_text().splitlines())
    reported = {os.fsencode(line["input"]) for line in lines}
    assert reported == {os.fsencode(name) for name in odd[:-1]}
    monkeypatch.chdir(tmp_path / "out")
    assert run("decode", "--", *sorted(out)).code == 0
    assert names(tmp_path / "out") == sorted([*out, *odd[:-1]])


@posix
def test_a_file_named_like_a_pipe(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neucodec.jobs.input_files import find_files
    from neucodec.jobs.input_kinds import Kind

    (tmp_path / "-").touch()
    monkeypatch.chdir(tmp_path)
    (found,) = find_files(["."], Kind("any", frozenset({""}))).files
    assert found[0] == "./-"


@pytest.mark.slow
def test_files_at_once_give_what_one_after_the_other_gives(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    for number in range(3):
        clip(f"in/{number}.wav", seconds=0.3 + number / 2)
    (tmp_path / "in/bad.wav").write_bytes(b"RIFF, or so it says")
    options: tuple[str | Path, ...] = ("--entropy", "adaptive")
    assert run("encode", tmp_path / "in", "-o", tmp_path / "one", *options).code == 1
    report = tmp_path / "report.jsonl"
    report.write_bytes(b'{"torn": ')
    options += ("-j", "2", "--report", report)
    ran = run("encode", tmp_path / "in", "-o", tmp_path / "two", *options)
    assert ran.code == 1
    assert ran.err.splitlines()[-1] == "4 files: 3 done, 1 failed"
    assert names(tmp_path / "two") == ["0.ncf", "1.ncf", "2.ncf"]
    for name in names(tmp_path / "two"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()

    torn, *rest = report.read_text().splitlines()
    assert torn == '{"torn": '
    found = {Path(line["input"]).name: line for line in map(json.loads, rest)}
    size = (tmp_path / "two/1.ncf").stat().st_size
    done = found["1.wav"]
    assert (done["outcome"], done["audio_seconds"], done["output_bytes"]) == ("done", 0.8, size)
    assert done["input_bytes"] == (tmp_path / "in/1.wav").stat().st_size
    assert done["kbps"] == pytest.approx(8 * size / 800, abs=1e-6)
    assert done["output"] == str(tmp_path / "two/1.ncf")
    assert done["error"] is None
    assert done["seconds"] > 0
    assert found["bad.wav"]["outcome"] == "failed"
    assert "no audio that libsndfile " in found["bad.wav"]["error"]

    assert run("decode", tmp_path / "two", "-o", tmp_path / "back", "-j", "2").code == 0
    assert run("decode", tmp_path / "two").code == 0
    for name in names(tmp_path / "back"):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_report_that_cannot_be_written_is_told_before_any_work(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    ran = run("encode", clip(), "--report", tmp_path / "nowhere/report")
    assert ran.code == 1
    assert ran.err == (
        f"neucodec: --report {tmp_path / 'nowhere/report'}: No such file or directory\n"
    )
    assert names(tmp_path) == ["clip.wav"]


def test_nothing_is_begun_after_a_failure_if_so_wished(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    (tmp_path / "bad.wav").touch()
    good = clip("good.wav")
    ran = run("encode", tmp_path / "bad.wav", good, "--fail-fast")
    assert ran.code == 1
    assert ran.err.splitlines()[-1] == "2 files: 1 failed, 1 not begun"
    assert not good.with_suffix(".ncf").exists()


@pytest.mark.parametrize("options", [[], ["--format=flac"]])
def test_outputs_may_have_the_time_of_their_inputs(
    run: Run, clip: MakeClip, tmp_path: Path, options: list[str]
) -> None:
    path, ncf, back = clip(), tmp_path / "clip.ncf", tmp_path / "back"
    os.utime(path, ns=(10**18, 10**18 + 3000))
    assert run("encode", path, "--keep-time").code == 0
    assert ncf.stat().st_mtime_ns == path.stat().st_mtime_ns
    assert run("decode", ncf, "-o", f"{back}/", "--keep-time", *options).code == 0
    (made,) = back.iterdir()
    assert made.stat().st_mtime_ns == path.stat().st_mtime_ns
