"""Cards for users' own EnCodec checkpoints, from Transformers' configuration beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from neucodec.models.bounds import checked, said, whole_number, whole_numbers
from neucodec.models.catalogue.card import Card
from neucodec.models.errors import ModelError
from neucodec.models.families.family import MAX_SAMPLE_RATE, OWN_LICENCE
from neucodec.models.parts.sketch import parameter_count, sketch

from .network import Encodec, EncodecConfig

_WARMUP = 3
"""Seconds, and so chunks, after which an EnCodec stream has forgotten how it began."""
_FIXED = {
    "compress": 2,
    "num_residual_layers": 1,
    "kernel_size": 7,
    "last_kernel_size": 7,
    "residual_kernel_size": 3,
    "pad_mode": "reflect",
    "trim_right_ratio": 1.0,
    "use_conv_shortcut": True,
}
"""Settings of Transformers' ``EncodecConfig`` that `Encodec` has with these values alone."""


def card_of_transformers(config: Mapping[str, Any], name: str) -> Card:
    """Make a card called ``name`` from the configuration of Transformers' ``EncodecModel``.

    Raises ModelError or KeyError where it is not one that can be run.
    """
    for key, value in _FIXED.items():
        if config.get(key, value) != value:
            raise ModelError(f"{key} {said(config[key])}: only {value!r} can be run")
    rate = whole_number("sampling_rate", config["sampling_rate"], most=MAX_SAMPLE_RATE)
    network = _config(config, rate)
    hop, segment, stride = network.hop, network.segment, network.stride
    if segment and stride and not stride <= segment:
        raise ModelError(f"segments of {segment} samples, {stride} apart")
    frames = rate // hop
    return Card(
        name=name,
        family="encodec",
        title=f"EnCodec of one's own, {rate} Hz",
        sample_rate=rate,
        channels=network.channels,
        hop=hop,
        codebooks=network.codebooks,
        codebook_size=network.codebook_size,
        default_codebooks=network.codebooks,
        chunk_strategy="segments" if segment else "stream",
        chunk_frames=-(-segment // hop) if segment else frames,
        chunk_stride=stride or frames * hop,
        chunk_warmup=0 if segment else _WARMUP,
        level="codec" if config["normalize"] else "none",
        parameters=parameter_count(sketch(lambda: Encodec(network))),
        license_code="MIT",
        license_weights=OWN_LICENCE,
        config={key: value for key, value in asdict(network).items() if value is not None},
    )


def _config(config: Mapping[str, Any], rate: int) -> EncodecConfig:
    """Translate Transformers' names of arguments, at a sample rate in Hz."""
    ratios = whole_numbers("upsampling_ratios", config["upsampling_ratios"])
    size = whole_number("codebook_size", config["codebook_size"], 2)
    bits = math.ceil(rate / math.prod(ratios)) * math.log2(size)
    codebooks = int(1000 * max(config["target_bandwidths"]) // bits)
    segment, stride = _segments(config, rate)
    return checked(
        EncodecConfig,
        {
            "channels": config["audio_channels"],
            "causal": config["use_causal_conv"],
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


def _segments(config: Mapping[str, Any], rate: int) -> tuple[int | None, int | None]:
    """Return length and stride of segments in samples; None each where a stream is coded."""
    causal = config["use_causal_conv"]
    if config.get("chunk_length_s"):
        segment = int(config["chunk_length_s"] * rate)
        return segment, max(1, int((1 - (config.get("overlap") or 0)) * segment))
    if not causal:
        raise ModelError("neither causal nor in segments: it can only code whole files at once")
    if config["normalize"]:
        raise ModelError("normalises whole files: it can only code them at once")
    return None, None
