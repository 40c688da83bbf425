"""Which stated funding intervals are believed: the one in force, and a change that something confirms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapters.gate.past import distances
from engine.market.data import Floats, Ints


@dataclass(frozen=True, eq=False)
class Statements:
    """Stated intervals of one leg by column, and the columns of its believed settlements (ascending).

    ``refused`` is a statement that was refused last, before the first new column (nan: none within ``memory``, or one
    was believed after it).
    """

    stated: Floats
    settled: Ints
    refused: float
    memory: int

    def judge(self, since: int) -> list[tuple[int, str]]:
        """Columns from ``since`` on whose statement is not believed, and the limit in words.

        A longer interval is believed: at worst a settlement comes early. A shorter one makes payments that never come
        due and rates look high, so it is believed when the leg settles in that hour or did in the one before, for then
        intervals change, when it is stated twice in a row, or when the distance of settlements shows it.
        """
        believed = self.stated.copy()
        said, refused = self.refused, []
        for column in self._changes(since):
            value = self.stated[column]
            in_force = self._in_force(believed, column)
            # Nothing in force is nan, and no value is below nan: the first statement is believed.
            if not value < in_force or value == said or self._is_shown(float(value), column):
                said = np.nan
            else:
                refused.append((column, f"{in_force:g} h is in force, and nothing confirms another one yet"))
                # Said again in the next hour it is no change, so nothing judges it and it is believed.
                believed[column], said = np.nan, np.nan
        return refused

    def _changes(self, since: int) -> list[int]:
        """Columns with a statement that does not repeat the one before it, and the first of all."""
        columns = np.flatnonzero(~np.isnan(self.stated))
        values = self.stated[columns]
        repeated = np.zeros(len(columns), np.bool_)
        repeated[1:] = (values[1:] == values[:-1]) & (np.diff(columns) <= self.memory) & (columns[:-1] >= since)
        return [int(column) for column in columns[(columns >= since) & ~repeated]]

    def _is_shown(self, value: float, column: int) -> bool:
        """Whether settlements confirm an interval: one that changes it now, or their distance."""
        settles_now = bool(np.isin([column - 1, column], self.settled).any())
        return settles_now or value in self._shown(column)

    def _in_force(self, believed: Floats, column: int) -> float:
        """The interval believed last, else what the settlements show; nan where neither is known."""
        first = max(0, column - self.memory)
        known = np.flatnonzero(~np.isnan(believed[first:column]))
        if len(known):
            return float(believed[first + known[-1]])
        shown = self._shown(column)
        return float(shown.min()) if len(shown) else float("nan")

    def _shown(self, column: int) -> Ints:
        """The shortest of the last distances between settlements, and the last one; none before two are known."""
        near = self.settled[(self.settled <= column) & (self.settled >= column - self.memory)]
        if len(near) < 2:
            return near[:0]
        gaps = distances(near, int(near[-1]))
        # The last one too: after a switch to a longer interval the shortest is still the old one.
        return np.array([gaps.min(), gaps[-1]], np.int64)
