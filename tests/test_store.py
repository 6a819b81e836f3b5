"""Where weights come from, where they are kept, and that they are what they should be."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PATIENCE
from servers import COMMIT, Hub, Server, wait_for

from neucodec.models.catalogue import cache_dirs, weights_store
from neucodec.models.catalogue.card import Card
from neucodec.models.catalogue.download_progress import Monitor
from neucodec.models.catalogue.weights_source import WeightsSource
from neucodec.models.errors import ModelError

CONTENT = b"weights " * 50_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HUB = WeightsSource(repository="voice/small", file="model.safetensors")


class Lines(Monitor):
    """What is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def card(*sources: WeightsSource) -> Card:
    return Card(
        name="small", family="dac", title="Small", sample_rate=8000, channels=1, hop=8,
        codebooks=2, codebook_size=16, default_codebooks=2, chunk_frames=1000, chunk_stride=8000,
        parameters=10, license_code="MIT", license_weights="CC BY 4.0", paper="arXiv 1234.56789",
        sources=sources,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEUCODEC_CACHE", str(tmp_path / "ours"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("NEUCODEC_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server({"/v1/weights.pth": CONTENT}) as server:
        yield server


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub({"voice/small/model.safetensors": CONTENT}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def url(server: Server, sha256: str = "") -> WeightsSource:
    return WeightsSource(url=f"{server.url}/v1/weights.pth", sha256=sha256)


def files(folder: Path) -> set[str]:
    found = (p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".lock", ".TAG"))
    return {path.name for path in found}


def test_first_use_downloads_and_the_second_does_not(server: Server, tmp_path: Path) -> None:
    small, lines = card(url(server)), Lines()
    assert weights_store.find(small) is None
    found = weights_store.fetch(small, monitor=lines)
    assert found.path.read_bytes() == CONTENT
    assert found.path.parent.parent == tmp_path / "ours"
    assert lines.said == [
        f"small is not here yet: fetching {server.url}/v1/weights.pth "
        "(weights: CC BY 4.0, code: MIT, arXiv 1234.56789)"
    ]
    server.requests.clear()
    assert weights_store.fetch(small, monitor=lines) == weights_store.find(small) == found
    assert (len(lines.said), server.requests) == (1, [])
    assert weights_store.check(found) == SHA256


def test_the_hub_is_asked_once(hub: Hub, tmp_path: Path) -> None:
    found = weights_store.fetch(card(HUB))
    assert found.path.read_bytes() == CONTENT
    assert found.path.is_relative_to(tmp_path / "hub" / "models--voice--small" / "snapshots")
    assert hub.fetched == [""]
    hub.requests.clear()
    assert weights_store.fetch(card(HUB)) == found
    assert hub.requests == []
    assert weights_store.check(found) == SHA256


def test_other_programs_find_what_we_fetched_from_the_hub(hub: Hub, tmp_path: Path) -> None:
    from huggingface_hub import try_to_load_from_cache

    found = weights_store.fetch(card(HUB))
    assert try_to_load_from_cache(
        "voice/small", "model.safetensors", cache_dir=tmp_path / "hub"
    ) == str(found.path)


def test_a_revision_of_the_hub(hub: Hub) -> None:
    for revision in ("v2", COMMIT):
        source = WeightsSource(
            repository="voice/small", file="model.safetensors", revision=revision
        )
        assert COMMIT in weights_store.fetch(card(source)).path.parts
    assert {r.path.split("/")[4] for r in hub.requests} == {"v2"}


def test_a_connection_to_the_hub_that_is_cut(hub: Hub) -> None:
    hub.files["voice/small/model.safetensors"] = content = bytes(24 << 20)
    hub.cuts = [23 << 20]
    assert weights_store.fetch(card(HUB)).path.read_bytes() == content
    assert hub.fetched == ["", f"bytes={20 << 20}-"]  # the library keeps multiples of 10 MB


def test_a_corrupt_file_of_the_hub_is_refused_and_removed(hub: Hub, tmp_path: Path) -> None:
    hub.lie = wrong = CONTENT[:-1] + b"!"
    with pytest.raises(ModelError) as caught:
        weights_store.fetch(card(HUB))
    assert str(caught.value) == (
        "https://huggingface.co/voice/small/resolve/main/model.safetensors gave a damaged or "
        "another file, which was removed: its SHA-256 is "
        f"{hashlib.sha256(wrong).hexdigest()[:16]}…, {SHA256[:16]}… was expected"
    )
    assert files(tmp_path / "hub") == {"main"}
    hub.lie = b""
    assert weights_store.fetch(card(HUB)).path.read_bytes() == CONTENT


def test_a_hash_on_the_card_goes_before_what_the_hub_says(hub: Hub) -> None:
    pinned = WeightsSource(repository="voice/small", file="model.safetensors", sha256="0" * 64)
    with pytest.raises(ModelError, match=r"0{16}… was expected"):
        weights_store.fetch(card(pinned))
    assert weights_store.find(card(pinned)) is None


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (WeightsSource(repository="voice/none", file="a.bin"), "there is no such"),
        (WeightsSource(repository="voice/small", file="none.bin"), "there is no such"),
    ],
)
def test_what_the_hub_does_not_have(hub: Hub, source: WeightsSource, reason: str) -> None:
    with pytest.raises(ModelError) as caught:
        weights_store.fetch(card(source))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_two_processes_fetch_one_file_of_the_hub(hub: Hub, tmp_path: Path) -> None:
    script = """
import sys
sys.path.insert(0, sys.argv[1])
from test_store import HUB, SHA256, card
from neucodec.models import weights_store
assert weights_store.check(weights_store.fetch(card(HUB))) == SHA256
"""
    command = [sys.executable, "-c", script, str(Path(__file__).parent)]
    hub.gate.clear()
    first = subprocess.Popen(command)
    wait_for(lambda: hub.fetched)
    second = subprocess.Popen(command)
    wait_for(lambda: [r.method for r in hub.requests].count("HEAD") == 4)
    hub.gate.set()
    assert (first.wait(PATIENCE), second.wait(PATIENCE)) == (0, 0)
    assert hub.fetched == [""]
    (blob,) = (tmp_path / "hub" / "models--voice--small" / "blobs").iterdir()
    assert blob.read_bytes() == CONTENT


