"""Kinds of media files that libsndfile does not know, and the containers that FFmpeg may read."""

from __future__ import annotations

from neucodec.errors import NeucodecError
from neucodec.files.file_section import Section

DEMUXERS = (
    "aac,ac3,ac4,aea,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dff,dsf,dss,dts,dtshd,dv,eac3,flac,"
    "flv,gsm,gxf,iamf,iff,ilbc,ircam,loas,latm,matroska,webm,mlp,mmf,mov,mp4,m4a,3gp,3g2,mj2,mp3,"
    "mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nsv,nut,ogg,oma,osq,pva,qcp,qoa,rm,sbc,shn,sox,spdif,tak,"
    "truehd,tta,voc,vqf,w64,wav,wsd,wtv,wv,xwma"
)
"""FFmpeg's names of the containers that are read. None of them refers to other files."""

_MAGICS = (
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (4, b"ftyp", "MP4 or QuickTime"),
    (4, b"moov", "QuickTime"),
    (4, b"mdat", "QuickTime"),
    (4, b"wide", "QuickTime"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA or another ASF file"),
    (8, b"AVI ", "AVI"),
    (0, b"FLV\x01", "Flash video"),
    (0, b"#!AMR", "AMR"),
    (0, b"\x0bw", "AC-3"),
    (0, b"\x7f\xfe\x80\x01", "DTS"),
    (0, b"DTSHDHDR", "DTS"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"tBaK", "TAK"),
    (0, b"TTA1", "True Audio"),
    (0, b"wvpk", "WavPack"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"DSD ", "DSD"),
    (0, b"FRM8", "DSD"),
    (0, b".RMF", "RealMedia"),
    (0, b"\x00\x00\x01\xba", "an MPEG programme stream"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (28, b"Speex   ", "Speex"),
)
"""Places, what stands there in files of a kind, and the name of the kind."""


def kind_of_media(section: Section) -> str:
    """Return what kind of file it is, if it is one that libsndfile does not know; else ""."""
    head = section.at(0, 64)
    for at, magic, kind in _MAGICS:
        if head[at : at + len(magic)] == magic:
            return kind
    return ""


def unreadable(name: str, section: Section, reason: str) -> NeucodecError:
    """Return the error of a file that FFmpeg makes nothing of, for its own `reason`."""
    if kind := kind_of_media(section):
        return NeucodecError(f"{name}: {kind}, but damaged or cut off ({reason})")
    return NeucodecError(
        f"{name}: no audio that libsndfile or FFmpeg reads ({reason}); headerless PCM needs its "
        f"format said (--raw)"
    )
