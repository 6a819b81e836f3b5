"""Hostile checkpoints: tensors over nothing, headers that lie, arguments out of bounds."""

from __future__ import annotations

import io
import json
import random
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_mutations import INTEGERS, bytes_at_random, toml
from fuzz_pickles import grown, shared
from safetensors.torch import save

from neucodec.api import ArraySource
from neucodec.coding.decoder import Decoder
from neucodec.coding.encoder import encode as encode_source
from neucodec.coding.options import DecodeOptions, EncodeOptions
from neucodec.formats import NcfReader
from neucodec.models.errors import ModelError
from neucodec.models.families.dac.network import Dac, DacConfig
from neucodec.models.families.encodec.network import Encodec, EncodecConfig
from neucodec.models.families.neu.network import Neu, NeuConfig
from neucodec.models.load import load_codec
from neucodec.models.local_checkpoint import card_at
from neucodec.training.codecs import system_of
from neucodec.training.recipe import Recipe

KWARGS = {
    "encoder_dim": 2, "encoder_rates": [2, 4], "latent_dim": 8, "decoder_dim": 8,
    "decoder_rates": [4, 2], "n_codebooks": 2, "codebook_size": 16, "codebook_dim": 4,
    "sample_rate": 8000,
}  # fmt: skip
CONFIG = {
    "model_type": "encodec", "sampling_rate": 8000, "audio_channels": 1,
    "upsampling_ratios": [4, 2], "num_filters": 2, "hidden_size": 4, "num_lstm_layers": 1,
    "codebook_size": 16,
    "target_bandwidths": [8.0], "use_causal_conv": True, "normalize": False,
    "norm_type": "weight_norm", "chunk_length_s": None, "overlap": None,
}  # fmt: skip
CARD = """
name = "small"
family = "neu"
title = "Small"
sample_rate = 8000
channels = 1
hop = 16
codebooks = 2
codebook_size = 16
default_codebooks = 2
chunk_frames = 86
chunk_stride = 1344
chunk_context = 24
parameters = 1
license_code = "MIT"
license_weights = "MIT"
weights = "small.safetensors"

[config]
window = 64
hop = 16
phase_bins = 4
encoder_width = 4
encoder_blocks = 1
decoder_width = 4
decoder_blocks = 1
latent = 4
codebooks = 2
codebook_size = 16
codebook_dim = 2
fade_frames = 2
"""
RECIPE = (
    'corpus = ["."]\nsystem = "%s"\nbatch = 2\nseconds = 1.0\nbetas = [0.8, 0.9]\n[model]\n%s\n'
)
_ODD: tuple[Any, ...] = (
    None, True, "", "8", 0.5, float("inf"), [], [0], [2] * 9, [[2]], {}, -1, *INTEGERS, 10**400,
    "é",
)  # fmt: skip


