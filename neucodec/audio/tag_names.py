"""Names of tags in ID3, MP4 and APE, and the Vorbis comment names for the same."""

from __future__ import annotations

PICTURE = "METADATA_BLOCK_PICTURE"
"""The Vorbis comment with a picture: FLAC's picture block in Base64."""

ID3 = {
    "TIT1": "GROUPING", "TIT2": "TITLE", "TIT3": "SUBTITLE", "TPE1": "ARTIST",
    "TPE2": "ALBUMARTIST", "TPE3": "CONDUCTOR", "TPE4": "REMIXER", "TALB": "ALBUM",
    "TRCK": "TRACKNUMBER", "TPOS": "DISCNUMBER", "TDRC": "DATE", "TDOR": "ORIGINALDATE",
    "TCON": "GENRE", "TCOM": "COMPOSER", "TEXT": "LYRICIST", "TSRC": "ISRC", "TPUB": "LABEL",
    "TCOP": "COPYRIGHT", "TBPM": "BPM", "TKEY": "KEY", "TLAN": "LANGUAGE", "TENC": "ENCODED-BY",
    "TSOP": "ARTISTSORT", "TSOA": "ALBUMSORT", "TSOT": "TITLESORT", "TSO2": "ALBUMARTISTSORT",
    "TSOC": "COMPOSERSORT", "TSST": "DISCSUBTITLE", "TMOO": "MOOD", "TMED": "MEDIA",
    "TCMP": "COMPILATION",
}  # fmt: skip
"""Frames of ID3v2.4 with texts."""
MP4 = {
    "\xa9nam": "TITLE", "\xa9ART": "ARTIST", "aART": "ALBUMARTIST", "\xa9alb": "ALBUM",
    "\xa9day": "DATE", "\xa9gen": "GENRE", "\xa9cmt": "COMMENT", "\xa9wrt": "COMPOSER",
    "\xa9lyr": "LYRICS", "\xa9grp": "GROUPING", "cprt": "COPYRIGHT", "desc": "DESCRIPTION",
    "soar": "ARTISTSORT", "soal": "ALBUMSORT", "sonm": "TITLESORT", "soaa": "ALBUMARTISTSORT",
    "soco": "COMPOSERSORT",
}  # fmt: skip
"""Atoms of MP4 with texts."""
OTHERS = {
    "ALBUM ARTIST": "ALBUMARTIST", "ALBUM_ARTIST": "ALBUMARTIST", "TRACK": "TRACKNUMBER",
    "DISC": "DISCNUMBER", "YEAR": "DATE", "AUTHOR": "ARTIST", "WM/ALBUMTITLE": "ALBUM",
    "WM/ALBUMARTIST": "ALBUMARTIST", "WM/TRACKNUMBER": "TRACKNUMBER", "WM/YEAR": "DATE",
    "WM/GENRE": "GENRE", "WM/COMPOSER": "COMPOSER", "WM/PARTOFSET": "DISCNUMBER",
    "WM/PUBLISHER": "LABEL",
}  # fmt: skip
"""Names of APE and ASF, in upper case."""
