"""What squeezing codes saves: bit/s raw, by zeroth-order statistics, adaptively, by a model.

    python benchmarks/entropy.py RECORDINGS -m neu-44khz --codebooks 2,5,9,14 --seconds 12

Every recording is mixed down to one channel, its first seconds encoded with the most codebooks
asked for, and the payload of each whole chunk coded with fewer. Zeroth order is how often each
code of each codebook comes in the other half of all chunks, so that nothing is judged by itself.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

import neucodec
from neucodec.api import ArraySource
from neucodec.audio_input import open_audio
from neucodec.encoder import EncodeOptions, encode
from neucodec.entropy import Adaptive, EntropyModel, choose_entropy, chunk_codes, encode_payload
from neucodec.errors import NeucodecError
from neucodec.formats import NcfReader
from neucodec.models.codec import Codec

Codes = npt.NDArray[np.int64]
SUFFIXES = {".flac", ".wav", ".ogg", ".opus", ".mp3"}


def chunks_of(folder: Path, codec: Codec, codebooks: int, seconds: float) -> Iterator[Codes]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        with open_audio(str(path)) as audio:
            rate = audio.samplerate
            blocks = list(audio.blocks(rate))[: max(1, round(seconds))]
        mono = np.concatenate(blocks).mean(axis=1)[: round(seconds * rate)]
        target = io.BytesIO()
        options = EncodeOptions(codebooks=codebooks, entropy="none")
        encode(ArraySource(mono, rate), target, codec, options)
        reader = NcfReader(io.BytesIO(target.getvalue()))
        for chunk in reader:
            codes = chunk_codes(chunk, reader.header)
            if codes is not None and codes.size and chunk.frames == reader.header.chunk_frames:
                yield codes[0]


def zeroth_order(chunks: Codes, size: int) -> float:
    """Bits of all chunks [N, K, F], each half by the frequencies of codes in the other one."""
    bits = 0.0
    for half in (0, 1):
        mine, other = chunks[half::2], chunks[1 - half :: 2]
        for book in range(chunks.shape[1]):
            times = np.bincount(other[:, book].reshape(-1), minlength=size) + 0.5
            bits -= np.log2(times / times.sum())[mine[:, book]].sum()
    return bits


def payload_bits(chunks: Codes, bits: int, model: EntropyModel | None) -> int:
    return 8 * sum(len(encode_payload(codes[None], bits, model)[0]) for codes in chunks)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("-m", "--model", default="neu-44khz")
    parser.add_argument("--codebooks", default="2,5,9,14")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each recording")
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.codebooks.split(",")]
    codec = neucodec.load_model(arguments.model).codec
    card = codec.card
    try:
        learned = choose_entropy(card, "lm")
    except NeucodecError:
        learned = None
    models: list[EntropyModel] = [Adaptive(card.codebook_size)]
    models += [] if learned is None else [learned]
    chunks = np.array(list(chunks_of(arguments.folder, codec, max(counts), arguments.seconds)))
    seconds = len(chunks) * card.chunk_stride / card.sample_rate
    print(f"{len(chunks)} chunks, {seconds:.0f} s; payload in bit/s, and the part saved")
    names = ["zeroth order", *(model.coder.name.lower() for model in models)]
    print("\n| codebooks | raw | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 2))
    for count in counts:
        some = chunks[:, :count]
        raw = payload_bits(some, card.code_bits, None)
        found = [zeroth_order(some, card.codebook_size)]
        found += [payload_bits(some, card.code_bits, model) for model in models]
        cells = [f"{each / seconds:.0f} ({1 - each / raw:.1%})" for each in found]
        print(f"| {count} | {raw / seconds:.0f} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
