"""Laws of missing funding that hold for any record, by the kernel and by the second implementation alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing import missing_funding
from hypothesis import given, settings
from hypothesis import strategies as st
from market_strategies import SEEDS, Case, cases
from reference_engine import simulate
from reference_records import Enter
from scripted import Scripted
from small_market import LegSketch, plain_settings, small_market

from adapters.datasets.hourly_intervals import hourly_intervals
from engine.accounting.books import Kind
from engine.accounting.records import Records
from engine.accounting.tape import SILENT, prepare
from engine.backtest import run_backtest
from engine.market.data import MarketData
from engine.market.schedule import ACTUAL, IMPUTED, SILENT_AFTER
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import EngineSettings

HOURS = 200
QUIET_END = 60
"""Hours at the end in which nothing is due: whatever was late is known by then."""

few = settings(max_examples=60, deadline=None, database=None)


def played(
    market: MarketData, given_settings: EngineSettings, orders: Any, first: int = 0, last: int | None = None
) -> Records:
    builder = OpportunityBuilder(prepare(market, given_settings))
    end = len(market.hours) - 1 if last is None else last
    return run_backtest(builder, Scripted(market, orders), first, end)


def funding_of(records: Records) -> Any:
    return records.ledger[records.ledger["kind"] == int(Kind.FUNDING)]


@few
@given(cases())
def test_an_assumption_never_pays_and_its_reversal_never_costs(case: Case) -> None:
    entries = funding_of(played(case.market, case.settings, case.orders, case.first, case.last))
    imputed, reversals = entries[entries["booking"] == IMPUTED], entries[entries["booking"] > IMPUTED]
    assert (imputed["amount"] <= 0).all()
    assert (reversals["amount"] >= 0).all()
    assert not np.signbit(entries["amount"][entries["amount"] == 0]).any()
    for position in np.unique(entries["position_id"]):
        for side in (0, 1):
            of_leg = (entries["position_id"] == position) & (entries["side"] == side) & (entries["booking"] != ACTUAL)
            assert entries["amount"][of_leg].sum() <= 1e-9


@few
@given(cases())
def test_a_silent_leg_is_never_entered_and_never_assumed(case: Case) -> None:
    """By the tape's own flags; that those are right the second implementation says."""
    tape = prepare(case.market, case.settings)
    silent = tape.arrays.quotes["flags"] & SILENT > 0
    records = played(case.market, case.settings, case.orders, case.first, case.last)
    for trade in records.trades:
        legs = tape.pairs.long_leg[trade["pair"]], tape.pairs.short_leg[trade["pair"]]
        assert not any(silent[leg, trade["opened"]] for leg in legs)
        if case.settings.latency_hours == 0:
            # Who holds a leg when it falls silent leaves in that hour.
            assert not any(silent[leg, trade["opened"] : trade["closed"]].any() for leg in legs)
    counts, kinds = tape.settlements.counts, tape.settlements.bookings["kind"]
    places = np.repeat(np.arange(counts.size), counts.ravel())
    imputed, actual = (np.bincount(places[kinds == kind], minlength=counts.size) > 0 for kind in (IMPUTED, ACTUAL))
    was_silent = silent[:, :-1]
    # Nothing is assumed in silence, unless something settled in that hour.
    assert not (was_silent & (imputed & ~actual).reshape(silent.shape)[:, 1:]).any()


@few
@given(SEEDS, st.integers(0, 2))
def test_what_is_settled_late_adds_up_to_what_is_settled_in_time(seed: int, grace: int) -> None:
    """Any delays, any changes of interval: once all is known, nothing that was assumed is left."""
    rng = np.random.default_rng(seed)
    rates, intervals = steady_record(rng)
    delays = {hour: int(rng.choice([0, 0, 1, 3, 12, 40])) for hour in rates}
    funding = {}
    for name, known in (("late", delays), ("in time", dict.fromkeys(rates, 0))):
        market = recorded(rates, intervals, known, grace)
        # No silence: a leg that falls silent is left, and then the sums are those of other positions.
        records = played(market, plain_settings(max_stale_hours=10 * HOURS), {1: [Enter("BTCUSDT", "alpha", "beta")]})
        entries = funding_of(records)
        funding[name] = {side: entries["amount"][entries["side"] == side].sum() for side in (0, 1)}
        assumed = entries["amount"][entries["booking"] != ACTUAL]
        assert abs(assumed.sum()) < 1e-9
    for side in (0, 1):
        assert abs(funding["late"][side] - funding["in time"][side]) < 1e-9


