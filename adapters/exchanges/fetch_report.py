"""What a download brought and what it did not: rows, spans, and every gap against the interval in force."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from adapters.datasets.settlement_intervals import Gap, bar_gaps, intervals_in_force
from adapters.exchanges.history import ExchangeHistory
from adapters.exchanges.leg_history import LegHistory
from adapters.exchanges.raw_gate import Refused
from adapters.gate.refusals import NAMED, Refusal
from adapters.storage.stamps import HOUR_MS
from engine.market.schedule import LONGEST_INTERVAL_HOURS


def report_of(
    found: Sequence[ExchangeHistory],
    since: int,
    until: int,
    refused: Refused | None = None,
    *,
    left_out: Sequence[str],
    now: int,
) -> dict[str, Any]:
    """A JSON value: per exchange its error, retries and symbols; per symbol rows, first, last, gaps, refusals, its end.

    Only rows of ``[since, until]`` that are believed count. ``left_out`` are stored parts that did not get into the
    tables. ``complete`` says whether nothing is left out and no exchange and no coin failed; gaps that the exchange
    itself has, and values that are not believed, do not change it.
    """
    told = refused or Refused()
    exchanges = {history.exchange: _exchange(history, since, until, told, now) for history in found}
    failed = any(each["error"] or any(leg["error"] for leg in each["symbols"].values()) for each in exchanges.values())
    return {
        "since": _time(since),
        "until": _time(until),
        "complete": not failed and not left_out,
        "left_out": list(left_out),
        "exchanges": exchanges,
    }


def _exchange(history: ExchangeHistory, since: int, until: int, refused: Refused, now: int) -> dict[str, Any]:
    return {
        "error": history.error,
        "retries": history.retries,
        "errors": dict(sorted(history.errors.items())),
        "not_listed": list(history.not_listed),
        "symbols": {symbol: _leg(leg, since, until, refused, now) for symbol, leg in history.legs.items()},
    }


def _leg(leg: LegHistory, since: int, until: int, refused: Refused, now: int) -> dict[str, Any]:
    name = leg.listing.symbol, leg.listing.exchange
    no_bars, no_settlements = refused.bars.get(name, set()), refused.settlements.get(name, set())
    bars = [time for time in leg.bars.times() if since <= time < until and time not in no_bars]
    settlements = [time for time in leg.settlements.times() if since <= time <= until and time not in no_settlements]
    end = leg.listing.announced_end(now)
    return {
        "listed": leg.listing.listed,
        "ends": None if end is None else _time(end),
        "error": leg.error,
        "refused": _refused([*leg.refused.values(), *refused.refusals.get(name, [])]),
        "bars": _span(bars, bar_gaps(bars, until), since, 1.0),
        "settlements": _span(settlements, settlement_gaps(settlements, until), since, _first_interval(settlements)),
    }


def _refused(refusals: Sequence[Refusal]) -> dict[str, Any]:
    """How many values are not believed, and the first few in words; their rows are not in the tables."""
    return {"values": len(refusals), "first": [str(each) for each in refusals[:NAMED]]}


def settlement_gaps(times: Sequence[int], until: int) -> list[Gap]:
    """Gaps between settlements, and after the last one when another was due before ``until``."""
    hours, gaps = intervals_in_force(times)
    if len(times) > 1:
        due_ms = hours[-1] * HOUR_MS
        missing = int((until - 1 - times[-1]) // due_ms)
        if missing > 0:
            gaps.append(Gap(times[-1], until, missing))
    return gaps


def _first_interval(times: Sequence[int]) -> float:
    # One row shows no interval; with the longest possible one nothing is called late without reason.
    return intervals_in_force(times)[0][0] if len(times) > 1 else LONGEST_INTERVAL_HOURS


def _span(times: Sequence[int], gaps: Sequence[Gap], since: int, step_hours: float) -> dict[str, Any]:
    listed = [{"after": _time(gap.after_ms), "before": _time(gap.before_ms), "missing": gap.missing} for gap in gaps]
    return {
        "rows": len(times),
        "first": _time(times[0]) if times else None,
        "last": _time(times[-1]) if times else None,
        "begins_late": bool(times) and times[0] - since >= step_hours * HOUR_MS,
        "gaps": listed,
    }


def _time(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%dT%H:%MZ}"
