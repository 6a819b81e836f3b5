"""Tell weights apart by a fingerprint."""

from __future__ import annotations

import hashlib

from torch import nn


def fingerprint(network: nn.Module) -> bytes:
    """Return the first 8 bytes of the SHA-256 of all codebooks' entries.

    They are taken as little-endian float32, in the order of the codebooks.
    The same weights are published in several files: with other names, with weight norm or with
    the product of its factors. Codebooks are the same in all of them, and differ after any
    training.
    """
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        if name.endswith(".entries"):
            digest.update(tensor.detach().cpu().numpy().astype("<f4").tobytes())
    return digest.digest()[:8]
