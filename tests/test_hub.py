"""Models in folders and on the Hub, which here is a server on this machine."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PATIENCE
from servers import COMMIT, Hub, Server
from small_codecs import codec

import neucodec
from neucodec import Model, NeucodecError

SMALL = "specmini-16khz"


@pytest.mark.parametrize("name", [SMALL, "encodec-24khz", "encodec-48khz", "dac-44khz"])
def test_a_model_is_the_same_from_the_folder_it_was_saved_to(name: str, tmp_path: Path) -> None:
    model = Model(codec(name))
    model.save_pretrained(tmp_path / "m")
    again = Model.from_pretrained(tmp_path / "m", device="cpu")
    assert again.codec.fingerprint == model.codec.fingerprint
    audio = torch.linspace(-0.1, 0.1, 9000).expand(model.card.channels, -1)
    assert torch.equal(again.encode(audio).codes, model.encode(audio).codes)
    files = {path.name for path in (tmp_path / "m").iterdir()}
    assert {"card.toml", "config.json", "README.md"} < files and len(files) == 4
    readme = (tmp_path / "m/README.md").read_text()
    assert "library_name: neucodec" in readme and f"| {model.sample_rate} Hz |" in readme
    config = json.loads((tmp_path / "m/config.json").read_text())
    assert config["hop"] == model.card.hop


def test_what_is_no_model_is_said_in_one_line(tmp_path: Path) -> None:
    for model, said in (
        (tmp_path, "holds neither card.toml nor"),
        ("no such/thing", "no folder that is there, and no repository"),
    ):
        with pytest.raises(NeucodecError, match=said) as caught:
            Model.from_pretrained(model)
        assert "\n" not in str(caught.value)
    assert Model.from_pretrained(SMALL).name == SMALL


def python(script: str, hub: Server | str, folder: Path) -> str:
    """Run a script that asks that hub; its library reads the environment when it is imported."""
    address = hub if isinstance(hub, str) else hub.url
    home = {"HF_ENDPOINT": address, "HF_HOME": str(folder / "home"), "HF_TOKEN": "hf_none"}
    done = subprocess.run(
        [sys.executable, "-c", f"import neucodec\nfrom neucodec import Model\n{script}"],
        env={**os.environ, **home, "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_is_loaded_from_a_repository(tmp_path: Path) -> None:
    neucodec.load_model(SMALL).save_pretrained(tmp_path / "m")
    files = {f"you/mine/{path.name}": path.read_bytes() for path in (tmp_path / "m").iterdir()}
    script = f"""
model = Model.from_pretrained("you/mine")
assert model.codec.fingerprint == neucodec.load_model("{SMALL}").codec.fingerprint
print(model.name)
for wrong in ("you/other", "you/bare"):
    try:
        Model.from_pretrained(wrong)
    except neucodec.NeucodecError as error:
        print("refused", len(str(error).splitlines()))
"""
    files["you/bare/README.md"] = b"nothing here"
    with Hub(files) as hub:
        printed = python(script, hub, tmp_path)
    assert printed.split() == [SMALL, "refused", "1", "refused", "1"]


class Accepting(BaseHTTPRequestHandler):
    """Takes commits to repositories as the Hub does, all files as they are."""

    files: dict[str, bytes]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({"id": "you/mine", "sha": COMMIT, "siblings": []})

    def do_POST(self) -> None:
        here = f"http://{self.headers['Host']}"
        sent = self._body()
        if self.path == "/api/repos/create":
            self._answer({"url": f"{here}/you/mine", "name": "you/mine", "id": "1"})
        elif "/preupload/" in self.path:
            asked = [each["path"] for each in json.loads(sent)["files"]]
            known = {"uploadMode": "regular", "shouldIgnore": False}
            self._answer({"files": [{"path": path, **known} for path in asked]})
        elif "/commit/" in self.path:
            for line in map(json.loads, sent.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.files[value["path"]] = base64.b64decode(value["content"])
            link = f"{here}/you/mine/commit/{COMMIT}"
            self._answer({"commitUrl": link, "commitOid": COMMIT, "success": True})
        else:
            self._answer({})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def test_a_model_that_was_pushed_can_be_loaded_from_what_arrived(tmp_path: Path) -> None:
    handler = type("Handler", (Accepting,), {"files": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        script = f'print(neucodec.load_model("{SMALL}").push_to_hub("you/mine"))'
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert python(script, url, tmp_path).strip() == f"{url}/you/mine/commit/{COMMIT}"
    finally:
        server.shutdown()
        server.server_close()
    arrived = handler.files
    assert set(arrived) == {"README.md", "card.toml", "config.json", f"{SMALL}.safetensors"}
    with Hub({f"you/mine/{name}": data for name, data in arrived.items()}) as hub:
        printed = python('print(Model.from_pretrained("you/mine"))', hub, tmp_path)
    assert printed.startswith("<Model 'specmini-16khz'")
