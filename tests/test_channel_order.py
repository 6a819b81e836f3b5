"""Channels come out for the speakers that they were for, whatever container they came in."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_bytes import Pipe, chunk, extensible, heard, pcm16, read, tones, written
from conftest import Run

from neucodec.audio.input import open_audio
from neucodec.audio.samples import Audio
from neucodec.audio.speakers import Layout, core_audio_layout
from neucodec.formats import NcfReader

# The orders of the Vorbis I specification, section 4.3.9, and of RFC 7845 for Opus.
XIPH = {
    1: "FC",
    2: "FL FR",
    3: "FL FC FR",
    4: "FL FR BL BR",
    5: "FL FC FR BL BR",
    6: "FL FC FR BL BR LFE",
    7: "FL FC FR SL SR BC LFE",
    8: "FL FC FR SL SR BL BR LFE",
}
WAV = "FL FR FC LFE BL BR FLC FRC BC SL SR"  # the bits of a channel mask, lowest first


@pytest.mark.parametrize("codec", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("channels", XIPH)
def test_vorbis_and_opus_come_in_the_order_of_wav(codec: str, channels: int) -> None:
    names = XIPH[channels].split()
    lfe = names.index("LFE") if "LFE" in names else None
    # libsndfile writes channels as they are given: here in the container's own order.
    audio, _, _ = read(io.BytesIO(written(tones(channels, lfe), "OGG", codec)))
    wanted = [names.index(name) for name in WAV.split() if name in names]
    assert heard(audio) == [-1 if k == lfe else k for k in wanted]


def test_opus_for_no_speakers_keeps_its_order() -> None:
    ogg = bytearray(written(tones(4), "OGG", "OPUS"))
    at = ogg.index(b"OpusHead")
    ogg[at + 18] = 255  # mapping family: channels that have nothing to do with each other
    page = ogg[: at + 21 + 4]
    page[22:26] = bytes(4)
    ogg[22:26] = struct.pack("<I", ogg_crc(bytes(page)))
    with open_audio(io.BytesIO(bytes(ogg))) as source:
        assert source.channel_mask == 0


def ogg_crc(page: bytes) -> int:
    """RFC 3533, section 6: polynomial 0x04c11db7, not reflected."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def caf(audio: Audio, layout: bytes) -> bytes:
    """A CAF file of 16 bits with a `chan` chunk."""
    channels = audio.shape[1]
    big = struct.Struct(">4sq")
    desc = struct.pack(">d4sIIIII", 48000, b"lpcm", 0, 2 * channels, 1, channels, 16)
    samples = (audio * 32767).astype(">i2").tobytes()
    return (
        b"caff\0\1\0\0"
        + big.pack(b"desc", len(desc)) + desc
        + big.pack(b"chan", len(layout)) + layout
        + big.pack(b"data", len(samples) + 4) + bytes(4) + samples
    )  # fmt: skip


def by_tag(tag: int, channels: int) -> bytes:
    return struct.pack(">III", tag << 16 | channels, 0, 0)


@pytest.mark.parametrize(
    ("tag", "names"),
    [
        (121, "FL FR FC LFE BL BR"),  # MPEG_5_1_A
        (122, "FL FR BL BR FC LFE"),  # MPEG_5_1_B
        (124, "FC FL FR BL BR LFE"),  # MPEG_5_1_D, that of AAC
        (128, "FL FR FC LFE SL SR BL BR"),  # MPEG_7_1_C: with rear ones, surrounds are at the sides
        (116, "FC FL FR BC"),  # MPEG_4_0_B
    ],
)
def test_layouts_of_caf_come_in_the_order_of_wav(tag: int, names: str) -> None:
    order = names.split()
    data = caf(tones(len(order)), by_tag(tag, len(order)))
    audio, _, _ = read(io.BytesIO(data))
    assert heard(audio) == [order.index(name) for name in WAV.split() if name in order]


