"""What is worth taking, by the journal of paper trading: made once an hour, sorted and filtered for each who asks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime
from typing import Any

from adapters.scan.answer import as_json, scan_of
from adapters.scan.of_state import state_scene
from adapters.scan.rows import Choice
from adapters.scan.scene import Scene
from adapters.web.problems import MissingError, RefusedError
from adapters.web.state import StateReader, identity_of
from engine.errors import UserError
from engine.windows import hour_of

MOST_KEPT = 4
"""Hours that are kept ready; of large markets each takes some MB."""


class Offers:
    """Hours of a state as ``arb scan --state`` shows them. No exchange is asked."""

    def __init__(self, state: StateReader) -> None:
        self._state, self._lock = state, threading.Lock()
        self._made: OrderedDict[tuple[Any, ...], Scene] = OrderedDict()

    def scan(self, choice: Choice, now: datetime, at: datetime | None = None) -> dict[str, Any]:
        """The JSON of ``arb scan`` for an hour (None: the last one), without the place of the state.

        Raises ``RefusedError`` for a coin, an exchange or an hour that the state does not have.
        """
        scene = self._scene(at)
        try:
            found = as_json(scan_of(scene, choice, now))
        except UserError as error:
            raise RefusedError(str(error)) from None
        return {**found, "source": {**found["source"], "name": self._state.folder.name}}

    def _scene(self, at: datetime | None) -> Scene:
        with self._state.journal() as journal:
            which = (identity_of(journal), at or journal.last_hour)
            if at is not None and not journal.rows("SELECT 1 FROM decisions WHERE hour = ?", hour_of(at)):
                raise MissingError("the journal has no such hour that was played")
        # One who makes it is enough: the others would only wait for the same processor.
        with self._lock:
            if which not in self._made:
                self._made[which] = state_scene(self._state.folder, at)
                while len(self._made) > MOST_KEPT:
                    self._made.popitem(last=False)
            return self._made[which]
