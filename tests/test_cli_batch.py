"""Many inputs: what they stand for, where they go, and what becomes of the bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import MakeClip, Run


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_tree_is_mirrored_below_the_output(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    clip("in/one.wav")
    clip("in/deep/er/two.flac")
    clip("in/.hidden.wav")
    clip("in/.cache/three.wav")
    (tmp_path / "in/notes.txt").write_text("not audio")
    ran = run("encode", tmp_path / "in", "-o", tmp_path / "out", "--entropy", "none")
    assert ran.code == 0
    assert names(tmp_path / "out") == ["deep/er/two.ncf", "one.ncf"]
    assert ran.err.splitlines()[-1] == "2 files: 2 done"

    assert run("decode", tmp_path / "out", "-o", tmp_path / "back", "--format=flac").code == 0
    assert names(tmp_path / "back") == ["deep/er/two.flac", "one.flac"]


def test_without_an_output_each_goes_beside_its_input(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    clip("a/one.wav")
    two = clip("b/take.2.wav")
    assert run("encode", tmp_path / "a", two).code == 0
    assert names(tmp_path) == ["a/one.ncf", "a/one.wav", "b/take.2.ncf", "b/take.2.wav"]


def test_one_file_may_go_to_a_directory_that_exists_or_ends_like_one(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    assert run("encode", clip(), "-o", tmp_path / "here").code == 0
    assert run("encode", clip(), "-o", f"{tmp_path}/made/").code == 0
    assert names(tmp_path) == ["clip.wav", "here/clip.ncf", "made/clip.ncf"]


def test_going_on_after_a_bad_file(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF, or so it says")
    good, absent = clip("good.wav"), tmp_path / "absent.wav"
    ran = run("encode", "-q", bad, good, absent)
    assert ran.code == 1
    first, second = ran.err.splitlines()
    assert first.startswith(f"neucodec: {bad}: ")
    assert second == f"neucodec: {absent}: cannot be read: No such file or directory"
    assert good.with_suffix(".ncf").exists()
    assert not bad.with_suffix(".ncf").exists()

    ran = run("encode", "-f", bad, good, absent)
    assert ran.err.splitlines()[-1] == "3 files: 1 done, 2 failed"


def test_excluded_files_and_directories(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    for name in ("in/a.wav", "in/a-old.wav", "in/old/b.wav", "in/sub/c.wav"):
        clip(name)
    ran = run("encode", tmp_path / "in", "-o", tmp_path / "out", "-x", "*-old.*", "-x", "old")
    assert ran.code == 0
    assert names(tmp_path / "out") == ["a.ncf", "sub/c.ncf"]


def test_a_directory_without_audio_is_a_failure(run: Run, tmp_path: Path) -> None:
    ran = run("encode", tmp_path)
    assert ran.code == 1
    assert ran.err == f"neucodec: {tmp_path}: no audio files in this directory\n"


def test_two_inputs_for_one_output_are_refused_before_any_work(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    clip("in/song.wav")
    clip("in/song.flac")
    clip("in/another.wav")
    ran = run("encode", tmp_path / "in")
    assert ran.code == 2
    flac, wav, ncf = (tmp_path / f"in/song{s}" for s in (".flac", ".wav", ".ncf"))
    assert f"{flac} and {wav} would both be written to {ncf}" in ran.err
    assert not list(tmp_path.rglob("*.ncf"))


def test_an_empty_name_does_not_stand_for_everything_here(
    run: Run, clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip()
    monkeypatch.chdir(tmp_path)
    ran = run("encode", "")
    assert ran.code == 1
    assert ran.err == "neucodec: '': this is no name; give a file, a directory or '-'\n"
    assert names(tmp_path) == ["clip.wav"]


def test_the_same_input_twice_is_done_once(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path = clip("in/a.wav")
    ran = run("encode", tmp_path / "in", path, "-o", tmp_path / "out")
    assert ran.code == 0
    assert names(tmp_path / "out") == ["a.ncf"]


@pytest.mark.parametrize("force", [[], ["-f"]])
def test_no_output_replaces_an_input(run: Run, clip: MakeClip, force: list[str]) -> None:
    path = clip()
    before = path.read_bytes()
    assert run("encode", path, "-o", path, *force).code == 2  # by its name, no .ncf
    odd = path.rename(path.with_suffix(".sound"))
    ran = run("encode", odd, "-o", odd, *force)
    assert ran.code == 2
    assert "is an input" in ran.err
    path = odd
    assert path.read_bytes() == before


def test_several_inputs_need_a_directory(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    one, two = clip("one.wav"), clip("two.wav")
    for output in ("-", clip("file.bin.wav")):
        ran = run("encode", one, two, "-o", output)
        assert ran.code == 2
        assert "several inputs need a directory" in ran.err
    ran = run("encode", "-", one)
    assert ran.code == 2
    assert "cannot be mixed with other inputs" in ran.err


def test_nothing_is_overwritten_unless_forced(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    path, output = clip(), tmp_path / "clip.ncf"
    output.write_bytes(b"precious")
    ran = run("encode", path)
    assert ran.code == 1
    assert ran.err == (
        f"neucodec: {path}: {output} exists; -f overwrites it, --skip-existing passes over it\n"
    )
    assert output.read_bytes() == b"precious"
    assert run("encode", path, "-f").code == 0
    assert output.read_bytes() != b"precious"


def test_skipping_what_is_there_and_whole(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        clip(f"in/{name}", seconds=1.5)
    source, ncf = tmp_path / "in", tmp_path / "ncf"
    assert run("encode", source, "-o", ncf).code == 0
    whole = (ncf / "b.ncf").read_bytes()
    (ncf / "b.ncf").write_bytes(whole[:-30])
    before = (ncf / "a.ncf").stat().st_mtime_ns

    ran = run("encode", source, "-o", ncf, "--skip-existing")
    assert ran.code == 0
    assert ran.err.splitlines()[-1] == "3 files: 1 done, 2 skipped"
    assert (ncf / "a.ncf").stat().st_mtime_ns == before
    assert (ncf / "b.ncf").read_bytes() == whole


@pytest.mark.parametrize(
    "options", [["--format=wav"], ["--format=flac"], ["--format=raw"], ["--start=0.2", "--mono"]]
)
def test_skipping_audio_that_has_the_right_length(
    run: Run, clip: MakeClip, tmp_path: Path, options: list[str]
) -> None:
    ncf, out = tmp_path / "clip.ncf", tmp_path / "out"
    run("encode", clip(seconds=0.6, channels=2), "-o", ncf, "--entropy", "none")
    again = ["decode", ncf, "-o", f"{out}/", "--skip-existing", "-v", *options]
    assert run(*again).code == 0
    (made,) = out.iterdir()
    whole = made.read_bytes()
    ran = run(*again)
    assert ran.code == 0
    assert ran.err == f"{ncf}: skipped, {made} is there\n"

    made.write_bytes(whole[: len(whole) // 2])
    assert run(*again).code == 0
    assert made.read_bytes() == whole
