"""Compute the modified discrete cosine transform with a sine window (Princen, Johnson, Bradley,
ICASSP 1987), orthonormal: its inverse is its transpose.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float32]


@lru_cache(maxsize=8)
def _tables(length: int) -> tuple[Numbers, npt.NDArray[np.complex64], npt.NDArray[np.complex64]]:
    """Return the window's rise [length], and the turns [length / 2] before and behind a Fourier
    transform.
    """
    n = np.arange(length)
    rise = np.sin(np.pi * (n + 0.5) / (2 * length)).astype(np.float32)
    half = n[: length // 2]
    before = np.exp(-1j * np.pi * (half + 0.25) / length).astype(np.complex64)
    behind = (np.exp(-1j * np.pi * half / length) * np.sqrt(2 / length)).astype(np.complex64)
    return rise, before, behind


def cosines(rows: Numbers) -> Numbers:
    """Compute the orthonormal cosine transform of the fourth type of rows [T, N], which is its own
    inverse, by a Fourier transform of N / 2 complex numbers, or for an odd N by its definition.
    """
    if rows.shape[1] % 2:
        product: Numbers = np.dot(rows, _cosine_table(rows.shape[1]))
        return product
    _, before, behind = _tables(rows.shape[1])
    pairs = (rows[:, ::2] + 1j * rows[:, ::-2]) * before
    spectra = np.fft.fft(pairs, axis=1) * behind
    out = np.empty_like(rows)
    out[:, ::2] = spectra.real
    out[:, ::-2] = -spectra.imag
    return out


@lru_cache(maxsize=4)
def _cosine_table(length: int) -> Numbers:
    """Return the matrix [N, N] of that transform."""
    places = np.arange(length) + 0.5
    table = np.cos(np.pi / length * np.outer(places, places)) * np.sqrt(2 / length)
    narrowed: Numbers = table.astype(np.float32)
    return narrowed


def forward(audio: Numbers, length: int) -> Numbers:
    """Transform samples [n] into coefficients [ceil(n / length) + 1, length], an even number of
    them.
    """
    rise, half = _tables(length)[0], length // 2
    filled = np.pad(audio, (length, length + -len(audio) % length), mode="symmetric")
    parts = filled.reshape(-1, length)
    early, late = parts[:-1] * rise, parts[1:] * rise[::-1]
    # A frame of two parts is folded to one, which the transform's symmetries unfold again.
    folded = np.empty_like(early)
    folded[:, :half] = -late[:, half - 1 :: -1] - late[:, half:]
    folded[:, half:] = early[:, :half] - early[:, : half - 1 : -1]
    return cosines(folded)


def backward(coefficients: Numbers, samples: int) -> Numbers:
    """Transform coefficients back into as many samples as they came from."""
    count, length = coefficients.shape
    rise, half = _tables(length)[0], length // 2
    folded = cosines(coefficients)
    first, second = folded[:, :half], folded[:, half:]
    audio = np.zeros((count + 1, length), np.float32)
    audio[:-1, :half] += second * rise[:half]
    audio[:-1, half:] -= second[:, ::-1] * rise[half:]
    audio[1:, :half] -= first[:, ::-1] * rise[: half - 1 : -1]
    audio[1:, half:] -= first * rise[half - 1 :: -1]
    return audio.reshape(-1)[length : length + samples]
