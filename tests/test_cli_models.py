"""``neucodec models`` and ``-m``: checkpoints fetched, brought by hand, and of one's own."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PATIENCE, MakeClip, Run
from networks import peer
from published_configs import ENCODEC_24KHZ
from safetensors.torch import save_file
from servers import Hub, Server

import neucodec
from neucodec.errors import NeucodecError
from neucodec.models.catalogue.card import Card, find_card
from neucodec.models.families.dac.network import Dac, DacConfig
from neucodec.models.families.encodec.network import Encodec, EncodecConfig
from neucodec.models.load import resolve

NARROW = DacConfig(encoder_width=4, decoder_width=16, rates=(2, 4), latent=8, codebooks=3)
KWARGS = {
    "encoder_dim": 4, "encoder_rates": [2, 4], "latent_dim": None, "decoder_dim": 16,
    "decoder_rates": [4, 2], "n_codebooks": 3, "codebook_size": 1024, "codebook_dim": 8,
    "quantizer_dropout": False, "sample_rate": 8000,
}  # fmt: skip


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEUCODEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("NEUCODEC_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def dac_file(path: Path, **changes: Any) -> Path:
    """A narrow network as DAC's training saves it."""
    path.parent.mkdir(exist_ok=True)
    torch.manual_seed(0)
    config = DacConfig(**(asdict(NARROW) | {"latent": 16}))
    state = Dac(config).state_dict()
    torch.save({"state_dict": state, "metadata": {"kwargs": KWARGS | changes}}, path)
    return path


def write_card(path: Path, *lines: str) -> Path:
    """A card of that network, with these lines on where its weights are."""
    path.parent.mkdir(exist_ok=True)
    config = asdict(NARROW) | {"latent": 16, "rates": list(NARROW.rates)}
    top = [line for line in lines if not line.startswith("[")]
    text = [
        'name = "narrow"', 'family = "dac"', 'title = "Narrow"', "sample_rate = 8000",
        "channels = 1", "hop = 8", "codebooks = 3", "codebook_size = 1024",
        "default_codebooks = 3", 'chunk_strategy = "context"', "chunk_frames = 1000",
        "chunk_stride = 8000", "chunk_context = 512", "chunk_code_context = 64",
        'level = "none"', "parameters = 1", 'license_code = "MIT"',
        'license_weights = "CC BY 4.0"', *top, "[config]",
        *(f"{key} = {value}" for key, value in config.items()),
        *(line for line in lines if line.startswith("[")),
    ]  # fmt: skip
    path.write_text("\n".join(text))
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server({"/narrow.pth": dac_file(tmp_path / "there" / "narrow.pth").read_bytes()}) as site:
        yield site


@pytest.fixture
def card(server: Server, tmp_path: Path) -> Path:
    """A card beside which there are no weights: they are on a server."""
    source = f'[[sources]]\nurl = "{server.url}/narrow.pth"'
    return write_card(tmp_path / "mine" / "narrow.toml", source)


def test_encode_fetches_what_is_missing_and_says_so(
    run: Run, clip: MakeClip, card: Path, server: Server
) -> None:
    path = clip(rate=8000)
    ran = run("encode", "-m", card, path)
    assert ran.code == 0
    first, second = ran.err.splitlines()
    assert first == (
        f"narrow is not here yet: fetching {server.url}/narrow.pth (weights: CC BY 4.0, code: MIT)"
    )
    assert second.startswith(f"{path}: narrow, 3 codebooks, ")
    server.requests.clear()
    ran = run("encode", "-f", "-m", card, path, "--offline")
    assert (ran.code, ran.err.count("\n"), server.requests) == (0, 1, [])
    ran = run("decode", "-m", card, path.with_suffix(".ncf"), "-o", path.with_name("back.wav"))
    assert ran.code == 0
    assert ran.err.startswith(f"{path.with_suffix('.ncf')}: 0:00.300 to ")


def test_quiet_fetches_are_quiet(run: Run, clip: MakeClip, card: Path) -> None:
    ran = run("encode", "-q", "-m", card, clip(rate=8000))
    assert (ran.code, ran.err) == (0, "")


