"""Opportunities of an hour: which pairs are offered, with which features, in which order.

Derived from the price history, or read from recorded opportunities where the data set brings them; either way
through ``OpportunityBuilder``, which training, backtest and paper trading share.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.accounting.tape import Tape, TapeArrays, is_offered
from engine.compiled import compiled
from engine.market.data import Floats, Ints, RecordedOpportunities
from engine.observation.features import (
    COLUMN,
    FEATURES,
    ON_REQUEST,
    RECORDED_NAMES,
    Tables,
    build_tables,
    daily_net_features,
    feature_matrix,
)


@compiled
def offered_pairs(tape: TapeArrays, t: int, out: Any) -> None:
    """Which pairs may be entered at row t, into ``out`` ``[pairs]`` bool."""
    for p in range(tape.pairs.shape[0]):
        out[p] = is_offered(tape, p, t)


@compiled
def _overlay(row: Floats, pair: int, columns: Ints, scale: Floats, features: Floats) -> None:
    """Replace derived features of one pair by recorded ones, and recompute what follows from them."""
    target = features[pair]
    target[17] = np.nan
    for k in range(row.shape[0]):
        if columns[k] >= 0 and not np.isnan(row[k]):
            target[columns[k]] = row[k] * scale[k]
    # A recorded profit stands; else it follows the APR, which may itself be a recorded one by now.
    if np.isnan(target[17]):
        target[17] = target[7]
    target[14] = np.log10(target[22]) if target[22] > 0 else np.nan
    target[16] = np.log10(target[23]) if target[23] > 0 else np.nan
    # Differences come last: some of their terms have just been replaced.
    target[19] = target[10] - target[11]
    target[20], target[21] = target[7] - target[8], target[8] - target[9]


@compiled
def _overlay_hour(rows: Floats, pairs: Ints, columns: Ints, scale: Floats, features: Floats, offered: Any) -> None:
    """Overlay one hour's recorded rows; pairs without a row are not offered."""
    present = np.zeros(offered.shape[0], np.bool_)
    for r in range(rows.shape[0]):
        present[pairs[r]] = True
        _overlay(rows[r], pairs[r], columns, scale, features)
    for p in range(offered.shape[0]):
        offered[p] = offered[p] and present[p]


@compiled
def rank(keys: Floats, offered: Any, out: Ints) -> int:
    """The offered pairs with the highest keys, best first, into ``out``; returns how many there are.

    Ties go to the lower pair index, that is by symbol, long and short exchange. A pair whose key is not known
    cannot be ranked and is left out.
    """
    n = 0
    for p in range(keys.shape[0]):
        if not offered[p] or np.isnan(keys[p]):
            continue
        at = n
        while at > 0 and keys[out[at - 1]] < keys[p]:
            at -= 1
        if at >= out.shape[0]:
            continue
        n = min(n + 1, out.shape[0])
        for k in range(n - 1, at, -1):
            out[k] = out[k - 1]
        out[at] = p
    return n


class OpportunityBuilder:
    """Computes the feature matrix and the offered pairs of any hour of a tape."""

    def __init__(self, tape: Tape, tables: Tables | None = None) -> None:
        self.tape = tape
        self.tables = build_tables(tape) if tables is None else tables
        self._recorded = tape.market.recorded
        if self._recorded is not None:
            self._columns, self._scale = _recorded_targets(self._recorded)

    def at(self, t: int) -> tuple[Floats, Any]:
        """Features ``[pairs, features]`` and offered ``[pairs]`` bool of row t, from what was known at t."""
        features = np.empty((len(self.tape.pairs), len(FEATURES)))
        offered = np.empty(len(self.tape.pairs), bool)
        self.fill(t, features, offered)
        return features, offered

    def on_request(self, t: int) -> Floats:
        """The features of ``ON_REQUEST`` ``[pairs, 2]`` of row t; recorded opportunities do not replace them."""
        features = np.empty((len(self.tape.pairs), len(ON_REQUEST)))
        daily_net_features(self.tape.arrays, self.tables, t, features)
        return features

    def fill(self, t: int, features: Floats, offered: Any) -> None:
        """Like ``at``, into given arrays."""
        feature_matrix(self.tape.arrays, self.tables, t, features)
        offered_pairs(self.tape.arrays, t, offered)
        if self._recorded is not None:
            start, stop = self._recorded.offsets[t], self._recorded.offsets[t + 1]
            rows, pairs = self._recorded.features[start:stop], self._recorded.pair[start:stop]
            _overlay_hour(rows, pairs, self._columns, self._scale, features, offered)


def _recorded_targets(recorded: RecordedOpportunities) -> tuple[Ints, Floats]:
    """Feature column (-1: not used) and factor of every recorded column."""
    columns = [COLUMN.get(RECORDED_NAMES.get(name, name), -1) for name in recorded.columns]
    scale = [1 / 8 if name in RECORDED_NAMES else 1.0 for name in recorded.columns]
    return np.array(columns, np.int64), np.array(scale)
