"""Checkpoints of one's own: the card of a file or a directory that someone else has filled.

Either there is a card, or what it would say can be told from the checkpoint: Transformers keeps
a ``config.json`` beside the weights, DAC's training puts the constructor's arguments into the file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from neucodec.models.catalogue.card import Card

from .bounds import OutOfBoundsError, checked, said, short_text, whole_number, whole_numbers
from .errors import ModelError

if TYPE_CHECKING:
    from torch import nn

    from neucodec.models.parts.checkpoint_header import CheckpointHeader

CARD = "card.toml"
CONFIG = "config.json"
TENSORS = ("model.safetensors", "pytorch_model.bin")

N = TypeVar("N", bound="nn.Module")

_HELP = "docs/models.md says what a card holds"
_LICENCE = "your own"


def card_at(path: Path) -> Card:
    """The card of a checkpoint that is a directory, a weights file, or the card's own file.

    Raises ModelError where there is none, or none that says enough.
    """
    if path.is_dir():
        if (path / CARD).is_file():
            return _read(path / CARD)
        if (path / CONFIG).is_file():
            return _from_transformers(path)
        raise ModelError(f"{path} holds neither {CARD} nor Transformers' {CONFIG}; {_HELP}")
    if not path.is_file():
        raise ModelError(f"no model is called {str(path)!r}, and there is no such file")
    if path.suffix == ".toml":
        return _read(path)
    beside = path.with_suffix(".toml")
    if beside.is_file():
        return replace(_read(beside), weights=path.name)
    return _from_file(path)


def _read(path: Path) -> Card:
    try:
        card = Card.parse(short_text(path), str(path))
    except UnicodeDecodeError:
        raise ModelError(f"{path}: not a card: no text") from None
    if Path(card.weights).name != card.weights:
        raise ModelError(f"{path}: weights {card.weights!r} is to be a file beside the card")
    # The package's entropy models are there for codecs of one's own, too.
    entropy = card.entropy and replace(card.entropy, folder=path.parent)
    if entropy and Path(entropy.weights).name != entropy.weights:
        raise ModelError(f"{path}: weights {entropy.weights!r} is to be a file beside the card")
    return replace(card, embedded=False, folder=path.parent, entropy=entropy)


def _from_transformers(folder: Path) -> Card:
    weights = next((name for name in TENSORS if (folder / name).is_file()), None)
    if weights is None:
        raise ModelError(f"{folder} holds none of {', '.join(TENSORS)}")
    source = folder / CONFIG
    try:
        config = json.loads(short_text(source))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{source}: no JSON: {str(error)[:100]}") from None
    families = {"encodec": _encodec, "dac": _dac_of_transformers}
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str) or kind not in families:
        raise ModelError(f"{source}: model_type {said(kind)}; {', '.join(families)} can be read")
    card = _derived(families[kind], config, _name_of(folder.resolve().name), str(source))
    return replace(card, folder=folder, weights=weights)


def _from_file(path: Path) -> Card:
    from neucodec.models.parts.checkpoint_header import read_header

    header = read_header(path)
    arguments = header.metadata.get("kwargs")
    if not isinstance(arguments, Mapping) or "encoder_rates" not in arguments:
        return _recognised(path, header)
    card = _derived(_dac, arguments, _name_of(path.stem), str(path))
    return replace(card, folder=path.parent, weights=path.name)


def _recognised(path: Path, header: CheckpointHeader) -> Card:
    """The card of a checkpoint that says nothing of itself but by the shapes of its tensors."""
    from neucodec.models.catalogue.digest import sha256_of
    from neucodec.models.families.recognition import recognise

    found = recognise(header)
    if len(found) != 1:
        names = " or ".join(card.name for card in found)
        raise ModelError(
            f"{path} does not say what network it is for: put a card beside it, "
            f"{path.with_suffix('.toml').name}{f', as of {names}' if found else ''}; {_HELP}"
        )
    card, sha256 = replace(found[0], folder=path.parent, weights=path.name), sha256_of(path)
    if any(source.sha256 and sha256.startswith(source.sha256) for source in card.sources):
        return card  # the published file itself
    return replace(
        card, name=_name_of(path.stem), title=f"As {card.name}, of one's own", sources=(),
        sha256="", same_codes=(), entropy=None, license_weights=_LICENCE,
    )  # fmt: skip


def _derived(
    family: Callable[[Mapping[str, Any], str], Card],
    config: Mapping[str, Any],
    name: str,
    source: str,
) -> Card:
    try:
        return family(config, name).check()
    except OutOfBoundsError as error:
        raise ModelError(f"{source}: no sound configuration: {error}") from None
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from None
    except KeyError as error:
        raise ModelError(f"{source}: no sound configuration: {error} is missing") from None
    except Exception as error:  # of whatever kind: the numbers are anyone's
        reason = " ".join(str(error).split())[:100]
        raise ModelError(f"{source}: no sound configuration: {reason}") from None


def _name_of(text: str) -> str:
    """A file's name, as far as an .ncf can name a codec by it."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("._+-")[:64] or "own"


def _dac_of_transformers(config: Mapping[str, Any], name: str) -> Card:
    return _dac(
        {
            "encoder_dim": config["encoder_hidden_size"],
            "encoder_rates": config["downsampling_ratios"],
            "latent_dim": config["hidden_size"],
            "decoder_dim": config["decoder_hidden_size"],
            "decoder_rates": config["upsampling_ratios"],
            **{key: config[key] for key in ("n_codebooks", "codebook_size", "codebook_dim")},
            "sample_rate": config["sampling_rate"],
        },
        name,
    )


