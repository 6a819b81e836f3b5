"""Load codecs for the commands, and show how far their weights are fetched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from neucodec.models import Advance, Card, Monitor
from neucodec.terminal.console import REPORTS, Console, printable
from neucodec.terminal.signals import interruptible

if TYPE_CHECKING:
    from neucodec.coding.entropy_models import EntropyModels
    from neucodec.models import Codec

OFFLINE = "--offline"


class Codecs:
    """Loads every codec and entropy model once, whichever thread needs it first.

    Pickled, it is empty again.
    """

    def __init__(
        self, device: str, offline: bool, precision: str = "float32", half: str | None = None
    ) -> None:
        """Take how to load codecs; ``half``, "encoder" or "decoder", is all that will be asked of
        them.
        """
        self._choice = device, offline, precision, half
        self._loaded: dict[str, Codec] = {}
        self._entropy_models: EntropyModels | None = None
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[Codecs], tuple[str, bool, str, str | None]]:
        return Codecs, self._choice

    def get(self, card: Card, console: Console) -> Codec:
        """Return the codec of a card; what is not here is fetched. Raises ModelError."""
        from neucodec.models import load_codec

        device, offline, precision, half = self._choice
        if half == "encoder" and card.waveform_bitrate:
            half = None  # a waveform layer is what decoding the codes leaves
        with self._lock:
            if card.name not in self._loaded:
                monitor = Downloads(console)
                with interruptible():  # a server may take its time
                    self._loaded[card.name] = load_codec(
                        card, device, precision=precision, offline=OFFLINE if offline else "",
                        monitor=monitor, half=half,
                    )  # fmt: skip
            return self._loaded[card.name]

    def entropy_models(self, console: Console) -> EntropyModels:
        """Return what loads entropy models, as these codecs are loaded."""
        from neucodec.coding.entropy_models import EntropyModels

        offline = self._choice[1]
        with self._lock:
            if self._entropy_models is None:
                self._entropy_models = EntropyModels(OFFLINE if offline else "", Downloads(console))
            return self._entropy_models


class Downloads(Monitor):
    """Shows downloads: lines on standard error, and a bar where it is a person who looks on."""

    def __init__(self, console: Console) -> None:
        self.shows_progress = console.verbosity >= REPORTS and sys.stderr.isatty()
        self._console = console

    def say(self, text: str) -> None:
        """Print a line, unless -q asks for none."""
        self._console.report(text)

    @contextmanager
    def progress(self, name: str, total: int | None, done: int) -> Iterator[Advance]:
        """Show a bar that leaves nothing behind."""
        if not self.shows_progress:
            with super().progress(name, total, done) as advance:
                yield advance
            return
        from tqdm import tqdm

        with tqdm(
            desc=printable(name), total=total, initial=done, unit="B", unit_scale=True, leave=False,
            dynamic_ncols=True,
        ) as bar:  # fmt: skip
            yield bar.update
