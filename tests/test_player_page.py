"""Pages that play .ncf files, in a real browser: `neucodec page`."""

from __future__ import annotations

import io
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PATIENCE, Ran

import neucodec
from neucodec.formats import NcfReader

ROOT = Path(__file__).parents[1]
HEARD = """
window.heard = [];
document.addEventListener("heard", (event) => {
  heard.push([event.detail.at, ...event.detail.channels.map((samples) => Array.from(samples))]);
});
"""


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two files: a stereo one, and one of which a chunk is damaged."""
    folder, rng = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    audio = rng.normal(0, 0.1, (70000, 2)).astype(np.float32)
    tags = {"TITLE": "</script><b>Rain</b>"}
    data = neucodec.encode(audio, 44100, codebooks=2, entropy="adaptive", tags=tags)
    (folder / "rain.ncf").write_bytes(data)
    damaged = bytearray(neucodec.encode(audio[:, 0], 44100, codebooks=2, entropy="none"))
    damaged[NcfReader(io.BytesIO(bytes(damaged))).table()[0].offset + 20] ^= 1
    (folder / "damaged.ncf").write_bytes(damaged)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium: playwright's own or the system's."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        try:
            chromium = running.chromium.launch(executable_path=program, args=arguments)
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


def test_a_page_plays_what_the_package_decodes(
    run: Callable[..., Ran], browser: Any, sounds: Path, tmp_path: Path
) -> None:
    made = tmp_path / "song.html"
    done = run("page", sounds / "rain.ncf", sounds / "damaged.ncf", "-o", made)
    assert done.code == 0
    page, errors = browser.new_page(viewport={"width": 390, "height": 800}), list[str]()
    page.set_default_timeout(1000 * PATIENCE)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(made.as_uri())
    until(page, "document.body.dataset.ready === 'yes'")
    assert page.evaluate("document.documentElement.scrollWidth <= 390")
    assert "1 damaged chunks" in page.inner_text("#files li:nth-child(2)")
    assert "</script><b>Rain</b>" in page.inner_text("#facts")

    page.evaluate(HEARD)
    page.click("#play")
    until(page, "heard.reduce((sum, [, samples]) => sum + samples.length, 0) >= 70000")
    heard = [np.array(part[1:], np.float32).T for part in page.evaluate("heard")]
    want, _ = neucodec.decode((sounds / "rain.ncf").read_bytes())
    assert np.abs(np.concatenate(heard) - want).max() <= 1e-4 * np.abs(want).max()

    page.evaluate("stop(); heard.length = 0; find('seek').value = 1.25; find('play').click()")
    until(page, "heard.length > 0")
    at, *channels = page.evaluate("heard[0]")
    assert at == round(1.25 * 44100)
    part = np.array(channels, np.float32).T
    assert np.abs(part - want[at : at + len(part)]).max() <= 1e-4 * np.abs(want).max()
    assert errors == []
    page.close()


def test_files_that_no_page_can_play_are_refused(
    run: Callable[..., Ran], sounds: Path, tmp_path: Path
) -> None:
    made = tmp_path / "song.html"
    (tmp_path / "text.ncf").write_bytes(b"RIFF")
    done = run("page", tmp_path / "text.ncf", "-o", made)
    assert done.code == 1
    assert not made.exists()
    golden = ROOT / "tests" / "released" / "0.7.0-specmini-16khz.ncf"
    done = run("page", golden, "-o", made)
    assert (done.code, made.exists()) == (1, False)
    assert "the family neu alone" in done.err


def test_the_decoder_in_the_package_is_the_one_that_its_sources_give(tmp_path: Path) -> None:
    clang, make = shutil.which("clang"), shutil.which("make")
    if not (clang and make and shutil.which("wasm-ld")):
        pytest.skip("no Clang with LLD is here")
    (tmp_path / "neucodec" / "player").mkdir(parents=True)
    shutil.copytree(ROOT / "portable", tmp_path / "portable")
    shutil.copy(ROOT / "Makefile", tmp_path)
    subprocess.run([make, "-s", "web"], cwd=tmp_path, check=True)
    built = (tmp_path / "neucodec" / "player" / "player.wasm").read_bytes()
    kept = (ROOT / "neucodec" / "player" / "player.wasm").read_bytes()
    version = subprocess.run([clang, "--version"], capture_output=True, text=True, check=True)
    if "version 14." not in version.stdout:
        pytest.skip("another Clang than the one that the package's was built by")
    assert built == kept
