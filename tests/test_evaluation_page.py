"""The listening page of ``neucodec evaluate``, part of it in a real browser without a window."""

from __future__ import annotations

import base64
import csv
import json
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import PATIENCE

from neucodec.__main__ import main
from neucodec.audio.loudness import LoudnessMeter
from neucodec.coding.options import EncodeOptions
from neucodec.evaluation.clips import Clip
from neucodec.evaluation.page.listening_page import level_gains, spread

RATE = 44100


@pytest.fixture(scope="module", autouse=True)
def here() -> Iterator[None]:
    """Measure in this process, and squeeze codes by counting: pages are of what is heard."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neucodec.evaluation.run._pool", ThreadPoolExecutor)
        options = partial(EncodeOptions, entropy="adaptive")
        patch.setattr("neucodec.evaluation.codecs.EncodeOptions", options)
        yield


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two recordings of two seconds, one codec at two bitrates and one rival."""
    folder = tmp_path_factory.mktemp("evaluation")
    generator = np.random.default_rng(0)
    for k, name in enumerate(("speech/hum.wav", "music/chord.wav")):
        path = folder / "clips" / name
        path.parent.mkdir(parents=True)
        instants = np.arange(2 * RATE) / RATE
        tones = sum(np.sin(2 * np.pi * 220 * (k + j) * instants) / j for j in range(1, 9))
        soundfile.write(path, 0.1 * tones + generator.normal(0, 0.02, len(instants)), RATE)
    arguments = ["evaluate", str(folder / "clips"), "-b", "2kbps,8kbps", "--against", "vorbis"]
    arguments += ["--metrics", "mel,si-sdr", "-j", "1", "-qq", "-o", str(folder / "report")]
    assert main(arguments) == 0
    return folder / "report" / "index.html"


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


@pytest.mark.slow
def test_everything_is_in_one_file(report: Path) -> None:
    text = re.sub(r'<script type="text/plain".*?</script>', "", report.read_text(), flags=re.S)
    assert not re.search(r"\bsrc=|<link|@import|url\(", text)
    assert set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}
    labels = [[v["label"] for v in r["versions"]] for r in data_of(report)["recordings"]]
    assert labels == 2 * [[
        "reference", "neu2-44khz 2 kbps", "vorbis matched to 2 kbps", "neu2-44khz 8 kbps",
        "vorbis matched to 8 kbps", "anchor, 3.5 kHz",
    ]]  # fmt: skip


def test_names_of_files_cannot_do_anything(tmp_path: Path) -> None:
    folder, name = tmp_path / "clips", "a<img src=x onerror=alert(1)>.wav"
    try:
        (folder / "<b>").mkdir(parents=True)
        soundfile.write(folder / "<b>" / name, np.sin(np.arange(20000)), 16000)
    except (OSError, soundfile.SoundFileError):
        pytest.skip("no such names on this system")
    out = tmp_path / "out"
    arguments = ["evaluate", str(folder), "-b", "2kbps", "--metrics", "mel", "-qq", "-j", "1"]
    assert main([*arguments, "-o", str(out)]) == 0
    assert "<img" not in (out / "index.html").read_text()
    assert data_of(out / "index.html")["recordings"][0]["name"] == f"<b>/{name}"


def test_versions_are_as_loud_as_the_reference() -> None:
    reference = 0.3 * np.random.default_rng(0).standard_normal((RATE, 2)).astype(np.float32)
    versions = [reference, 0.25 * reference, 2 * reference, 0 * reference]
    gains = level_gains(versions, RATE)

    def loudness(audio: Any) -> float:
        meter = LoudnessMeter(RATE, 2)
        meter.push(audio.astype(np.float32))
        return meter.lufs

    heard = [gain * audio for gain, audio in zip(gains, versions, strict=True)]
    assert [loudness(h) for h in heard[:3]] == pytest.approx([loudness(heard[0])] * 3)
    assert max(np.abs(h).max() for h in heard) == pytest.approx(1)  # the reference goes above


def test_recordings_are_of_all_kinds() -> None:
    def clips(kind: str, count: int) -> list[Clip]:
        return [Clip("", f"{kind}/{k}", False, 1.0) for k in range(count)]

    chosen = [clip.place for clip in spread([*clips("env", 1), *clips("speech", 10)], 4)]
    assert chosen == ["env/0", "speech/0", "speech/5"]
    assert spread(clips("speech", 3), 0) == []
    assert len(spread(clips("speech", 3), 9)) == 3