def test_another_source_where_the_first_fails(server: Server, hub: Hub) -> None:
    absent, lines = WeightsSource(url=f"{server.url}/gone.pth"), Lines()
    found = weights_store.fetch(card(absent, HUB), monitor=lines)
    assert found.source == HUB
    assert lines.said[1:] == [
        f"{server.url}/gone.pth: the server answers 404 Not Found; trying "
        "https://huggingface.co/voice/small/resolve/main/model.safetensors"
    ]


@pytest.mark.parametrize("location", ["http://[::1", "http://h:99999/", "ftp://h/", "/v1/w"])
def test_another_source_where_the_first_redirects_to_nowhere(hub: Hub, location: str) -> None:
    with Server(redirects={"/v1/w": location}) as server:
        found = weights_store.fetch(card(WeightsSource(url=f"{server.url}/v1/w"), HUB))
    assert found.source == HUB


def test_a_corrupt_file_is_no_reason_to_look_elsewhere(server: Server, hub: Hub) -> None:
    with pytest.raises(ModelError, match="gave a damaged or another file"):
        weights_store.fetch(card(url(server, "00000000"), HUB))
    assert hub.requests == []


OFFLINE = (
    "small is not here, and {} forbids to fetch it: bring "
    "https://huggingface.co/voice/small/resolve/main/model.safetensors by hand, "
    "then neucodec models add small --from model.safetensors"
)