def test_aiff_may_have_the_same_layouts() -> None:
    aiff = written(tones(5), "AIFF", "PCM_16")
    at = aiff.index(b"SSND")
    layout = chunk(b"CHAN", by_tag(120, 5), order=">")  # C L R Ls Rs
    form = struct.pack(">I", len(aiff) - 8 + len(layout))
    audio, _, _ = read(io.BytesIO(aiff[:4] + form + aiff[8:at] + layout + aiff[at:]))
    assert heard(audio) == [1, 2, 0, 3, 4]


def test_a_layout_may_list_its_channels_or_give_a_mask() -> None:
    described = struct.pack(">III", 0, 0, 3) + b"".join(
        struct.pack(">II3f", label, 0, 0, 0, 0) for label in (3, 1, 2)
    )
    assert core_audio_layout(described, 3) == Layout(0x7, (1, 2, 0))
    assert core_audio_layout(struct.pack(">III", 1 << 16, 0x60F, 0), 6) == Layout(0x60F)


@pytest.mark.parametrize("layout", [b"", bytes(12), by_tag(121, 5), by_tag(999, 6)])
def test_a_layout_that_does_not_fit_says_nothing(layout: bytes) -> None:
    assert core_audio_layout(layout, 6) == Layout()


SIDE = 0x60F
BACK = 0x3F


def flac_with_mask(channels: int, mask: int) -> bytes:
    flac = written(np.zeros((100, channels), np.float32), "FLAC", "PCM_16")
    comment = f"WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x{mask:04X}".encode()
    body = struct.pack("<I", 0) + struct.pack("<II", 1, len(comment)) + comment
    block = bytes([4]) + len(body).to_bytes(3, "big") + body
    return flac[:42] + block + flac[42:]


@pytest.mark.parametrize(
    ("data", "mask"),
    [
        (extensible(6, SIDE, pcm16(600)), SIDE),
        (extensible(6, BACK, pcm16(600)), None),
        (extensible(4, 0, pcm16(400)), 0),
        (extensible(4, 0x107, pcm16(400)), 0x107),
        (extensible(2, 0x3, pcm16(400)), None),
        (extensible(2, 0x600, pcm16(400)), 0x600),
        (extensible(6, 0xFFFFFFFF, pcm16(600)), None),  # of more speakers than channels
        (flac_with_mask(6, SIDE), SIDE),
    ],
    ids=["side", "back", "none", "4.0", "stereo", "sides alone", "all", "flac"],
)
def test_speakers_that_are_not_the_usual_ones_are_known(data: bytes, mask: int | None) -> None:
    for source in (io.BytesIO(data), Pipe(data)):
        with open_audio(source) as opened:
            assert opened.channel_mask == mask


@pytest.mark.parametrize("mask", [SIDE, BACK, 0])
def test_speakers_come_back(tmp_path: Path, run: Run, mask: int) -> None:
    (tmp_path / "in.wav").write_bytes(extensible(6, mask, bytes(12 * 2000)))
    run("encode", "-q", tmp_path / "in.wav", "-m", "neu-16khz", "-o", tmp_path / "a.ncf")
    run("decode", "-q", tmp_path / "a.ncf", "-o", tmp_path / "out.wav")
    with (tmp_path / "a.ncf").open("rb") as file:
        reader = NcfReader(file)
    assert reader.header.channel_mask == (None if mask == BACK else mask)
    assert reader.version >= ((1, 3) if mask != BACK else (1, 0))
    wav = (tmp_path / "out.wav").read_bytes()
    at = wav.index(b"fmt ") + 8
    assert struct.unpack("<I", wav[at + 20 : at + 24]) == (mask,)
    assert soundfile.info(tmp_path / "out.wav").frames == 2000


def test_flac_that_cannot_say_its_speakers_is_warned_of(tmp_path: Path, run: Run) -> None:
    for mask in (SIDE, 0x107 | 0x600):
        (tmp_path / "in.wav").write_bytes(extensible(mask.bit_count(), mask, bytes(2 * 6 * 900)))
        run("encode", "-qf", tmp_path / "in.wav", "-m", "neu-16khz", "-o", tmp_path / "a.ncf")
        ran = run("decode", "-qf", tmp_path / "a.ncf", "-o", tmp_path / "out.flac")
        said = "FLAC has no place for its speakers" in ran.err
        assert said == (mask != SIDE)  # FLAC's 5.1 is for either
