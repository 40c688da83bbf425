"""What is worth taking, by the journal of paper trading: made once an hour, sorted and filtered for each who asks."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

from adapters.scan.answer import as_json, scan_of
from adapters.scan.of_state import state_scene
from adapters.scan.rows import Choice
from adapters.scan.scene import Scene
from adapters.web.problems import RefusedError
from adapters.web.state import StateReader
from engine.errors import UserError


class Offers:
    """The last hour of a state as ``arb scan --state`` shows it. No exchange is asked."""

    def __init__(self, state: StateReader) -> None:
        self._state, self._lock = state, threading.Lock()
        self._made: tuple[tuple[Any, ...], Scene] | None = None

    def scan(self, choice: Choice, now: datetime) -> dict[str, Any]:
        """The JSON of ``arb scan``, without the place of the state.

        Raises ``RefusedError`` for a coin or an exchange that the state does not have.
        """
        scene = self._scene()
        try:
            found = as_json(scan_of(scene, choice, now))
        except UserError as error:
            raise RefusedError(str(error)) from None
        return {**found, "source": {**found["source"], "name": self._state.folder.name}}

    def _scene(self) -> Scene:
        with self._state.journal() as journal:
            which = (journal.meta.get("started"), journal.meta.get("seed"), journal.last_hour)
        # One who makes it is enough: the others would only wait for the same processor.
        with self._lock:
            if self._made is None or self._made[0] != which:
                self._made = (which, state_scene(self._state.folder))
            return self._made[1]
