"""The paper trading state as the service sees it: opened anew for every request, only to be read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.paper.journal import Journal
from adapters.paper.state_folder import DATABASE
from adapters.paper.tables import naming_tape
from adapters.web.problems import MissingError
from engine.accounting.tape import Tape

Identity = tuple[str | None, int | None, int | None]


def identity_of(journal: Journal) -> Identity:
    """What tells a state from another one in its folder: its start, and the digests of what never changes in it."""
    heads = journal.heads()
    return journal.meta.get("started"), heads.get("meta"), heads.get("legs")


class StateReader:
    """Opens the journal of a folder. The folder may be empty yet, or its state may be replaced by another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._named: tuple[Identity, Tape] | None = None

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        """One look, of one moment. Raises ``MissingError`` when no state is there, ``DataError`` when it is damaged."""
        if not (self.folder / DATABASE).exists():
            raise MissingError("there is no paper trading state yet; start one with `arb paper-trade`")
        # Its rows are gone over by whoever goes on with them; here every request would wait for that.
        with Journal.open_for_reading(self.folder, checked=()) as journal:
            yield journal

    def tape(self, journal: Journal) -> Tape:
        """What names the rows of this state; made once."""
        which = identity_of(journal)
        with self._lock:
            if self._named is None or self._named[0] != which:
                self._named = (which, naming_tape(journal))
            return self._named[1]
