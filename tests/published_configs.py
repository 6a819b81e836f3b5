"""Configurations of the published networks, read from the package's cards."""

from __future__ import annotations

from neucodec.models.catalogue.card import find_card
from neucodec.models.families.dac.network import DacConfig
from neucodec.models.families.encodec.network import EncodecConfig
from neucodec.models.families.family import configured
from neucodec.models.families.hificodec.network import HifiCodecConfig
from neucodec.models.families.spectokenizer.network import SpecTokenizerConfig

DAC_44KHZ = configured(find_card("dac-44khz"), DacConfig)
DAC_44KHZ_16KBPS = configured(find_card("dac-44khz-16kbps"), DacConfig)
DAC_24KHZ = configured(find_card("dac-24khz"), DacConfig)
DAC_16KHZ = configured(find_card("dac-16khz"), DacConfig)
ENCODEC_24KHZ = configured(find_card("encodec-24khz"), EncodecConfig)
ENCODEC_48KHZ = configured(find_card("encodec-48khz"), EncodecConfig)
HIFICODEC_24KHZ_320D = configured(find_card("hificodec-24khz-320d"), HifiCodecConfig)
HIFICODEC_24KHZ_240D = configured(find_card("hificodec-24khz-240d"), HifiCodecConfig)
HIFICODEC_16KHZ_320D = configured(find_card("hificodec-16khz-320d"), HifiCodecConfig)
SPECTOKENIZER_MINI = configured(find_card("spectokenizer-16khz-mini"), SpecTokenizerConfig)
SPECTOKENIZER_BASE = configured(find_card("spectokenizer-16khz"), SpecTokenizerConfig)
