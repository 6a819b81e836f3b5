"""Media files that libsndfile does not read, made by ffmpeg or, without it, by PyAV."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from neucodec.audio.samples import Audio

FFMPEG = shutil.which("ffmpeg")
HAS_PYAV = find_spec("av") is not None
needs_media = pytest.mark.skipif(
    not (FFMPEG or HAS_PYAV), reason="needs PyAV (pip install av) or ffmpeg on the PATH"
)
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="needs ffmpeg on the PATH")


def make_media(path: Path, audio: Audio, rate: int, codec: str, **tags: str) -> Path:
    """Encode float32 [n, channels] into the container that the path's suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if FFMPEG:
        run_ffmpeg(
            "-f", "f32le", "-ar", str(rate), "-ac", str(audio.shape[1]), "-i", "-",
            "-c:a", codec,
            *(word for k, v in tags.items() for word in ("-metadata", f"{k}={v}")), str(path),
            data=audio.astype("<f4").tobytes(),
        )  # fmt: skip
    else:
        _make_by_pyav(path, audio, rate, codec, tags)
    return path


def run_ffmpeg(*arguments: str, data: bytes = b"") -> None:
    """Run ffmpeg, which must succeed."""
    assert FFMPEG
    said = [FFMPEG, "-nostdin"] if not data else [FFMPEG]
    subprocess.run([*said, "-v", "error", "-y", *arguments], input=data or None, check=True)


def _make_by_pyav(path: Path, audio: Audio, rate: int, codec: str, tags: dict[str, str]) -> None:
    import av

    layout = {1: "mono", 2: "stereo", 6: "5.1"}[audio.shape[1]]
    with av.open(str(path), "w") as container:
        container.metadata.update(tags)
        stream = container.add_stream(codec, rate=rate, layout=layout)
        packed = np.ascontiguousarray(audio.reshape(1, -1), np.float32)
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate, frame.pts = rate, 0
        form = stream.codec_context.format or "fltp"
        resampler = av.AudioResampler(format=form, layout=layout, rate=rate)
        fifo = av.AudioFifo()
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            fifo.write(part)
        size = stream.codec_context.frame_size or 1024
        while (part := fifo.read(size)) or (part := fifo.read(size, partial=True)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