def _spoilt(values: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """With other values, a key less, or one more."""
    values = dict(values)
    for _ in range(rng.choice((0, 1, 1, 2))):
        key = rng.choice((*values, "x"))
        if rng.random() < 0.1:
            values.pop(key, None)
        elif isinstance(values.get(key), list) and rng.random() < 0.5:
            values[key] = [rng.choice(_ODD) for _ in values[key]]
        else:
            values[key] = rng.choice(_ODD)
    return values


def _tensors(state: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Some of the tensors of another shape, kind or place, or none at all."""
    state = dict(state)
    for _ in range(rng.choice((0, 0, 1, 3))):
        key = rng.choice(list(state))
        tensor = state[key]
        if not isinstance(tensor, torch.Tensor) or tensor.numel() > 10**7:
            continue  # what is to be of another kind has to fit into memory here
        state[key] = rng.choice((
            lambda t: t.new_zeros(1).expand(rng.choice((10**9, 3 * 10**10))),
            lambda t: t.new_zeros(1, 1).expand(10**5, 10**5),
            lambda t: t.long(), lambda t: t.half(), lambda t: t.bool(), lambda t: t.double(),
            lambda t: t.reshape(-1), lambda t: t[None], lambda t: t.new_zeros(0, 10**9),
            lambda t: t * float("nan"), lambda t: t.t() if t.dim() == 2 else t,
            lambda t: {"a": t, "b": {"c": t}}, lambda t: [t], lambda t: "text",
            lambda t: t.to(torch.complex64), lambda t: t.to(torch.float8_e5m2),
            lambda t: t.to_sparse(),
        ))(tensor)  # fmt: skip
        if rng.random() < 0.3:
            state[rng.choice((f"{key}_g", f"{key}.weight_v", "x", ""))] = state.pop(key)
    return state


def _rezipped(data: bytes, rng: random.Random) -> bytes:
    """A PyTorch file with another pickle, or other records."""
    target = io.BytesIO()
    kind = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(target, "w", kind) as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("data.pkl"):
                content = rng.choice((
                    lambda c: c,
                    lambda c: b"\x80\x02" + rng.choice((shared, grown))(rng) + b".",
                    lambda c: b"\x80\x02}" + shared(rng) + b"K\x01s.",
                    lambda c: c[:-2] + b"X\x01\x00\x00\x00a" + shared(rng, 1000) + c[-2:],
                    lambda c: bytes_at_random(c, rng),
                    lambda c: c.replace(b"K\x02", b"J\xff\xff\xff\x7f", rng.randint(1, 3)),
                    lambda c: c.replace(b"FloatStorage", b"DoubleStorage"),
                ))(content)  # fmt: skip
            elif rng.random() < 0.05:
                content = rng.choice((b"", content * 2, bytes(10**6)))
            new.writestr(name if rng.random() < 0.99 else "x", content)
    return target.getvalue()


def _reheaded(data: bytes, rng: random.Random) -> bytes:
    """Safetensors with other shapes, kinds and places in the header."""
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    for _ in range(rng.choice((1, 2))):
        entry = header[rng.choice(list(header))]
        key = rng.choice(("shape", "dtype", "data_offsets"))
        if key == "dtype":
            entry[key] = rng.choice(("F64", "F16", "I64", "BOOL", "F8_E4M3", "X", 1, None))
        else:
            entry[key] = rng.choice(
                ([0], [], [1 << 62, 4], [2**64], [-1], None, [4, 0], [10**9] * 3)
            )
    text = json.dumps(header).encode()
    length = len(text) if rng.random() < 0.9 else rng.choice(INTEGERS) % 2**64
    return struct.pack("<Q", length) + text + data[8 + size :]


def _networks() -> dict[str, dict[str, Any]]:
    """Tensors of the smallest networks that there can be."""
    dac = DacConfig(
        encoder_width=2, decoder_width=8, rates=(2, 4), latent=8, codebooks=2, codebook_size=16,
        codebook_dim=4,
    )  # fmt: skip
    encodec = EncodecConfig(
        filters=2, latent=4, ratios=(4, 2), lstm_layers=1, codebooks=2, codebook_size=16
    )
    neu = NeuConfig(
        window=64, hop=16, phase_bins=4, encoder_width=4, encoder_blocks=1, decoder_width=4,
        decoder_blocks=1, latent=4, codebooks=2, codebook_size=16, codebook_dim=2, fade_frames=2,
    )  # fmt: skip
    networks = {"dac": Dac(dac), "encodec": Encodec(encodec), "neu": Neu(neu)}
    return {name: dict(network.state_dict()) for name, network in networks.items()}


def _recipe(rng: random.Random) -> bytes:
    system = rng.choice(("neu", "dac", "encodec", "hificodec", "spectokenizer"))
    model = _spoilt(dict.fromkeys(("hop", "rates", "codebooks"), 8), rng)
    lines = "\n".join(f"{k} = {json.dumps(v)}" for k, v in model.items() if v is not None)
    return toml([RECIPE % (system, lines)], rng).encode(errors="surrogatepass")


def _weights(kind: str, state: dict[str, Any], rng: random.Random) -> bytes:
    """A file with these tensors, or what is left of it."""
    plain = all(
        isinstance(each, torch.Tensor) and each.layout == torch.strided and each.numel() < 10**6
        for each in state.values()
    )
    if plain and kind in ("encodec", "neu"):
        data = save({name: tensor.contiguous() for name, tensor in state.items()})
        data = _reheaded(data, rng) if rng.random() < 0.4 else data
    else:
        content: Any = state
        if kind == "dac":
            content = {"state_dict": state, "metadata": {"kwargs": _spoilt(KWARGS, rng)}}
        target = io.BytesIO()
        torch.save(content, target, _use_new_zipfile_serialization=rng.random() < 0.8)
        data = target.getvalue()
        data = _rezipped(data, rng) if data.startswith(b"PK") and rng.random() < 0.5 else data
    return bytes_at_random(data, rng) if rng.random() < 0.2 else data


def cases() -> Callable[[random.Random], tuple[bytes, Callable[[], str]]]:
    """Weights with what describes them, to a network; and where there is one, through it."""
    torch.set_num_threads(1)
    folder, states = Path(tempfile.mkdtemp()), _networks()
    noise = np.random.default_rng(0).normal(0, 0.1, 600)

    def write(rng: random.Random) -> tuple[bytes, Path]:
        for path in folder.rglob("*"):
            path.unlink()
        kind = rng.choice(("dac", "dac", "encodec", "neu", "recipe", "raw"))
        name = {
            "dac": "w.pth", "raw": "w", "encodec": "model.safetensors",
            "neu": "small.safetensors", "recipe": "r.recipe",
        }[kind]  # fmt: skip
        if kind == "recipe":
            data = _recipe(rng)
        else:
            data = _weights(kind, _tensors(states["dac" if kind == "raw" else kind], rng), rng)
        (folder / name).write_bytes(data)
        if kind == "encodec":
            (folder / "config.json").write_text(json.dumps(_spoilt(CONFIG, rng)))
            return data, folder
        if kind == "neu":
            text = toml([CARD], rng) if rng.random() < 0.7 else CARD
            (folder / "small.toml").write_text(text, errors="surrogatepass")
        return data, folder / name

    def case(rng: random.Random) -> tuple[bytes, Callable[[], str]]:
        data, path = write(rng)

        def run() -> str:
            if path.suffix == ".recipe":
                system_of(Recipe.read(path))
                return "a system"
            card = card_at(path)
            if card.folder is None:
                raise ModelError("no card of one's own")
            codec, target = load_codec(card, "cpu"), io.BytesIO()
            options = EncodeOptions(entropy="none", threads=1)
            encode_source(ArraySource(noise, 8000), target, codec, options)
            target.seek(0)
            decoder = Decoder(NcfReader(target), codec, DecodeOptions(threads=1))
            assert sum(len(block) for block in decoder.blocks()) == len(noise), "another length"
            return "a codec"

        return data, run

    return case