def steady_record(rng: np.random.Generator) -> tuple[dict[int, float], dict[int, float]]:
    """Rates and intervals by hour of a record without holes whose interval changes now and then."""
    rates: dict[int, float] = {}
    intervals: dict[int, float] = {}
    hour, interval = 0, 8
    while hour < HOURS - QUIET_END:
        rates[hour], intervals[hour] = float(0.001 * rng.normal()), float(interval)
        if rng.random() < 0.15:
            interval = int(rng.choice([1, 2, 4, 8]))
        hour += interval
    return rates, intervals


def recorded(rates: dict[int, float], intervals: dict[int, float], delays: dict[int, int], grace: int) -> MarketData:
    """The record on both legs of a coin, and its interval at every hour as a data set has it."""
    last = max(rates)
    closing = {last + 24: 0.0, last + 48: 0.0}  # daily at the end, so that nothing else falls due
    every = {**rates, **closing}
    stated = {**intervals, **dict.fromkeys(closing, 24.0)}
    known = {hour: hour + delays.get(hour, 0) for hour in every}
    leg = LegSketch(rates=every, interval=[stated.get(t, np.nan) for t in range(HOURS)], known=known)
    made = small_market({("BTCUSDT", name): leg for name in ("alpha", "beta")}, HOURS, grace)
    return replace(made, funding_interval_hours=hourly_intervals(made.funding_rate, made.funding_interval_hours))


@few
@given(SEEDS, st.integers(1, 30))
def test_silence_begins_and_ends_where_the_record_says(seed: int, limit: int) -> None:
    """From scratch, row by row: settlements that came in time, an interval that never changes, no grace."""
    rng = np.random.default_rng(seed)
    interval = int(rng.choice([1, 2, 4, 8]))
    settled = [t for t in range(0, HOURS, interval) if t == 0 or rng.random() < 0.5]
    market = recorded_once(settled, interval)
    tape = prepare(market, plain_settings(max_stale_hours=limit))
    found = (tape.arrays.quotes["flags"][0] & SILENT) > 0
    for t in range(HOURS):
        last = max(s for s in settled if s <= t)
        missing = (t - last) // interval
        assert bool(found[t]) == (missing >= SILENT_AFTER and t - last >= limit), t


def recorded_once(settled: list[int], interval: int) -> MarketData:
    leg = LegSketch(rates=dict.fromkeys(settled, 0.001), interval=float(interval))
    return small_market({("BTCUSDT", name): leg for name in ("alpha", "beta")}, HOURS)


@pytest.mark.parametrize("seed", range(8))
def test_spoiled_tables_are_refused_or_right(seed: int, tmp_path: Path) -> None:
    assert missing_funding.case(np.random.default_rng(seed), tmp_path) in ("refused", "accepted")


@few
@given(cases())
def test_cash_is_conserved_with_whatever_is_missing(case: Case) -> None:
    """Equity is capital plus the ledger plus what is unrealised, by the kernel and by the reference."""
    records = played(case.market, case.settings, case.orders, case.first, case.last)
    reference = simulate(case.market, case.settings, case.orders, case.first, case.last)
    capital = case.settings.initial_capital_usd
    booked = np.cumsum(records.ledger["amount"])
    for hour, theirs in zip(records.hours, reference.equity, strict=True):
        until = int(np.searchsorted(records.ledger["hour"], hour["hour"], side="right"))
        cash = capital + (booked[until - 1] if until else 0.0)
        assert abs(cash - hour["cash"]) <= 1e-9 * capital
        assert abs(hour["equity"] - float(theirs)) <= 1e-9 * capital
