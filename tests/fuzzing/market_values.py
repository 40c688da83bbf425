"""Markets with one spell of wrong values, through the gate: what is certainly wrong goes, and nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from support_gate import COINS, EXCHANGES, changed, plausible

from adapters.gate.limits import GateSettings
from adapters.gate.market import gate_market
from engine.market.data import PER_LEG_FLOATS, MarketData

NAME = "market values"
HOURS, FROM = 80, 40
LIMITS = GateSettings()
IMPOSSIBLE = (0.0, -1.0, 1e9, -1e9, 1e-15, float("inf"), -float("inf"), 1e300, 5e-324)
FALLING = {
    "price": {"bid_ask_spread", "depth_usd", "fill_price"},
    "bid_ask_spread": {"price", "fill_price", "depth_usd"},
}
"""What may go along with a value of the same leg and hour."""
CERTAIN = 0.03
"""Beyond a limit by so much (as a logarithm) a value is wrong whatever the usual scatter of the others is."""


def case(rng: np.random.Generator, folder: Path) -> str:
    """One market, one spell; raises ``AssertionError`` for something wrong that is believed, or right that is not."""
    del folder  # nothing is written
    exchanges = EXCHANGES[: int(rng.integers(2, 4))]
    market = plausible(rng, HOURS, coins=COINS[: int(rng.integers(2, 4))], exchanges=exchanges)
    kind = str(rng.choice([*PER_LEG_FLOATS, "exchange"]))
    first = int(rng.integers(FROM, HOURS))
    rows = np.arange(first, min(first + int(rng.choice([1, 1, 1, 2, 4])), HOURS))
    if kind == "exchange":
        return _whole_exchange(rng, market, rows)
    return _one_leg(rng, market, kind, rows)


def _one_leg(rng: np.random.Generator, market: MarketData, kind: str, rows: np.ndarray) -> str:
    leg = int(rng.integers(market.legs))
    rows = rows[~np.isnan(getattr(market, kind)[leg, rows])]
    before = getattr(market, kind)[leg, rows]
    after = _values(rng, kind, before)
    spoilt = changed(market, kind, leg, rows, after)
    gated = gate_market(spoilt, LIMITS).market
    kept = getattr(gated, kind)[leg, rows]
    for row, given, believed, right in zip(rows.tolist(), after, kept, before, strict=True):
        wrong = _is_certainly_wrong(kind, float(given), float(right))
        assert not (wrong and believed == believed), f"{kind} {given} for {right} at row {row} is believed"
    allowed = FALLING.get(kind, set()) | ({"mark_price", "fill_price"} if kind == "price" else set()) | {kind}
    _nothing_else(spoilt, gated, {leg}, set(rows.tolist()), allowed)
    return "refused" if np.isnan(kept).any() else "accepted"


def _values(rng: np.random.Generator, kind: str, before: np.ndarray) -> Any:
    """Something impossible, or a multiple of what was there."""
    if rng.random() < 0.3:
        return np.full(len(before), float(rng.choice(IMPOSSIBLE)))
    if kind == "funding_interval_hours":
        return np.full(len(before), float(rng.choice([480, 5, 7.5, 0.5, 25, 48, 1e6])))
    if kind == "funding_rate":
        return np.full(len(before), float(rng.choice([-1, 1]) * rng.uniform(0.001, 0.1)))
    return before * np.exp(rng.choice([-1, 1]) * rng.uniform(0.0, 8.0))


def _is_certainly_wrong(kind: str, given: float, right: float) -> bool:
    """Whether a value cannot be believed beside what it should be; independent of how the gate comes to it."""
    if not np.isfinite(given):
        return True
    if kind in ("price", "fill_price", "mark_price"):
        limit = LIMITS.max_mark_distance if kind == "mark_price" else LIMITS.max_price_disagreement
        return given <= 0 or abs(np.log(given) - np.log(right)) > -np.log1p(-limit) + CERTAIN
    if kind == "funding_rate":
        return abs(given) > 0.0055
    if kind == "funding_interval_hours":
        return given not in LIMITS.interval_hours
    if kind == "bid_ask_spread":
        return not 0 <= given <= LIMITS.max_spread
    return not 0 <= given <= LIMITS.max_volume_usd


def _whole_exchange(rng: np.random.Generator, market: MarketData, rows: np.ndarray) -> str:
    """All prices of an exchange times one factor, each of which might be believed alone."""
    exchange = int(rng.integers(len(market.exchanges)))
    legs = np.flatnonzero(market.leg_exchange == exchange)
    factor = float(np.exp(rng.choice([-1, 1]) * rng.uniform(np.log(1.03), np.log(1.19))))
    spoilt = market
    for kind in ("price", "fill_price"):
        for leg in legs:
            spoilt = changed(spoilt, kind, leg, rows, getattr(market, kind)[leg, rows] * factor)
    gated = gate_market(spoilt, LIMITS).market
    assert np.isnan(gated.price[np.ix_(legs, rows)]).all(), f"{factor} times the prices of an exchange are believed"
    assert np.isnan(gated.fill_price[np.ix_(legs, rows)]).all(), f"{factor} times the fills of an exchange are believed"
    kinds = {"price", "fill_price", "mark_price", "bid_ask_spread", "depth_usd"}
    _nothing_else(spoilt, gated, set(legs.tolist()), set(rows.tolist()), kinds)
    return "refused"


def _nothing_else(spoilt: MarketData, gated: MarketData, legs: set[int], rows: set[int], kinds: set[str]) -> None:
    """Everything that is lost is of these legs, rows and kinds; everything that is left is as it was given."""
    for kind in PER_LEG_FLOATS:
        given, left = getattr(spoilt, kind), getattr(gated, kind)
        lost = ~np.isnan(given) & np.isnan(left)
        for leg, row in np.argwhere(lost).tolist():
            inside = leg in legs and row in rows and kind in kinds
            # A price that is not known any more lets the next one be measured by an older one, and a mark by that.
            assert inside, f"{kind} of leg {leg} at row {row} is lost too (spoilt: {legs}, {rows}, {kinds})"
        known = ~np.isnan(left)
        assert (left[known] == given[known]).all(), f"{kind} was changed"