@pytest.mark.slow
def test_the_page_keeps_within_its_size(report: Path, tmp_path: Path) -> None:
    folder, out = report.parents[1] / "clips", tmp_path / "report"
    shutil.copytree(report.parent / "measurements", out / "measurements")
    arguments = ["evaluate", str(folder), "-b", "2kbps,8kbps", "--against", "vorbis", "-qq"]
    arguments += ["--metrics", "mel,si-sdr", "-j", "1", "-o", str(out), "--page-size", "1"]
    assert main(arguments) == 0
    assert len(data_of(out / "index.html")["recordings"]) < 2
    assert (out / "index.html").stat().st_size < 1.1e6


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium: playwright's own or the system's."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        try:
            chromium = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no Chromium here ({str(error).splitlines()[0]})")
        yield chromium
        chromium.close()


def until(page: Any, condition: str) -> None:
    """Wait for it; playwright's own waiting would be against the page's security policy."""
    deadline = time.monotonic() + PATIENCE
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(50)


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    """The page, opened, its first recording decoded; its errors fail the test."""
    page, errors = browser.new_page(), list[str]()
    page.set_default_timeout(1000 * PATIENCE)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto(report.as_uri())
    page.on("request", lambda request: errors.append(request.url))
    until(page, "player.versions.length > 0 && shown === 0")
    yield page
    page.close(run_before_unload=False)
    assert [e for e in errors if not e.startswith("blob:")] == []


@pytest.mark.slow
def test_playing_and_switching_keep_the_position(page: Any) -> None:
    page.evaluate("window.ear = player.context.createAnalyser(); player.output.connect(ear)")
    loudest = (
        "(ear.getFloatTimeDomainData(window.now ??= new Float32Array(2048)), Math.max(...now))"
    )
    page.click("#play")
    until(page, f"{loudest} > 0.05")
    clock = "[player.position, player.context.currentTime, player.duration]"
    before, began, duration = page.evaluate(clock)
    for key, version in (("2", 1), ("4", 3), ("r", 0), ("5", 4)):
        page.keyboard.press(key)
        assert page.evaluate("player.heard") == version
    after, ended, _ = page.evaluate(clock)
    drift = (after - before - (ended - began)) % duration
    assert min(drift, duration - drift) < 1e-3
    page.keyboard.press(" ")
    assert page.evaluate("player.playing") is False
    until(page, f"{loudest} === 0")


OFFLINE = """async () => {
  const offline = new OfflineAudioContext(1, 3 * 44100, 44100);
  const other = new Player(offline);
  const { versions } = data.recordings[0];
  await other.load(versions.map((v) => ({ bytes: bytesOf(v.audio), gain: v.gain })));
  const resume = () => OfflineAudioContext.prototype.resume.call(offline);
  offline.resume = async () => {};
  await other.play();
  [3, 4, 0, 1].forEach((version, i) => {
    offline.suspend(0.5 * (i + 1)).then(() => { other.choose(version); resume(); });
  });
  const heard = await offline.startRendering();
  const packed = (buffer) => btoa(
    Array.from(new Uint8Array(buffer.getChannelData(0).slice().buffer),
      (byte) => String.fromCharCode(byte)).join(""));
  return [packed(heard), other.versions.map((v) => [packed(v.buffer), v.gain])];
}"""
"""What the player puts out in 3 s of which it switches every half, sample by sample."""


