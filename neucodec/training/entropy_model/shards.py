"""Make the codes that an entropy model is trained on: shards of coded chunks in a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch

from neucodec.audio.samples import Audio
from neucodec.coding.chunks import ChunkSplitter, Geometry, Piece
from neucodec.coding.levels import normalise
from neucodec.models.codec import AudioChunk, Codec
from neucodec.terminal.signals import end_if_told
from neucodec.training.corpus import Corpus, audio_below

Codes = npt.NDArray[np.int16]

SHARDS = "[0-9]*.npy"
"""The pattern that the names of shards match: their numbers from 0."""


def coded_excerpts(
    codec: Codec, corpus: Corpus, rng: np.random.Generator, batch: int = 16
) -> Iterator[Codes]:
    """Yield the codes [batch, K, F] of whole chunks of mono audio, without end.

    They are drawn from a corpus with ``rng``, and augmented.
    """
    geometry = Geometry.of(codec.card)
    length = geometry.frames * geometry.hop + 2 * geometry.context
    while True:
        audio = np.stack([corpus.excerpt(length, rng) for _ in range(batch)])
        yield _encode(codec, audio, geometry.context, geometry.frames)


def coded_file(codec: Codec, path: Path) -> Codes:
    """Return the codes [N, K, F] of an audio file mixed to mono: of each chunk that is neither
    silent nor shorter than the others."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != codec.card.sample_rate:
        mono = soxr.resample(mono, rate, codec.card.sample_rate, quality="VHQ")
    geometry = Geometry.of(codec.card)
    splitter = ChunkSplitter(geometry, 1)
    pieces = [*splitter.push(mono[None].astype(np.float32)), *splitter.finish()]
    kept = [p.audio[0] for p in pieces if _whole(p, geometry) and np.any(p.audio)]
    if not kept:
        return np.zeros((0, codec.card.codebooks, geometry.frames), np.int16)
    return _encode(codec, np.stack(kept), geometry.context, geometry.frames)


def _whole(piece: Piece, geometry: Geometry) -> bool:
    width = geometry.frames * geometry.hop + 2 * geometry.context
    return piece.frames == geometry.frames and piece.audio.shape[1] == width


def _encode(codec: Codec, audio: Audio, before: int, frames: int) -> Codes:
    """Return the codes [N, K, F] of mono chunks [N, T].

    ``before`` is the context in samples before each chunk's own, ``frames`` is F. A codec of more
    channels gets the same audio in all of them.
    """
    card = codec.card
    if card.level == "rms":
        # One chunk at a time counts as one channel of a signal: each has its own level.
        audio = np.concatenate([normalise(chunk[None])[0] for chunk in audio])
    channels = torch.from_numpy(audio)[:, None].expand(-1, card.channels, -1)
    chunk = AudioChunk(audio=channels, before=before, frames=frames, last=False)
    coded, _ = codec.encode(chunk, card.codebooks)
    return coded.codes.numpy().astype(np.int16)


def write_shards(folder: Path, blocks: Iterable[Codes], count: int, size: int) -> None:
    """Write blocks of codes [n, K, F] to files ``NNNN.npy`` of ``size`` chunks each.

    Files that are in the folder already count: it ends when there are ``count`` of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    waiting: list[Codes] = []
    number = len(list(folder.glob(SHARDS)))
    for block in blocks:
        end_if_told()
        if number >= count:
            return
        waiting.append(block)
        if sum(map(len, waiting)) >= size:
            joined = np.concatenate(waiting)
            partial = folder / "partial"
            with partial.open("wb") as file:
                np.save(file, joined[:size])
            partial.rename(folder / f"{number:04}.npy")
            waiting, number = [joined[size:]], number + 1


def held_out(codec: Codec, folder: Path, max_per_file: int = 4) -> Codes:
    """Return the codes [N, K, F] of all audio files below a folder, of each at most
    ``max_per_file`` chunks that are spread evenly over it."""
    parts = []
    for path in audio_below(folder):
        end_if_told()
        codes = coded_file(codec, path)
        parts.append(codes[:: max(1, -(-len(codes) // max_per_file))])
    return np.concatenate(parts)
