"""Cards for users' own DAC checkpoints, which say themselves what network they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from neucodec.models.bounds import checked, whole_number, whole_numbers
from neucodec.models.catalogue.card import Card
from neucodec.models.errors import ModelError
from neucodec.models.families.family import MAX_SAMPLE_RATE, OWN_LICENCE
from neucodec.models.parts.receptive_field import convolutions
from neucodec.models.parts.sketch import parameter_count, sketch

from .network import Dac, DacConfig
from .windows import trim_of


def card_of_transformers(config: Mapping[str, Any], name: str) -> Card:
    """Make a card called ``name`` from the configuration of Transformers' ``DacModel``.

    Raises ModelError or KeyError where it is not one that can be run.
    """
    return card_of_arguments(
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


def card_of_arguments(arguments: Mapping[str, Any], name: str) -> Card:
    """Make a card called ``name`` from the arguments that the constructor ``dac.DAC`` takes.

    Raises ModelError or KeyError where they are not those of a network that can be run.
    """
    config = _config(arguments)
    network = sketch(lambda: Dac(config))
    hop = config.hop
    rate = whole_number("sample_rate", arguments["sample_rate"], most=MAX_SAMPLE_RATE)
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
        parameters=parameter_count(network),
        license_code="MIT",
        license_weights=OWN_LICENCE,
        config=asdict(config),
    )


def _config(arguments: Mapping[str, Any]) -> DacConfig:
    rates = whole_numbers("encoder_rates", arguments["encoder_rates"])
    if whole_numbers("decoder_rates", arguments["decoder_rates"]) != rates[::-1]:
        raise ModelError("the decoder's rates are not the encoder's in reverse")
    width = whole_number("encoder_dim", arguments["encoder_dim"])
    return checked(
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
