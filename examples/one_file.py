"""A clip to an .ncf and back, in Python: `python examples/one_file.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from make_clip import RATE, clip

import neucodec


def main() -> None:
    audio = clip(seconds=4)  # floats [samples, channels]
    data = neucodec.encode(audio, RATE, bitrate="8kbps", tags={"TITLE": "A clip"})
    decoded, samplerate = neucodec.decode(data)
    assert decoded.shape == audio.shape and samplerate == RATE
    print(f"{len(audio) / RATE:.1f} s in {len(data)} bytes")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.ncf"
        path.write_bytes(data)
        with neucodec.open(path) as file:
            file.seek(2 * file.samplerate)
            part = file.read(file.samplerate // 2)
            print(f"half a second from 2 s on: {part.shape}, title {file.tags['TITLE']}")


if __name__ == "__main__":
    main()
