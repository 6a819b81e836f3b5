"""Open the .ncf files whose codes are taken, and say what is said of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from neucodec.errors import NeucodecError
from neucodec.files.paths import open_to_seek
from neucodec.files.paths import size as size_of
from neucodec.jobs.job import Job
from neucodec.jobs.result import DONE, Result
from neucodec.terminal.console import Console, counted

from .codec_loader import Codecs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from neucodec.file import NcfFile
    from neucodec.models import Card


@contextmanager
def opened_codes(
    source: str, codecs: Codecs, console: Console, card: Card | None = None
) -> Iterator[NcfFile]:
    """Open a file of which nothing is missing at its end; ``card`` is its model's, if given."""
    from neucodec.coding.integrity import surplus_of
    from neucodec.file import NcfFile

    with open_to_seek(source) as opened:
        models = codecs.entropy_models(console)
        with NcfFile(opened, entropy_models=models, card=card) as file:
            if not file.reader.complete:
                raise NeucodecError("cut off, or its end damaged: decode and encode it again")
            if surplus := surplus_of(file.reader):
                console.warn(source, f"{surplus}: not taken")
            yield file


def warn_of_layers(source: str, layered: npt.NDArray[np.bool_], console: Console) -> None:
    """Say of a file whose codes are not all of its sound that it is one."""
    if layers := int(layered.sum()):
        console.warn(
            source,
            f"{counted(layers, 'chunk')} with a layer, which is not in the codes; "
            "encode with --no-layer to have all in codes",
        )


def result_of(job: Job, file: NcfFile, output_bytes: int | None) -> Result:
    """Return the figures of a file whose codes were taken."""
    input_bytes = size_of(job.source)
    seconds = file.frames / file.samplerate
    kbps = input_bytes * 8 / 1000 / seconds if input_bytes and seconds else None
    return replace(
        DONE,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        audio_seconds=seconds,
        kbps=kbps,
    )