@pytest.mark.parametrize("variable", ["NEUCODEC_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_by_the_environment(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ModelError) as caught:
        weights_store.fetch(card(HUB))
    assert str(caught.value) == OFFLINE.format(f"{variable}=1")
    monkeypatch.setenv(variable, "0")
    found = weights_store.fetch(card(HUB))
    monkeypatch.setenv(variable, "1")
    assert weights_store.fetch(card(HUB)) == found


def test_offline_by_option(hub: Hub) -> None:
    with pytest.raises(ModelError) as caught:
        weights_store.fetch(card(HUB), offline="--offline")
    assert str(caught.value) == OFFLINE.format("--offline")
    assert hub.requests == []


def test_without_a_network(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = server.url
    server.__exit__()
    monkeypatch.setenv("HF_ENDPOINT", closed)
    with pytest.raises(ModelError) as caught:
        weights_store.fetch(card(url(server)))
    assert re.fullmatch(
        rf"small is not here, and cannot be fetched \({closed}/v1/weights\.pth cannot be reached: "
        rf".+\): bring {closed}/v1/weights\.pth by hand, "
        r"then neucodec models add small --from weights\.pth",
        str(caught.value),
    )
    with pytest.raises(ModelError, match=r"small/resolve/main/model\.safetensors: \S.*\): bring "):
        weights_store.fetch(card(HUB))


def test_a_hub_cache_that_cannot_be_written(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(ModelError, match=r"file.* cannot be written: .*; HF_HOME names another"):
        weights_store.fetch(card(HUB))


@pytest.mark.parametrize("known", ["", SHA256[:8]])
def test_the_first_use_is_on_record(server: Server, known: str) -> None:
    found = weights_store.fetch(card(url(server, known)))
    assert found.record and found.record.read_text() == f"{SHA256}  weights.pth\n"
    found.path.write_bytes(CONTENT + b"!")
    with pytest.raises(ModelError) as caught:
        weights_store.check(found)
    assert str(caught.value) == (
        f"{found.path} is damaged or another version: its SHA-256 is "
        f"{hashlib.sha256(CONTENT + b'!').hexdigest()[:16]}…, {SHA256[:16]}… was expected; "
        "neucodec models rm small removes it"
    )


def test_what_the_hub_gives_no_hash_of_is_recorded_at_its_first_use(hub: Hub) -> None:
    hub.told = False
    found = weights_store.fetch(card(HUB))
    assert found.expected == ""
    assert weights_store.check(found) == found.expected == SHA256
    blob = found.path.resolve()
    blob.write_bytes(CONTENT + b"!")
    with pytest.raises(ModelError, match="is damaged or another version"):
        weights_store.check(found)


def loads(path: Path) -> None:
    if not path.read_bytes().startswith(b"weights"):
        raise ModelError("no weights")


def test_a_file_brought_by_hand(hub: Hub, tmp_path: Path) -> None:
    brought = tmp_path / "usb" / "w.bin"
    brought.parent.mkdir()
    brought.write_bytes(CONTENT)
    added = weights_store.add(card(HUB), brought, loads)
    assert added.path.name == "model.safetensors"
    brought.unlink()
    assert weights_store.fetch(card(HUB), offline="--offline") == added
    assert weights_store.check(added) == SHA256
    assert hub.requests == []


def test_a_file_brought_by_hand_is_known_by_its_hash_or_name(tmp_path: Path) -> None:
    pinned = WeightsSource(url="https://a.example/pinned.th", sha256=SHA256[:8])
    named = WeightsSource(url="https://a.example/named.th")
    other = WeightsSource(url="https://a.example/other.th", sha256="0" * 8)
    brought = tmp_path / "named.th"
    brought.write_bytes(CONTENT)
    assert weights_store.add(card(named, pinned), brought, loads).source == pinned
    assert weights_store.add(card(other, HUB, named), brought, loads).source == named
    with pytest.raises(ModelError, match=r"not the file of small: its SHA-256 is .*, 00000000… "):
        weights_store.add(card(other), brought, loads)


def test_a_file_that_does_not_load_is_not_taken(tmp_path: Path) -> None:
    brought = tmp_path / "model.safetensors"
    brought.write_bytes(b"something else")
    with pytest.raises(ModelError, match="no weights"):
        weights_store.add(card(HUB), brought, loads)
    assert weights_store.find(card(HUB)) is None
    assert not (tmp_path / "ours").exists()


def test_removing_leaves_nothing(server: Server, hub: Hub, tmp_path: Path) -> None:
    both = card(url(server), HUB)
    ours = weights_store.fetch(card(url(server)))
    theirs = weights_store.fetch(card(HUB))
    assert weights_store.remove(both) == [ours.path, theirs.path]
    assert weights_store.find(both) is None
    assert files(tmp_path / "ours") == set()
    assert files(tmp_path / "hub") == {"main"}
    assert weights_store.remove(both) == []


def test_removing_leaves_what_another_revision_has_too(hub: Hub, tmp_path: Path) -> None:
    found = weights_store.fetch(card(HUB))
    other = found.path.parent.parent / ("f" * 40) / found.path.name
    other.parent.mkdir()
    other.symlink_to(Path("..") / ".." / "blobs" / SHA256)
    weights_store.remove(card(HUB))
    assert not found.path.exists()
    assert other.read_bytes() == CONTENT


def test_what_nobody_has_published(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        weights_store.fetch(card())
    assert str(caught.value) == (
        "nobody has published weights of small: train some, and give their path instead"
    )
    with pytest.raises(ModelError, match="there is nothing to bring"):
        weights_store.add(card(), tmp_path / "w.pth", loads)


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "home/.cache/neucodec"),
        ("linux", {"XDG_CACHE_HOME": "{}/xdg"}, "xdg/neucodec"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "home/.cache/neucodec"),
        ("darwin", {}, "home/Library/Caches/neucodec"),
        ("win32", {"LOCALAPPDATA": "{}/local"}, "local/neucodec"),
        ("linux", {"NEUCODEC_CACHE": "{}/mine"}, "mine"),
    ],
)
def test_the_cache_is_where_the_platform_wants_it(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    platform: str,
    variables: dict[str, str],
    folder: str,
) -> None:
    for name in ("NEUCODEC_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_dirs.cache_dir() == tmp_path / folder


def test_the_hub_s_cache_is_where_its_library_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"
    for name, value in (("HF_HUB_CACHE", "/a"), ("HF_HOME", "/b"), ("XDG_CACHE_HOME", "/c")):
        monkeypatch.setenv(name, value)
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        out = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
        assert cache_dirs.hub_cache() == Path(out.stdout.decode().strip())
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ({}, "either a url or a repository"),
        ({"url": "https://a.example/b", "repository": "a/b"}, "either a url or a repository"),
        ({"url": "file:///etc/passwd"}, "is no https:// URL"),
        ({"url": "https://a.example/"}, "is no file's name"),
        ({"url": "https://a.example/a%1b.pth"}, "is no file's name"),
        ({"url": "https://a.example/..%2f..%2fb"}, "is no file's name"),
        ({"url": "https://a.example/b", "file": "c"}, "is named in a repository"),
        ({"repository": "../a", "file": "b"}, "is no repository"),
        ({"repository": "a/b"}, "is no file's name"),
        ({"repository": "a/b", "file": "../c"}, "is no file's name"),
        ({"repository": "a/b", "file": "c\\d"}, "is no file's name"),
        ({"repository": "a/b", "file": "c", "revision": "../.."}, "is no revision"),
        ({"url": "https://a.example/b", "sha256": "abc"}, "is not 8 to 64 of 0-9a-f"),
    ],
)
def test_sources_that_cannot_be(source: dict[str, str], complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        WeightsSource(**source)
