"""An observation from facts that somebody states, by the functions that encode a market's (``transformed``).

Facts have the units of ``readable``; what is not known is None and never 0. What follows from other facts is not
stated, so that it cannot contradict them: means, bounds, what a switch gains, and the mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.errors import UserError, did_you_mean
from engine.market.data import Floats
from engine.observation import values as names
from engine.observation.actions import FIRST_ENTRY, HOLD
from engine.observation.encoding import Float32s, ObservationSpec, Scaler
from engine.observation.standardised import put_account, put_position, scaled
from engine.observation.transformed import (
    BEST_OF_CONTEXT,
    CONTEXT,
    PAIR,
    SWITCH_ROUND_TRIPS,
    put_bits,
    put_bounds,
    put_context,
    put_gain,
    put_slot,
    transform_pair,
)

Facts = Mapping[str, Any]
DERIVED = ("surplus_72h", "week_lower_bound")
PAIR_FACTS = tuple(name for name in names.PAIR if name not in DERIVED)
HELD_FACTS = tuple(name for name in PAIR_FACTS if not name.startswith("interval_"))
"""A held pair shows something else in the place of the intervals of its legs."""
LEGS = ("long_exchange", "short_exchange")
SLOT_FACTS = ("exit_pending", "pnl", "price_pnl", "funding", "hours_held", "basis_at_entry", "stale_hours")
PORTFOLIO_FACTS = ("offered_pairs", "drawdown")
PORTFOLIO_FACTS_1 = ("equity", "committed", "drawdown")
SLOT_FACTS_1 = ("pnl", "hours_held", "funding")
ALWAYS_KNOWN = (
    "offered_pairs", "drawdown", "equity", "committed", "hours_held", "stale_hours", "age", "liquidation_distance",
    *names.PAIR_WALLETS, *names.SLOT_WALLETS,
)  # fmt: skip
NEVER_NEGATIVE = ("offered_pairs", "drawdown", "hours_held", "stale_hours", "age", "volume_24h")
PENDING = "pending"
"""Stated in the place of a position: the slot waits for the fill of an entry."""


class StatedError(UserError):
    """A fact is missing, unknown, or no number. ``where`` is its place in what was stated."""

    def __init__(self, what: str, *where: str | int) -> None:
        self.where = where
        super().__init__(what)


def names_of(spec: ObservationSpec) -> dict[str, tuple[str, ...]]:
    """Names of the facts of portfolio, positions and opportunities, all of which must be stated."""
    if spec.version == 1:
        slot = (*SLOT_FACTS_1, *(("liquidation_distance",) if spec.liquidation_distance else ()))
        return {"portfolio": PORTFOLIO_FACTS_1, "positions": slot, "opportunities": spec.features}
    wallets = tuple(names.PAIR_WALLETS) if spec.wallets else ()
    distances = tuple(names.SLOT_WALLETS) if spec.wallets else ()
    return {
        "portfolio": PORTFOLIO_FACTS,
        "positions": (*LEGS, *HELD_FACTS, *wallets, *SLOT_FACTS, *distances),
        "opportunities": (*LEGS, *PAIR_FACTS, *wallets),
    }


def stated_observation(
    spec: ObservationSpec, scaler: Scaler, portfolio: Facts, positions: Sequence[Any], opportunities: Sequence[Facts]
) -> Float32s:
    """The observation ``[spec.size]`` of what is stated.

    ``positions``: facts by slot, None for a free one, ``PENDING``; there may be fewer than slots. ``opportunities``:
    those that are shown, best first, held ones left out. Raises ``StatedError``.
    """
    _check_counts(spec, positions, opportunities)
    wanted = names_of(spec)
    whole = _facts(portfolio, wanted["portfolio"], "portfolio")
    held = [_position(one, wanted["positions"], s) for s, one in enumerate(positions)]
    seen = [_facts(one, wanted["opportunities"], "opportunities", k) for k, one in enumerate(opportunities)]
    out = np.zeros(spec.size, np.float32)
    (_put_version_1 if spec.version == 1 else _put_version_2)(spec, scaler, (whole, held, seen), out)
    return out


def _check_counts(spec: ObservationSpec, positions: Sequence[Any], opportunities: Sequence[Facts]) -> None:
    if len(positions) > spec.positions:
        raise StatedError(f"there are {len(positions)}, the policy has {spec.positions} slots", "positions")
    if len(opportunities) > spec.opportunities:
        raise StatedError(f"there are {len(opportunities)}, the policy is shown {spec.opportunities}", "opportunities")


def _position(stated: Any, wanted: Sequence[str], s: int) -> Any:
    if stated is None or stated == PENDING:
        return stated
    return _facts(stated, wanted, "positions", s)


def _facts(stated: Any, wanted: Sequence[str], *where: str | int) -> dict[str, Any]:
    """Every wanted fact as a number, nan where it is stated to be unknown; exchanges as text."""
    if not isinstance(stated, Mapping):
        raise StatedError("it is no object of facts by name", *where)
    for name in stated:
        if name not in wanted:
            raise StatedError(f"there is no such fact; {did_you_mean(name, wanted)}", *where, str(name))
    found: dict[str, Any] = {}
    for name in wanted:
        if name not in stated:
            raise StatedError("it is missing; state null where it is not known", *where, name)
        found[name] = _fact(stated[name], name, *where)
    return found


def _fact(value: Any, name: str, *where: str | int) -> Any:
    if name in LEGS:
        if not isinstance(value, str):
            raise StatedError("it is no name of an exchange", *where, name)
        return value
    if name == "exit_pending":
        if not isinstance(value, bool):
            raise StatedError("it is neither true nor false", *where, name)
        return value
    if value is None and name not in ALWAYS_KNOWN:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise StatedError("it is no finite number", *where, name)
    if value < 0 and name in NEVER_NEGATIVE:
        raise StatedError("it is below 0", *where, name)
    return float(value)


def _put_version_1(spec: ObservationSpec, scaler: Scaler, stated: tuple[Facts, Any, Any], out: Float32s) -> None:
    portfolio, positions, opportunities = stated
    is_open = [isinstance(one, Mapping) for one in positions]
    for s, one in enumerate(positions):
        if is_open[s]:
            at = spec.widths.portfolio + spec.widths.slot * s
            place = out[at : at + spec.widths.slot]
            put_position(one["pnl"], one["hours_held"], one["funding"], place)
            if spec.liquidation_distance:
                place[3] = one["liquidation_distance"]
    put_account(portfolio["equity"], portfolio["committed"], sum(is_open) / spec.positions, portfolio["drawdown"], out)
    for k, one in enumerate(opportunities):
        at = spec.first_opportunity + k * spec.widths.opportunity
        for j, name in enumerate(spec.features):
            value = scaled(one[name], scaler.mean[j], scaler.deviation[j])
            out[at + j] = 0.0 if np.isnan(value) else value


def _put_version_2(spec: ObservationSpec, _: Scaler, stated: tuple[Facts, Any, Any], out: Float32s) -> None:
    portfolio, positions, opportunities = stated
    width, exchanges = spec.widths.opportunity, len(spec.exchanges)
    best, cost, day, week = np.nan, np.nan, 0.0, 0.0
    for k, one in enumerate(opportunities):
        at = spec.first_opportunity + k * width
        values, promised = _pair(spec, one, out[at : at + width])
        if k < BEST_OF_CONTEXT:
            day, week = day + values[0], week + values[2]
        if promised > best or (np.isnan(best) and not np.isnan(promised)):
            best, cost = promised, float(values[9])
    averaged = min(len(opportunities), BEST_OF_CONTEXT)
    means = (week / averaged, day / averaged) if averaged else (np.nan, np.nan)
    held, waiting = sum(isinstance(one, Mapping) for one in positions), sum(one == PENDING for one in positions)
    shares = held / spec.positions, waiting / spec.positions
    put_context(shares, means, int(portfolio["offered_pairs"]), portfolio["drawdown"], out)
    for s, one in enumerate(positions):
        if isinstance(one, Mapping):
            place = out[CONTEXT + spec.widths.slot * s : CONTEXT + spec.widths.slot * (s + 1)]
            promised = _pair(spec, {**one, "interval_long": np.nan, "interval_short": np.nan}, place[:width])[1]
            put_gain(best - promised, SWITCH_ROUND_TRIPS * cost, place[: PAIR + 2 * exchanges])
            money = one["pnl"], one["price_pnl"], one["funding"]
            leaving = bool(one["exit_pending"])
            put_slot(leaving, money, one["hours_held"], one["basis_at_entry"], one["stale_hours"], place[width:])
            if spec.wallets:
                place[width + 8], place[width + 9] = one["distance_long"], one["distance_short"]
    _put_mask(spec, positions, len(opportunities), out[spec.size - spec.widths.mask :])


def _pair(spec: ObservationSpec, stated: Facts, out: Float32s) -> tuple[Floats, float]:
    """The values of a pair into ``out``; its facts and V, bps."""
    fact = np.array([stated.get(name, np.nan) for name in names.PAIR])
    # People state a volume in USD; what is shown is its logarithm, and without trades there is none.
    fact[10] = np.log10(fact[10]) if fact[10] > 0 else np.nan
    promised = float(put_bounds(fact))
    transform_pair(fact, out)
    bits = [spec.exchanges.index(stated[leg]) if stated[leg] in spec.exchanges else -1 for leg in LEGS]
    put_bits(bits[0], bits[1], len(spec.exchanges), out)
    if spec.wallets:
        first = PAIR + 2 * len(spec.exchanges)
        out[first], out[first + 1] = stated["free_margin_long"], stated["free_margin_short"]
    return fact, promised


def _put_mask(spec: ObservationSpec, positions: Sequence[Any], shown: int, out: Float32s) -> None:
    free = spec.positions - sum(one is not None for one in positions)
    out[HOLD] = 1.0
    out[FIRST_ENTRY : FIRST_ENTRY + shown] = free > 0
    for s, one in enumerate(positions):
        out[FIRST_ENTRY + spec.opportunities + s] = isinstance(one, Mapping) and not one["exit_pending"]