def test_offline_says_what_is_missing_and_how_to_bring_it(
    run: Run, clip: MakeClip, card: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clip(rate=8000)
    said = (
        f"neucodec: narrow is not here, and {{}} forbids to fetch it: bring {server.url}/narrow.pth"
        " by hand, then neucodec models add narrow --from narrow.pth\n"
    )
    assert run("encode", "--offline", "-m", card, path) == (1, b"", said.format("--offline"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run("encode", "-m", card, path) == (1, b"", said.format("HF_HUB_OFFLINE=1"))
    assert server.requests == []


def test_a_corrupt_download_leaves_nothing_behind(
    run: Run, clip: MakeClip, server: Server, tmp_path: Path
) -> None:
    source = f'[[sources]]\nurl = "{server.url}/narrow.pth"\nsha256 = "00000000"'
    path = clip(rate=8000)
    ran = run("encode", "-m", write_card(tmp_path / "pinned.toml", source), path)
    assert ran.code == 1
    assert re.search(r"\nneucodec: http.*, which was removed: .* 00000000… was expected\n", ran.err)
    assert not path.with_suffix(".ncf").exists()
    assert [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()] == ["narrow.pth.lock"]


def test_pull_path_verify_and_remove(run: Run, card: Path, server: Server, tmp_path: Path) -> None:
    assert run("models", "path", card) == (
        1, b"", "neucodec: narrow is not here; neucodec models pull fetches it\n"
    )  # fmt: skip
    assert run("models", "pull", card).code == 0
    where = Path(run("models", "path", card).out.decode().strip())
    assert where.is_relative_to(tmp_path / "cache")
    assert run("models", "pull", card).err == f"narrow is here already: 0.2 MB, {where}\n"
    assert server.fetched == [""]
    sha256 = hashlib.sha256(where.read_bytes()).hexdigest()
    assert run("models", "verify", card).out.decode() == f"narrow: intact, SHA-256 {sha256}\n"
    where.write_bytes(b"spoilt")
    ran = run("models", "verify", "neu2-44khz", card)
    assert ran.code == 1
    assert ran.out.decode().startswith("neu2-44khz: intact, SHA-256 ")
    assert ran.err.startswith(f"neucodec: {where} is damaged or another version: ")
    assert run("models", "rm", card).err == f"narrow: removed {where}\n"
    assert not where.parent.exists()


def test_verify_without_names_checks_what_is_here(run: Run) -> None:
    ran = run("models", "verify")
    assert (ran.code, ran.err) == (0, "")
    names = (
        "neu-16khz", "neu-44khz", "neu2-44khz", "specmini-16khz", "neu-44khz-lm", "neu2-44khz-lm"
    )  # fmt: skip
    lines = "".join(rf"{name}: intact, SHA-256 [0-9a-f]{{64}}\n" for name in names)
    assert re.fullmatch(lines, ran.out.decode())


def test_add_brings_a_file_by_hand(run: Run, card: Path, server: Server, tmp_path: Path) -> None:
    brought = tmp_path / "there" / "narrow.pth"
    ran = run("models", "add", card, "--from", brought)
    assert (ran.code, ran.out) == (0, b"")
    assert re.fullmatch(r"narrow is here now: \S+narrow\.pth\n", ran.err)
    assert run("models", "verify", card).code == 0
    assert server.requests == []


class Trap:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_add_takes_nothing_that_does_not_load(run: Run, card: Path, tmp_path: Path) -> None:
    trap, caught = tmp_path / "trap.pth", tmp_path / "caught"
    torch.save({"state_dict": Trap(caught)}, trap)
    ran = run("models", "add", card, "--from", trap)
    assert ran.code == 1
    assert ran.err.startswith("neucodec: trap.pth is no checkpoint of plain tensors")
    assert run("models", "path", card).code == 1
    assert run("encode", "-m", trap, tmp_path).code == 2
    assert not caught.exists()


def test_what_is_built_in_or_unpublished_is_not_fetched(run: Run) -> None:
    assert run("models", "rm", "neu2-44khz").err == (
        "neucodec: the weights of neu2-44khz are part of the package, which is not removed\n"
    )
    assert run("models", "pull", "spectokenizer-16khz").err == (
        "neucodec: nobody has published weights of spectokenizer-16khz: train some, and give "
        "their path instead\n"
    )


def test_a_published_model_by_name(
    run: Run, clip: MakeClip, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the Hub's protocol to an .ncf and back, with random weights of full size."""
    torch.manual_seed(0)
    save_file(Encodec(ENCODEC_24KHZ).state_dict(), tmp_path / "encodec.safetensors")
    content = (tmp_path / "encodec.safetensors").read_bytes()
    path = clip(rate=24000)
    with Hub({"facebook/encodec_24khz/model.safetensors": content}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        ran = run("models", "pull", "encodec-24khz")
        assert ran.err.splitlines()[0] == (
            "encodec-24khz is not here yet: fetching "
            "https://huggingface.co/facebook/encodec_24khz/resolve/main/model.safetensors "
            "(weights: not stated, code: MIT, arXiv 2210.13438)"
        )
        assert (ran.code, hub.fetched) == (0, [""])
    listed = [json.loads(line) for line in run("models", "list", "--json").out.splitlines()]
    (entry,) = (model for model in listed if model["name"] == "encodec-24khz")
    assert (entry["here"], entry["weights_bytes"]) == (True, len(content))
    assert run("encode", "-m", "encodec-24khz", "-b", "6kbps", path).code == 0
    assert run("decode", path.with_suffix(".ncf"), "-o", tmp_path / "back.wav").code == 0
    assert (tmp_path / "back.wav").stat().st_size == path.stat().st_size


def test_a_directory_with_a_card(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    dac_file(tmp_path / "own" / "weights.pth")
    card = write_card(tmp_path / "own" / "card.toml", 'weights = "weights.pth"')
    assert run("encode", "-m", card.parent, clip(rate=8000)).code == 0
    assert run("models", "path", card.parent).out.decode() == f"{card.parent / 'weights.pth'}\n"


def test_precision_is_for_decoding_and_for_codecs_that_can(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    dac_file(tmp_path / "own" / "weights.pth")
    card = write_card(tmp_path / "own" / "card.toml", 'weights = "weights.pth"')
    path = clip(rate=8000)
    assert run("encode", "-m", card.parent, path).code == 0
    decoded = {}
    for precision in ("float32", "bfloat16", "auto"):
        back = tmp_path / f"{precision}.raw"
        ran = run(
            "decode", "-m", card.parent, "--precision", precision, "--subtype", "FLOAT",
            path.with_suffix(".ncf"), "-o", back,
        )  # fmt: skip
        assert ran.code == 0, ran.err
        decoded[precision] = np.fromfile(back, np.float32)
    noise = decoded["bfloat16"] - decoded["float32"]
    assert 0 < np.square(noise).mean() < 0.01 * np.square(decoded["float32"]).mean()

    assert run("encode", path, "-o", tmp_path / "other.ncf").code == 0
    ran = run("decode", "--precision", "bfloat16", tmp_path / "other.ncf")
    assert ran.code == 1
    assert "neu2-44khz decodes in float32 only; bfloat16 is for dac" in ran.err


def test_a_weights_file_with_a_card_beside_it(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    weights = dac_file(tmp_path / "own" / "tuned.pth")
    write_card(tmp_path / "own" / "tuned.toml")
    assert run("encode", "-m", weights, clip(rate=8000)).code == 0


def test_a_dac_file_says_itself_what_it_is(run: Run, clip: MakeClip, tmp_path: Path) -> None:
    weights, path = dac_file(tmp_path / "my own" / "best (3).pth"), clip(rate=8000)
    ran = run("encode", "-m", weights, path)
    assert ran.code == 0
    assert ": best-3, 3 codebooks, " in ran.err
    ncf, wav = path.with_suffix(".ncf"), path.with_name("back.wav")
    assert run("decode", ncf, "-o", wav).err == (
        f"neucodec: {ncf}: made with best-3, which is no model of this version; if it is a "
        "checkpoint of your own, give its path with -m\n"
    )
    assert run("decode", "-m", weights, ncf, "-o", wav).code == 0


def test_python_takes_paths_too(tmp_path: Path) -> None:
    weights = str(dac_file(tmp_path / "own" / "weights.pth"))
    audio = np.sin(np.arange(4000) / 10)
    data = neucodec.encode(audio, 8000, model=weights)
    decoded, rate = neucodec.decode(data, model=weights)
    assert (decoded.shape, rate) == ((4000, 1), 8000)
    with neucodec.open(io.BytesIO(data), model=weights) as file:
        assert np.array_equal(file.read(), decoded)
    with pytest.raises(NeucodecError, match="made with a codec that this version lacks"):
        neucodec.decode(data)


def test_cards_told_from_dac_files_are_those_of_the_package(tmp_path: Path) -> None:
    """The lengths and contexts of chunks, told from the network, are the published cards'."""
    for name, kwargs in (
        ("dac-44khz", {"encoder_rates": [2, 4, 8, 8], "n_codebooks": 9, "sample_rate": 44100}),
        ("dac-24khz", {"encoder_rates": [2, 4, 5, 8], "n_codebooks": 32, "sample_rate": 24000}),
        ("dac-16khz", {"encoder_rates": [2, 4, 5, 8], "n_codebooks": 12, "sample_rate": 16000}),
    ):
        kwargs |= {"encoder_dim": 64, "decoder_dim": 1536, "latent_dim": None}
        kwargs["decoder_rates"] = kwargs["encoder_rates"][::-1]  # type: ignore[index]
        told, card = resolve(str(dac_file(tmp_path / "w.pth", **kwargs))), find_card(name)
        for key in (
            "sample_rate", "hop", "codebooks", "codebook_size", "chunk_strategy", "chunk_frames",
            "chunk_stride", "chunk_context", "chunk_code_context", "level", "parameters",
        ):  # fmt: skip
            assert getattr(told, key) == getattr(card, key), key


def test_the_card_in_the_documentation_can_be_read() -> None:
    text = (Path(__file__).parent.parent / "docs" / "models.md").read_text(encoding="utf-8")
    block = text.partition("## What a card holds\n")[2].partition("[models/catalogue/card.py]")[0]
    card = Card.parse("\n".join(line.removeprefix("    ") for line in block.splitlines()), "docs")
    assert (card.name, len(card.sources), card.config["codebooks"]) == ("voice-16khz", 2, 12)
    package = find_card("dac-16khz")
    for key in ("hop", "chunk_stride", "chunk_context", "chunk_code_context", "parameters"):
        assert getattr(card, key) == getattr(package, key), key


def transformers_folder(folder: Path, config: dict[str, Any], network: torch.nn.Module) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    save_file(network.state_dict(), folder / "model.safetensors")
    return folder


ENCODEC = {
    "model_type": "encodec", "target_bandwidths": [1.5, 3.0], "sampling_rate": 24000,
    "audio_channels": 1, "normalize": False, "chunk_length_s": None, "overlap": None,
    "hidden_size": 16, "num_filters": 4, "num_residual_layers": 1,
    "upsampling_ratios": [8, 5, 4, 2],
    "norm_type": "weight_norm", "kernel_size": 7, "last_kernel_size": 7,
    "residual_kernel_size": 3, "dilation_growth_rate": 2, "use_causal_conv": True,
    "pad_mode": "reflect", "compress": 2, "num_lstm_layers": 1, "trim_right_ratio": 1.0,
    "codebook_size": 1024, "codebook_dim": 16, "use_conv_shortcut": True,
}  # fmt: skip


@pytest.mark.parametrize("stereo", [False, True])
def test_a_directory_of_transformers(
    run: Run, clip: MakeClip, tmp_path: Path, stereo: bool
) -> None:
    config: dict[str, Any] = dict(ENCODEC)
    network = EncodecConfig(filters=4, latent=16, lstm_layers=1, codebooks=4)
    if stereo:
        config |= {
            "audio_channels": 2, "normalize": True, "chunk_length_s": 1.0, "overlap": 0.01,
            "norm_type": "time_group_norm", "use_causal_conv": False, "sampling_rate": 48000,
            "target_bandwidths": [3.0, 6.0],
        }  # fmt: skip
        network = EncodecConfig(
            channels=2, causal=False, group_norm=True, filters=4, latent=16, lstm_layers=1,
            normalise=True, segment=48000, stride=47520, codebooks=4,
        )  # fmt: skip
    folder = transformers_folder(tmp_path / "tuned", config, Encodec(network))
    path = clip(rate=config["sampling_rate"], channels=config["audio_channels"])
    ran = run("encode", "-m", folder, path)
    assert ran.code == 0, ran.err
    assert ": tuned, 4 codebooks, " in ran.err
    told = asdict(resolve(str(folder)))
    package = asdict(find_card("encodec-48khz" if stereo else "encodec-24khz"))
    for key in (
        "sample_rate", "channels", "hop", "codebook_size", "chunk_strategy", "chunk_frames",
        "chunk_stride", "chunk_context", "chunk_code_context", "chunk_warmup", "level",
    ):  # fmt: skip
        assert told[key] == package[key], key


def test_a_directory_that_transformers_has_written(
    run: Run, clip: MakeClip, tmp_path: Path
) -> None:
    transformers = peer("transformers")
    for name, model in (
        ("dac", transformers.DacModel(transformers.DacConfig(
            encoder_hidden_size=4, decoder_hidden_size=16, downsampling_ratios=[2, 4],
            n_codebooks=2, sampling_rate=8000,
        ))),
        ("encodec", transformers.EncodecModel(transformers.EncodecConfig(
            num_filters=4, hidden_size=16, codebook_dim=16, target_bandwidths=[1.5, 3.0],
        ))),
    ):  # fmt: skip
        model.save_pretrained(tmp_path / name)
        ran = run("encode", "-f", "-m", tmp_path / name, clip(rate=8000))
        assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model_type": "mimi"}, "model_type 'mimi'; encodec, dac can be read"),
        ({"use_conv_shortcut": False}, "use_conv_shortcut False: only True can be run"),
        ({"use_causal_conv": False}, "neither causal nor in segments"),
        ({"num_filters": None}, "no sound configuration"),
    ],
)
def test_transformers_models_that_cannot_be_run(
    run: Run, tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(ENCODEC | change))
    (folder / "model.safetensors").touch()
    ran = run("encode", "-m", folder, tmp_path)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert complaint in ran.err


def test_paths_that_are_no_checkpoints(run: Run, tmp_path: Path) -> None:
    bare = tmp_path / "bare.safetensors"
    save_file({"a": torch.zeros(1)}, bare)
    bad = write_card(tmp_path / "bad.toml", 'weights = "../../etc/passwd"')
    for path, complaint in (
        (tmp_path / "absent.pth", f"no model is called '{tmp_path}/absent.pth', and there is no"),
        (tmp_path, f"{tmp_path} holds neither card.toml nor Transformers' config.json"),
        (bare, "does not say what network it is for: put a card beside it, bare.toml"),
        (bad, "weights '../../etc/passwd' is to be a file beside the card"),
    ):
        ran = run("encode", "-m", path, tmp_path)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert complaint in ran.err


@pytest.mark.skipif(os.name != "posix", reason="terminals of Unix")
@pytest.mark.parametrize("hub", [False, True])
def test_progress_of_downloads_is_for_terminals(
    card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: bool
) -> None:
    import fcntl
    import pty
    import struct
    import termios

    content = (tmp_path / "there" / "narrow.pth").read_bytes()
    with Hub({"my/own/narrow.pth": content}) as site:
        monkeypatch.setenv("HF_ENDPOINT", site.url)
        monkeypatch.delenv("HF_HUB_DISABLE_PROGRESS_BARS", raising=False)
        if hub:
            source = '[[sources]]\nrepository = "my/own"\nfile = "narrow.pth"'
            card = write_card(card, source)
        ours, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
        command = [sys.executable, "-m", "neucodec", "models", "pull", str(card)]
        with subprocess.Popen(command, stderr=terminal) as pull:
            os.close(terminal)
            shown = b""
            with suppress(OSError):  # the end, on Linux
                while data := os.read(ours, 4096):
                    shown += data
            assert pull.wait(PATIENCE) == 0
        os.close(ours)
    assert re.search(rb"narrow\.pth: +0%.*\| 0\.00/\d\d\dk", shown)
    assert re.search(rb"narrow fetched and checked: 0\.\d MB, \S+\r\n$", shown)


@pytest.mark.parametrize("command", ["list", "path", "verify"])
def test_looking_after_models_loads_nothing_heavy(command: str) -> None:
    names = [] if command == "list" else ["neu2-44khz"]
    script = (
        "import sys; from neucodec.__main__ import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'huggingface_hub', 'tqdm', 'urllib.request'};"
        "print(heavy & set(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    words = [sys.executable, "-c", script, "models", command, *names]
    ran = subprocess.run(words, capture_output=True)
    assert (ran.returncode, ran.stderr.decode()) == (0, "set()\n")


def test_entropy_models_are_brought_checked_and_removed_like_others(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, file = "encodec-24khz-lm", tmp_path / "encodec_lm_24khz-1608e3c0.th"
    ran = run("models", "path", name)
    assert ran.code == 1 and f"{name} is not here" in ran.err
    ran = run("models", "check", name)
    assert ran.code == 1 and f"{name} is not here" in ran.err
    ran = run("models", "check", "dac-44khz")
    assert ran.code == 1 and "dac-44khz has no entropy model" in ran.err
    file.write_bytes(b"something else")
    ran = run("models", "add", name, "--from", file)
    assert ran.code == 1 and "1608e3c0… was expected" in ran.err
