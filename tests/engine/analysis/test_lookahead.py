"""Nothing up to an hour depends on what comes after it; whatever looks ahead is caught by the same check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from market_strategies import EXCHANGES, random_market, with_bars, with_books, with_instruments

from engine.accounting.books import ORDER, Reason
from engine.accounting.tape import prepare
from engine.analysis.lookahead import Replay, Subject, guilty_tables, leaks, replay
from engine.market.counterfactual import (
    BOOKS,
    INSTRUMENTS,
    NOTICES,
    OPPORTUNITIES,
    TABLES,
    up_to,
    with_other_future,
)
from engine.market.data import MarketData, RecordedOpportunities
from engine.market.instruments import RULES_OF_ORDERS, Instruments
from engine.observation.actions import decode_action
from engine.observation.encoding import ObservationSpec, Scaler, encoding_of, fit_scaler
from engine.observation.features import COLUMN, FEATURES
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Enter, Exit, Order, Strategy, View
from engine.settings import EngineSettings, FeeRow, FilterSettings, Settings
from strategies.basis import Basis, BasisParameters
from strategies.carry import Carry, CarryParameters
from strategies.greedy import Greedy, GreedyParameters
from strategies.hold import Hold
from strategies.plugin import Context
from strategies.policy import Policy, best_action
from strategies.random_actions import RandomActions, RandomActionsParameters

HOURS, FIRST = 150, 40


def settings_of(**changes: Any) -> EngineSettings:
    since = "2024-01-01"
    fees = {name: (FeeRow.model_validate({"since": since, "maker": 1e-4, "taker": 4e-4}),) for name in EXCHANGES}
    values = {"max_positions": 3, "min_history_hours": 5, "max_position_loss_pct": -4.0, "fees": fees}
    return EngineSettings(**(values | changes))


def market_of(seed: int) -> MarketData:
    """Everything that can be known late: settlements, notices, opportunities (in every other market)."""
    rng = np.random.default_rng(seed)
    market = random_market(rng, coins=3, exchanges=3, hours=HOURS)
    hours = int(market.hours[0]) + np.arange(HOURS) + rng.choice([0, 0, 1, 2], (market.legs, HOURS))
    market = replace(market, funding_known_hour=np.maximum.accumulate(hours, axis=1))
    market.delisting_known_hour[0] = int(market.hours[100])
    market.delisting_hour[0] = int(market.hours[110])
    return replace(market, recorded=_recorded(market, rng)) if seed % 2 else market


def with_rules(market: MarketData, seed: int = 7) -> MarketData:
    """The market with dated rules of orders, some of them after every cut."""
    return with_instruments(np.random.default_rng(seed), market, near_usd=2_000.0)


def rules_of(market: MarketData) -> Instruments:
    assert market.instruments is not None
    return market.instruments


def _recorded(market: MarketData, rng: np.random.Generator) -> RecordedOpportunities:
    pairs = len(prepare(market, settings_of()).pairs)
    rows = [np.flatnonzero(rng.random(pairs) < 0.8) for _ in range(HOURS)]
    columns = ("fund_apr", "volume_24h")
    return RecordedOpportunities(
        offsets=np.cumsum([0, *(len(row) for row in rows)]).astype(np.int64),
        pair=np.concatenate(rows),
        features=rng.normal(0, 50, (sum(len(row) for row in rows), 2)),
        columns=columns,
    )


# --- strategies that trade often ---


class NetworkPlayer:
    """A policy with random weights, as deployed: observation, network, action, order."""

    def __init__(self, builder: OpportunityBuilder, scaler: Scaler) -> None:
        rng = np.random.default_rng(5)
        # Version 2 has a scaler of nothing.
        spec = ObservationSpec(positions=builder.tape.settings.max_positions) if scaler.mean else SECOND
        sizes = (spec.size, 16, spec.actions)
        weights = tuple(
            rng.normal(0, 1, size).astype(np.float32) for size in ((sizes[0], sizes[1]), (sizes[1], sizes[2]))
        )
        biases = tuple(np.zeros(size, np.float32) for size in sizes[1:])
        self._policy = Policy("random weights", spec, scaler, weights, biases, "")
        self._encoding = encoding_of(spec, scaler)

    def decide(self, view: View) -> Sequence[Order]:
        observation, visible = view.observe(self._encoding, self._policy.spec)
        order: Any = np.zeros(1, ORDER)
        decode_action(best_action(self._policy, observation), visible, order[0])
        kind, target = int(order["kind"][0]), int(order["target"][0])
        return [] if kind == 0 else [Enter(target) if kind == 1 else Exit(target)]


def rule(strategy: Any, parameters: Settings) -> Callable[[OpportunityBuilder, Scaler], Strategy]:
    return lambda builder, scaler: strategy(parameters, Context(np.random.default_rng(1)))  # noqa: ARG005  # the signature that subjects ask for


HONEST: dict[str, Callable[[OpportunityBuilder, Scaler], Strategy]] = {
    "hold": rule(Hold, Hold.Parameters()),
    "random": rule(RandomActions, RandomActionsParameters(enter_probability=0.3, exit_probability=0.2)),
    "greedy": rule(Greedy, GreedyParameters(enter_apr_pct=-500, leave_apr_pct=20)),
    "carry": rule(Carry, CarryParameters(window_hours=24, enter_margin=0.2, leave_margin=0.1, recent_weight=0.5)),
    "basis": rule(Basis, BasisParameters(spread_hours=1, enter_z=0.2, leave_z=-0.1, enter_margin=-10)),
    "network": NetworkPlayer,
}
SECOND = ObservationSpec(version=2, exchanges=EXCHANGES, wallets=True, decide_every_hours=1)


def cuts_of(seed: int, count: int) -> list[int]:
    return sorted(
        np.random.default_rng(100 + seed).choice(np.arange(FIRST + 1, HOURS - 1), count, replace=False).tolist()
    )


def found_leaks(subject: Subject, market: MarketData, cuts: Sequence[int]) -> tuple[Replay, list[str]]:
    original = replay(subject, market)
    rng = np.random.default_rng(7)
    return original, [str(leak) for cut in cuts for leak in leaks(subject, market, original, cut, rng)]


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_observation_decision_or_booking_depends_on_the_future(name: str, seed: int) -> None:
    for latency, layout in ((0, None), (2, SECOND)):
        subject = Subject(settings_of(latency_hours=latency), FIRST, HONEST[name], layout=layout)
        original, leaking = found_leaks(subject, market_of(seed), cuts_of(seed + 10 * latency, 2))
        assert leaking == []
        assert len(original.seen) == HOURS - 1 - FIRST
        assert len(original.records.trades) > 5 or name == "hold"


def test_filters_stop_losses_and_outages_do_not_look_ahead_either() -> None:
    filters = FilterSettings(min_volume_24h_usd=1e5, max_bid_ask_spread=0.007)
    strict = settings_of(max_position_loss_pct=-0.4, max_stale_hours=1, filters=filters)
    patient = rule(RandomActions, RandomActionsParameters(enter_probability=0.5, exit_probability=0.02))
    subject = Subject(strict, FIRST, patient)
    reasons: set[int] = set()
    for seed in (2, 4, 6):
        original, leaking = found_leaks(subject, market_of(seed), cuts_of(seed, 3))
        assert leaking == []
        reasons |= set(original.records.trades["reason"].tolist())
    assert {1, 2} <= reasons


@pytest.mark.parametrize("execution", ["taker", "maker_then_hedge"])
def test_obeying_the_rules_in_force_is_no_look_ahead(execution: str) -> None:
    subject = Subject(settings_of(execution=execution), FIRST, HONEST["random"])
    market = with_rules(with_bars(np.random.default_rng(2), market_of(2)))
    original, leaking = found_leaks(subject, market, cuts_of(2, 4))
    assert leaking == []
    refused = {Reason(reason) for reason in original.records.notes["reason"].tolist()}
    assert Reason.BELOW_EXCHANGE_MINIMUM in refused
    assert len(original.records.trades) > 5


# --- cheats ---


class Peeker:
    """Enters what will be dearer an hour later."""

    def __init__(self, builder: OpportunityBuilder, scaler: Scaler) -> None:  # noqa: ARG002  # the signature that subjects ask for
        self._tape = builder.tape

    def decide(self, view: View) -> Sequence[Order]:
        row = self._tape.market.index_of(view.time)
        price = self._tape.arrays.quotes["price"]
        gain = price[:, row + 1] - price[:, row]
        pairs = self._tape.pairs
        good = view.offered & (gain[pairs.long_leg] > gain[pairs.short_leg])
        return [Enter(int(pair)) for pair in np.flatnonzero(good)[: view.free_slots]]


class FillPeeker(Peeker):
    """Enters what will be filled below the last trade."""

    def decide(self, view: View) -> Sequence[Order]:
        quotes = self._tape.arrays.quotes[:, self._tape.market.index_of(view.time)]
        cheap = (quotes["fill"] < quotes["price"])[self._tape.pairs.long_leg]
        return [Enter(int(pair)) for pair in np.flatnonzero(view.offered & cheap)[: view.free_slots]]


class RulesPeeker(Peeker):
    """Enters only where the exchange will ask for larger orders later."""

    def decide(self, view: View) -> Sequence[Order]:
        rules, pairs = rules_of(self._tape.market), self._tape.pairs
        rising = np.zeros(self._tape.market.legs, bool)
        for leg in np.unique(rules.leg):
            lots = rules.lot[rules.leg == leg]
            rising[leg] = lots[-1] > lots[0]
        good = view.offered & (rising[pairs.long_leg] | rising[pairs.short_leg])
        return [Enter(int(pair)) for pair in np.flatnonzero(good)[: view.free_slots]]


class FillFeature(OpportunityBuilder):
    """Takes the spread between first trades after the hour for the spread of the hour."""

    def fill(self, t: int, features: Any, offered: Any) -> None:
        super().fill(t, features, offered)
        fill, pairs = self.tape.market.fill_price[:, t], self.tape.pairs
        features[:, COLUMN["spread"]] = fill[pairs.short_leg] / fill[pairs.long_leg] - 1


class NearestHour(OpportunityBuilder):
    """Looks features up half an hour too late."""

    def fill(self, t: int, features: Any, offered: Any) -> None:
        super().fill(t, features, offered)
        later = np.empty_like(features)
        super().fill(min(t + 1, self.tape.hours - 1), later, offered.copy())
        features[:, COLUMN["fund_apr"]] = later[:, COLUMN["fund_apr"]]


def tables_of_tomorrow(market: MarketData, settings: EngineSettings) -> OpportunityBuilder:
    """Mean spreads of eight hours are those of the coming hour."""
    builder = OpportunityBuilder(prepare(market, settings))
    builder.tables = builder.tables._replace(spread_8h=np.roll(builder.tables.spread_8h, -1, axis=0))
    return builder


class BestCoinsOfAll(OpportunityBuilder):
    """Offers only coins whose volume over all data is large: survivors."""

    def fill(self, t: int, features: Any, offered: Any) -> None:
        super().fill(t, features, offered)
        volume = np.nan_to_num(self.tape.market.volume_24h_usd).mean(axis=1)
        offered &= (volume > np.median(volume))[self.tape.pairs.long_leg]


@dataclass
class Backwards:
    """Prepares a market after changing it with knowledge of all of it."""

    change: Callable[[MarketData], MarketData]

    def __call__(self, market: MarketData, settings: EngineSettings) -> OpportunityBuilder:
        return OpportunityBuilder(prepare(self.change(market), settings))


def back_filled(market: MarketData) -> MarketData:
    """Gaps hold the next price instead of the last."""
    price = market.price.copy()
    for t in range(price.shape[1] - 2, -1, -1):
        price[:, t] = np.where(np.isnan(price[:, t]), price[:, t + 1], price[:, t])
    return replace(market, price=price)


def known_at_once(market: MarketData) -> MarketData:
    return replace(market, funding_known_hour=None)


def foreseen(market: MarketData) -> MarketData:
    return replace(market, delisting_known_hour=np.zeros_like(market.delisting_known_hour))


def early_opportunities(market: MarketData) -> MarketData:
    """An opportunity of the coming hour is shown in this one."""
    recorded = market.recorded
    if recorded is None:
        return market
    return replace(market, recorded=replace(recorded, offsets=np.append(recorded.offsets[1:], recorded.offsets[-1])))


def fitted_on_everything(builder: OpportunityBuilder, spec: ObservationSpec, first: int) -> Scaler:  # noqa: ARG001  # the signature that subjects ask for
    return fit_scaler(builder, spec, 0, builder.tape.hours - 1)


CHEATS: dict[str, tuple[dict[str, Any], str]] = {
    "a strategy that reads the next hour's prices": ({"strategy": Peeker}, "orders"),
    "a strategy that reads the fill price": ({"strategy": FillPeeker}, "orders"),
    "a feature made of fill prices": ({"builder": lambda m, s: FillFeature(prepare(m, s))}, "features"),
    "features of the nearest hour": ({"builder": lambda m, s: NearestHour(prepare(m, s))}, "features"),
    "observation 2 of the coming hour": ({"builder": tables_of_tomorrow, "layout": SECOND}, "opportunities"),
    "coins chosen by all data": ({"builder": lambda m, s: BestCoinsOfAll(prepare(m, s))}, "offered"),
    "a scaler fitted on all data": ({"scaler": fitted_on_everything}, "opportunities"),
    "gaps filled with later prices": ({"builder": Backwards(back_filled)}, "features"),
    "settlements before they are published": ({"builder": Backwards(known_at_once)}, "features"),
    "delistings before the notice": ({"builder": Backwards(foreseen)}, "offered"),
    "opportunities before their hour": ({"builder": Backwards(early_opportunities)}, "offered"),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_whatever_looks_ahead_is_caught(cheat: str) -> None:
    changes, gives_itself_away_by = CHEATS[cheat]
    subject = Subject(settings_of(), FIRST, HONEST["random"])
    _, leaking = found_leaks(replace(subject, **changes), market_of(1), [*cuts_of(3, 4), 97])
    assert any(f": {gives_itself_away_by} of row" in leak for leak in leaking), leaking


@pytest.mark.parametrize("execution", ["taker", "maker_then_hedge"])
def test_who_reads_rules_that_hold_only_later_is_caught(execution: str) -> None:
    subject = Subject(settings_of(execution=execution), FIRST, RulesPeeker)
    market = with_rules(with_bars(np.random.default_rng(2), market_of(1)))
    original, leaking = found_leaks(subject, market, cuts_of(3, 4))
    assert any(": orders of row" in leak for leak in leaking), leaking
    rng = np.random.default_rng(0)
    guilty = {table for cut in cuts_of(3, 4) for table, _ in guilty_tables(subject, market, original, cut, rng)}
    assert guilty == {INSTRUMENTS}


class FarSighted(Peeker):
    """Reads an hour that may not be there, and does nothing with it."""

    def decide(self, view: View) -> Sequence[Order]:
        _ = self._tape.arrays.quotes["price"][0, self._tape.market.index_of(view.time) + 4]
        return []


def test_who_fails_without_a_future_is_caught() -> None:
    subject = Subject(settings_of(), FIRST, FarSighted, last=100)
    market = market_of(1)
    found = leaks(subject, market, replay(subject, market), 90, np.random.default_rng(0))
    assert [leak.row for leak in found] == [89]
    assert "no future: IndexError" in str(found[0])


# --- the checker itself ---


@pytest.mark.parametrize("fill_too", [False, True])
def test_another_future_keeps_the_past_and_nothing_else(fill_too: bool) -> None:
    market, cut = market_of(1), 90
    other = with_other_future(market, cut, np.random.default_rng(0), fill_too=fill_too)
    now = int(market.hours[cut])
    known, other_known = market.funding_known_hour, other.funding_known_hour
    assert known is not None
    assert other_known is not None
    for name in ("price", "mark_price", "volume_24h_usd", "bid_ask_spread", "fill_price"):
        ours, theirs = getattr(market, name), getattr(other, name)
        kept = cut if fill_too and name == "fill_price" else cut + 1
        np.testing.assert_array_equal(ours[:, :kept], theirs[:, :kept])
        assert not np.isclose(ours[:, kept:], theirs[:, kept:], equal_nan=False).any()
    np.testing.assert_array_equal(known > now, other_known > now)
    np.testing.assert_array_equal(market.funding_rate[known <= now], other.funding_rate[known <= now])
    late = (known > now) & ~np.isnan(market.funding_rate)
    assert late[:, : cut + 1].any()
    assert not np.isclose(market.funding_rate[late], other.funding_rate[late]).any()
    assert other.delisting_known_hour[0] > now
    notices = [(side.delisting_hour[0], side.delisting_known_hour[0]) for side in (market, other)]
    assert notices[0] != notices[1]
    ours, theirs = market.recorded, other.recorded
    assert ours is not None
    assert theirs is not None
    rows = int(ours.offsets[cut + 1])
    assert theirs.offsets[: cut + 2].tolist() == ours.offsets[: cut + 2].tolist()
    np.testing.assert_array_equal(theirs.features[:rows], ours.features[:rows])
    assert len(theirs.pair) == theirs.offsets[-1]
    assert len(FEATURES) > len(ours.columns)


@pytest.mark.parametrize("cut", [FIRST, 90, HOURS - 2])
def test_rules_in_force_and_before_stay_and_later_ones_are_others(cut: int) -> None:
    market = with_rules(market_of(1))
    ours, now = rules_of(market), int(market.hours[cut])
    seen, removed = 0, rules_of(up_to(market, cut))
    for seed in range(10):
        theirs = rules_of(with_other_future(market, cut, np.random.default_rng(seed)))
        assert set(theirs.leg) == set(ours.leg) == set(removed.leg)
        for leg in np.unique(ours.leg):
            lines = [set(_lines(rules, leg)) for rules in (ours, theirs, removed)]
            first = min(line[0] for line in lines[0])
            past = {line for line in lines[0] if line[0] <= max(now, first)}
            assert lines[0] & lines[1] == lines[2] == past
            seen += len(lines[1] - past)
    assert seen > 20


def _lines(rules: Instruments, leg: int) -> list[tuple[float, ...]]:
    columns = (rules.since, *(np.nan_to_num(getattr(rules, name), nan=-1.0) for name in RULES_OF_ORDERS))
    return [tuple(float(column[row]) for column in columns) for row in np.flatnonzero(rules.leg == leg)]


@pytest.mark.parametrize("table", TABLES)
def test_one_table_can_have_another_future_alone(table: str) -> None:
    rng, cut = np.random.default_rng(2), 90
    market = with_rules(with_books(rng, with_bars(rng, market_of(1)), near_usd=1e3))
    other = with_other_future(market, cut, np.random.default_rng(0), tables=(table,))
    changed = {
        name
        for name in TABLES
        if name not in (NOTICES, OPPORTUNITIES, INSTRUMENTS, BOOKS)
        and not np.array_equal(getattr(market, name), getattr(other, name), equal_nan=True)
    }
    changed |= {NOTICES} if not np.array_equal(market.delisting_known_hour, other.delisting_known_hour) else set()
    changed |= {OPPORTUNITIES} if market.recorded is not other.recorded else set()
    changed |= {INSTRUMENTS} if market.instruments is not other.instruments else set()
    changed |= {BOOKS} if market.order_books is not other.order_books else set()
    assert changed == {table}
