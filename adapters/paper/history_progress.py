"""How far the exchanges are with history that is fetched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from adapters.exchanges.history import Watcher
from adapters.exchanges.leg_history import LegHistory

Progress = Callable[[str, int, int], None]
"""(exchange, coins done, coins)."""


class ProgressWatcher(Watcher):
    """Counts the coins that are done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._legs: dict[str, int] = {}
        self._done: dict[str, int] = defaultdict(int)

    def started(self, exchange: str, legs: int) -> None:
        self._legs[exchange] = legs
        self._progress(exchange, 0, legs)

    def end(self) -> None:
        """Nothing more comes, whatever was missed."""
        # A bar that never fills would stay on the terminal of a service for ever.
        for exchange, legs in self._legs.items():
            self._progress(exchange, legs, legs)

    def leg_ended(self, leg: LegHistory) -> None:
        exchange = leg.listing.exchange
        self._done[exchange] += 1
        self._progress(exchange, self._done[exchange], self._legs[exchange])
