"""The embedded entropy model: the same frequencies and the same bytes everywhere and for ever."""

import hashlib
import io

import numpy as np

import neucodec
from neucodec.entropy import Learned
from neucodec.formats import encode_intervals
from neucodec.models.card import find_card
from neucodec.models.lm.frequencies import digest
from neucodec.models.lm.registry import entropy_model_for

CODES = (np.arange(16 * 86).reshape(1, 16, 86) * 7919 % 1024).astype(np.int64)


def model() -> Learned:
    found = entropy_model_for(find_card("neu-44khz"))
    assert found is not None
    return Learned(found)


def test_its_frequencies_are_the_same_on_every_machine() -> None:
    found = entropy_model_for(find_card("neu-44khz"))
    assert found is not None
    assert found.fingerprint.hex() == "b1c746746409d25d"
    assert digest(found) == "5f78b3927ffeeb91a3b6cee660b51e8ed0ab7f7d7c94d0de9dd998dc0d381f6d"


def test_a_chunk_of_these_codes_has_this_payload() -> None:
    left, width = (part.transpose(2, 1, 0).reshape(-1) for part in model().intervals(CODES))
    payload = encode_intervals(left, width)
    assert hashlib.sha256(payload).hexdigest() == (
        "feeec6a37be5435ba3bf1a77e566f1f018961c9b209690089f47509a959e6131"
    )


def test_real_sound_is_coded_smaller_and_its_codes_come_back() -> None:
    time = np.arange(3 * 44100) / 44100
    swell = np.sin(2 * np.pi * 220 * time) * (0.3 + 0.2 * np.sin(5 * time))
    noise = np.random.default_rng(0).standard_normal(len(time))
    audio = 0.2 * swell + 0.01 * noise
    sizes = {}
    codes = {}
    for entropy in ("none", "lm"):
        data = neucodec.encode(audio, 44100, codebooks=5, entropy=entropy)
        sizes[entropy] = len(data)
        with neucodec.open(io.BytesIO(data)) as file:
            codes[entropy] = [file.codes(k) for k in range(3)]
    assert sizes["lm"] < 0.9 * sizes["none"]
    for plain, coded in zip(codes["none"], codes["lm"], strict=True):
        np.testing.assert_array_equal(plain, coded)