def _dac(arguments: Mapping[str, Any], name: str) -> Card:
    """From the arguments that ``dac.DAC`` takes."""
    from neucodec.models.families.dac.network import Dac, DacConfig
    from neucodec.models.families.dac.windows import trim_of
    from neucodec.models.parts.receptive_field import convolutions

    rates = whole_numbers("encoder_rates", arguments["encoder_rates"])
    if whole_numbers("decoder_rates", arguments["decoder_rates"]) != rates[::-1]:
        raise ModelError("the decoder's rates are not the encoder's in reverse")
    width = whole_number("encoder_dim", arguments["encoder_dim"])
    config = checked(
        DacConfig,
        {
            "encoder_width": width,
            "decoder_width": arguments["decoder_dim"],
            "rates": rates,
            "latent": arguments.get("latent_dim") or width * 2 ** len(rates),
            "codebooks": arguments["n_codebooks"],
            "codebook_size": arguments["codebook_size"],
            "codebook_dim": arguments["codebook_dim"],
        },
    )
    network = _sketch(lambda: Dac(config))
    hop, rate = config.hop, whole_number("sample_rate", arguments["sample_rate"], most=_HIGHEST)
    frames = max(1, rate // hop)
    return Card(
        name=name,
        family="dac",
        title=f"DAC of one's own, {rate} Hz",
        sample_rate=rate,
        channels=1,
        hop=hop,
        codebooks=config.codebooks,
        codebook_size=config.codebook_size,
        default_codebooks=config.codebooks,
        chunk_strategy="context",
        chunk_frames=frames,
        chunk_stride=frames * hop,
        chunk_context=-(-network.encoder_reach // hop) * hop,
        chunk_code_context=network.decoder_reach,
        chunk_trim=trim_of(convolutions(network.decoder)),
        level="none",
        parameters=_count(network),
        license_code="MIT",
        license_weights=_LICENCE,
        config=asdict(config),
    )


_HIGHEST = 1 << 20
"""Hz of a sample rate."""
_WARMUP = 3
"""Seconds after which an EnCodec stream has forgotten how it began."""
_ENCODEC_FIXED = {
    "compress": 2,
    "num_residual_layers": 1,
    "kernel_size": 7,
    "last_kernel_size": 7,
    "residual_kernel_size": 3,
    "pad_mode": "reflect",
    "trim_right_ratio": 1.0,
    "use_conv_shortcut": True,
}


def _encodec(config: Mapping[str, Any], name: str) -> Card:
    """From the configuration of Transformers' ``EncodecModel``."""
    from neucodec.models.families.encodec.network import Encodec, EncodecConfig

    for key, value in _ENCODEC_FIXED.items():
        if config.get(key, value) != value:
            raise ModelError(f"{key} {said(config[key])}: only {value!r} can be run")
    rate = whole_number("sampling_rate", config["sampling_rate"], most=_HIGHEST)
    ratios = whole_numbers("upsampling_ratios", config["upsampling_ratios"])
    hop = math.prod(ratios)
    size = whole_number("codebook_size", config["codebook_size"], 2)
    bits = math.ceil(rate / hop) * math.log2(size)
    codebooks = int(1000 * max(config["target_bandwidths"]) // bits)
    causal = config["use_causal_conv"]
    segment = stride = None
    if config.get("chunk_length_s"):
        segment = int(config["chunk_length_s"] * rate)
        stride = max(1, int((1 - (config.get("overlap") or 0)) * segment))
    elif not causal:
        raise ModelError("neither causal nor in segments: it can only code whole files at once")
    elif config["normalize"]:
        raise ModelError("normalises whole files: it can only code them at once")
    network_config = checked(
        EncodecConfig,
        {
            "channels": config["audio_channels"],
            "causal": causal,
            "group_norm": config["norm_type"] == "time_group_norm",
            "filters": config["num_filters"],
            "latent": config["hidden_size"],
            "ratios": ratios,
            "lstm_layers": config["num_lstm_layers"],
            "normalise": config["normalize"],
            "segment": segment,
            "stride": stride,
            "codebooks": codebooks,
            "codebook_size": size,
        },
    )
    if segment and stride and not stride <= segment:
        raise ModelError(f"segments of {segment} samples, {stride} apart")
    frames = rate // hop
    return Card(
        name=name,
        family="encodec",
        title=f"EnCodec of one's own, {rate} Hz",
        sample_rate=rate,
        channels=network_config.channels,
        hop=hop,
        codebooks=codebooks,
        codebook_size=size,
        default_codebooks=codebooks,
        chunk_strategy="segments" if segment else "stream",
        chunk_frames=-(-segment // hop) if segment else frames,
        chunk_stride=stride or frames * hop,
        chunk_warmup=0 if segment else _WARMUP,
        level="codec" if config["normalize"] else "none",
        parameters=_count(_sketch(lambda: Encodec(network_config))),
        license_code="MIT",
        license_weights=_LICENCE,
        config={key: value for key, value in asdict(network_config).items() if value is not None},
    )


def _sketch(build: Callable[[], N]) -> N:
    """The network without its weights, to be measured."""
    import torch

    with torch.device("meta"):
        return build()


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