@pytest.mark.slow
def test_switching_is_without_a_gap_and_at_the_same_sample(page: Any) -> None:
    packed, versions = page.evaluate(OFFLINE)
    heard = np.frombuffer(base64.b64decode(packed), np.float32)
    sounds = [
        gain * np.resize(np.frombuffer(base64.b64decode(samples), np.float32), 3 * RATE)
        for samples, gain in versions
    ]
    start = round(0.02 * RATE)  # the player's lead
    fade = round(0.011 * RATE)
    pieces = zip((0, 3, 4, 0, 1), range(0, 3 * RATE, RATE // 2), strict=False)
    for version, begin in pieces:
        span = slice(max(start, begin + fade + 128), begin + RATE // 2 - 128)
        expected = sounds[version][span.start - start : span.stop - start]
        np.testing.assert_allclose(heard[span], expected, atol=1e-4)
    sounding = np.flatnonzero(np.abs(heard[start:]) > 1e-4)
    assert np.diff(sounding).max() < 0.001 * RATE  # nor a gap in between


@pytest.mark.slow
def test_one_hears_what_one_chooses(page: Any) -> None:
    """The reference and its spectrogram, then a version and its spectrogram."""
    picture = "document.getElementById('spectrum-version').toDataURL()"
    page.click("text=neu2-44khz 2 kbps")
    first, title = page.evaluate(picture), page.text_content("#spectrum-title")
    page.click("text=vorbis matched to 8 kbps")
    assert title == "neu2-44khz 2 kbps"
    assert page.evaluate(picture) != first
    pressed = page.locator("#versions button[aria-pressed=true]")
    assert pressed.count() == 1
    assert "vorbis matched to 8 kbps" in pressed.inner_text()
    gains = page.evaluate(
        "player.toggle().then(() => player.versions.map((v) => v.node.gain.value))"
    )
    assert [gain > 0 for gain in gains] == [False, False, False, False, True, False]


@pytest.mark.slow
def test_keys_move_within_and_between_recordings(page: Any) -> None:
    page.keyboard.press("ArrowRight")
    assert page.evaluate("player.position") == pytest.approx(1)
    page.keyboard.press("]")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("[player.position, ...player.region]") == pytest.approx([0, 0, 1])
    page.keyboard.press("n")
    until(page, "shown === 1 && player.region[1] > 1.9")
    assert page.input_value("#clip") == "1"


def read_download(page: Any, button: str, tmp_path: Path) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.click(button)
    target = tmp_path / download.value.suggested_filename
    download.value.save_as(target)
    with target.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_blind_ratings(page: Any, report: Path, tmp_path: Path) -> None:
    page.click("[data-mode=blind]")
    assert page.locator("#sliders .rating").count() == 6
    for label in ("neu2-44khz", "vorbis", "anchor,"):
        assert not page.locator(f"main >> text={label} >> visible=true").count()
    page.keyboard.press("1")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("ArrowDown")
    page.locator("#sliders input").nth(1).fill("20")
    page.keyboard.press("n")
    until(page, "shown === 1")
    assert page.locator("#sliders .unrated").count() == 6
    page.locator("#sliders input").nth(5).fill("100")
    rows = read_download(page, "#blind-download", tmp_path)
    assert [(row["presented_as"], row["rating"]) for row in rows] == [
        ("A", "59"), ("B", "20"), ("F", "100"),
    ]  # fmt: skip
    recordings = data_of(report)["recordings"]
    # What was rated is what was heard: A is the version of that place in the hidden order.
    order = page.evaluate("blind.sessions[0].order")
    assert sorted(order) == list(range(6))
    assert [row["version"] for row in rows[:2]] == [
        recordings[0]["versions"][order[k]]["label"] for k in (0, 1)
    ]
    page.click("#blind-reveal")
    versions = {row["version"] for row in rows}
    assert page.locator("#blind-results tr").count() == 1 + len(versions)


@pytest.mark.slow
def test_abx(page: Any, tmp_path: Path) -> None:
    page.click("[data-mode=abx]")
    page.select_option("#abx-version", label="vorbis matched to 2 kbps")
    page.keyboard.press("b")
    assert page.evaluate("player.heard") == 2
    for _ in range(5):
        page.keyboard.press("x")
        answer = "Shift+A" if page.evaluate("player.heard") == 0 else "Shift+B"
        page.keyboard.press(answer)
    assert "5 of 5 right; as many by guessing alone in 3.1 %" in page.text_content("#abx-score")
    rows = read_download(page, "#abx-download", tmp_path)
    assert [row["correct"] for row in rows] == ["1"] * 5
    assert {row["version"] for row in rows} == {"vorbis matched to 2 kbps"}


@pytest.mark.slow
def test_curves_and_table(page: Any) -> None:
    page.click("[data-mode=figures]")
    page.select_option("#curve-kind", "speech")
    page.select_option("#curve-metric", "si-sdr")
    assert page.locator("#curve polyline").count() == 2
    assert page.locator("#curve circle").count() == 4
    assert page.locator("#table tr").count() == 5
    assert "higher is better" in page.text_content("#curve-says")
