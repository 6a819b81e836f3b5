"""Say which codes are taken of files, and take them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neucodec.errors import NeucodecError
from neucodec.jobs.job import Job
from neucodec.models import Card
from neucodec.terminal.console import Console

from .batch_run import watch
from .codec_loader import Codecs
from .token_files import opened_codes, warn_of_layers

if TYPE_CHECKING:
    from neucodec.file import NcfFile
    from neucodec.interchange.file_tokens import FileTokens


@dataclass(frozen=True)
class TokenChoices:
    """Says which codes are taken."""

    model: Card | None = None
    """The checkpoint of one's own that files were made with; None for those that they name."""
    uniform: bool = False
    """Whether every frame is to stand for one hop, and to have equally many codes."""
    codebooks: int | None = None
    """How many codes uniform frames have; None for what the file suggests."""
    one_level: bool = False
    """Whether uniform codes are to have one level throughout."""


@dataclass(frozen=True)
class TokenTaker:
    """Takes the codes of files as chosen, with codecs that are loaded where they are needed."""

    choices: TokenChoices
    codecs: Codecs

    @contextmanager
    def opened(self, source: str, console: Console) -> Iterator[NcfFile]:
        """Open a file of which nothing is missing at its end."""
        with opened_codes(source, self.codecs, console, self.choices.model) as file:
            yield file

    def uniform(self, file: NcfFile, console: Console) -> FileTokens:
        """Return uniform codes, for which some of the file is perhaps encoded again."""
        from neucodec.interchange.uniform import uniform_tokens

        return uniform_tokens(
            file, self.choices.codebooks, one_level=self.choices.one_level,
            load=lambda: self.codecs.get(file.card, console),
        )  # fmt: skip

    def row(self, job: Job, console: Console) -> tuple[NcfFile, FileTokens]:
        """Return all of a file that goes into a row; NeucodecError where that is too much."""
        from neucodec.interchange.tokens import MAX_CODES_IN_ROW, TokenReader, read_tokens

        unchanged = watch(job.source)
        with self.opened(job.source, console) as file:
            count = math.prod(TokenReader(file).shape)
            if count > MAX_CODES_IN_ROW:
                raise NeucodecError(
                    f"{count} codes: a row of Parquet holds {MAX_CODES_IN_ROW}, so use --format npz"
                )
            found = self.uniform(file, console) if self.choices.uniform else read_tokens(file)
            unchanged()
            warn_of_layers(job.source, found.layered, console)
            return file, found
