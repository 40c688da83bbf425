"""The observation entry by entry, actions and masks, the identity of a spec, and the scaler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from market_strategies import random_market, random_settings
from scripted import pair_indexes
from small_market import LegSketch, plain_settings, small_market

from engine.accounting.books import ORDER, OrderKind, Status, open_books
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.errors import SettingsError, UserError
from engine.market.counterfactual import up_to
from engine.market.data import MarketData
from engine.observation.actions import action_count, action_mask, action_names, decode_action, is_action
from engine.observation.encoding import V1_FEATURES, ObservationSpec, Scaler, encoding_of, fit_scaler
from engine.observation.features import COLUMN, FEATURES
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Enter, Exit, Order, View
from engine.settings import EngineSettings, parse_settings

HOURS = 8
COINS = ("AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT")


def raw_scaler(spec: ObservationSpec) -> Scaler:
    """Leaves every feature as it is."""
    return Scaler(mean=(0.0,) * len(spec.features), deviation=(1.0,) * len(spec.features))


def four_coins() -> MarketData:
    """Alpha pays nothing, beta pays shorts 4, 3, 2 and 1 bp an hour by coin: net APR falls from AAA to DDD."""
    legs = {(coin, "alpha"): LegSketch(rates=dict.fromkeys(range(HOURS), 0.0), interval=1) for coin in COINS}
    for k, coin in enumerate(COINS):
        rates = dict.fromkeys(range(HOURS), 1e-4 * (4 - k))
        legs[(coin, "beta")] = LegSketch(price=100 + k, rates=rates, interval=1, volume=1e6)
    return small_market(legs, HOURS)


class Watcher:
    """Sends scripted orders and calls ``look`` with every view before it does."""

    def __init__(self, orders: dict[int, list[Order]], look: Callable[[int, View], None]) -> None:
        self._orders, self._look, self._hour = orders, look, 0

    def decide(self, view: View) -> Sequence[Order]:
        self._look(self._hour, view)
        self._hour += 1
        return self._orders.get(self._hour - 1, ())


def observed(
    market: MarketData, settings: EngineSettings, orders: dict[int, list[Order]], spec: ObservationSpec, scaler: Scaler
) -> list[tuple[np.ndarray, list[int]]]:
    """(observation, pairs shown) of every hour of a run over the whole market."""
    seen: list[tuple[np.ndarray, list[int]]] = []

    def look(_: int, view: View) -> None:
        observation, visible = view.observe(encoding_of(spec, scaler), spec)
        seen.append((observation, visible.tolist()))

    builder = OpportunityBuilder(prepare(market, settings))
    run_backtest(builder, Watcher(orders, look), 0, len(market.hours) - 1)
    return seen


# --- layout ---


def test_version_one_has_124_values_and_9_actions_for_3_positions_and_5_opportunities() -> None:
    spec = ObservationSpec()
    assert (spec.version, spec.positions, spec.opportunities, spec.ranking) == (1, 3, 5, "fund_apr")
    assert (spec.size, spec.actions) == (124, 9)
    # The order of docs/design.md section 6.
    assert spec.features == (
        *("long_funding_rate", "short_funding_rate", "long_interval_8h", "short_interval_8h"),
        *("fund_profit_8h", "fundProfit8h24hProj", "fundProfit8h3dProj"),
        *("fund_apr", "fundApr24hProj", "fundApr3dProj"),
        *("spread30SampleAvg", "priceSpread24hAvg", "priceSpread3dAvg", "spread_volatility_stddev"),
        *("log_volume_24h", "bidAskSpreadPercent", "log_orderbookDepthUsd"),
        *("estimatedProfitPercentage", "positionCostPercent"),
        *("spread30_minus_24h", "apr_minus_apr24h", "apr24h_minus_apr3d"),
    )


@pytest.mark.parametrize(("positions", "opportunities"), [(1, 1), (2, 7), (5, 3), (8, 12)])
def test_other_sizes_have_their_layout(positions: int, opportunities: int) -> None:
    spec = ObservationSpec(positions=positions, opportunities=opportunities)
    assert spec.size == 5 + 3 * positions + 22 * opportunities
    assert spec.actions == 1 + opportunities + positions
    settings = plain_settings(max_positions=positions)
    observation, visible = observed(four_coins(), settings, {}, spec, raw_scaler(spec))[3]
    assert observation.shape == (spec.size,)
    assert len(visible) == opportunities
    shown = min(opportunities, 8)
    assert sum(pair >= 0 for pair in visible) == shown
    aprs = observation[5 + 3 * positions :].reshape(opportunities, 22)[:, 7]
    expected = [24 * 365 * rate for rate in (0.04, 0.03, 0.02, 0.01, -0.01, -0.02, -0.03, -0.04)]
    assert aprs[:shown].tolist() == pytest.approx(expected[:shown], rel=1e-6)
    assert not aprs[shown:].any()


def test_a_run_with_another_number_of_positions_than_the_spec_is_refused() -> None:
    for positions in (1, 5):
        spec = ObservationSpec()
        with pytest.raises(UserError, match=f"has 3 positions and max_positions is {positions};"):
            observed(four_coins(), plain_settings(max_positions=positions), {}, spec, raw_scaler(spec))


# --- values ---


def test_every_value_of_the_portfolio_by_hand() -> None:
    """Two positions of 2N = 2,500 each at capital 10,000 (a quarter each); the third and fourth slot stay empty."""
    # AAA alpha/beta: bought at 100, sold at 100; at row 2 the long leg is worth 102 and the short leg costs 101.
    legs = {
        ("AAAUSDT", "alpha"): LegSketch(price=[100, 100, 102, 102, 90]),
        ("AAAUSDT", "beta"): LegSketch(price=[100, 100, 101, 101, 101], rates={0: 0.001, 1: 0.001, 2: 0.002}),
        ("BBBUSDT", "alpha"): LegSketch(price=50),
        ("BBBUSDT", "beta"): LegSketch(price=50),
    }
    market = small_market(legs, 6 - 1)
    pairs = pair_indexes(market)
    orders: dict[int, list[Order]] = {
        0: [Enter(pairs["AAAUSDT", "alpha", "beta"])],
        1: [Enter(pairs["BBBUSDT", "beta", "alpha"])],
    }
    spec = ObservationSpec(positions=4, opportunities=2)
    seen = observed(market, plain_settings(max_positions=4), orders, spec, raw_scaler(spec))
    # q = 1,250 / 100 = 12.5; fees of the entry 12.5 * 100 * (0.0005 + 0.0006) = 1.375.
    # Row 1: funding 12.5 * 100 * 0.001 = 1.25. BBB enters on equity 9,999.875: N = 1249.984375, q = 24.9996875.
    # Its fees: 1249.984375 * 0.0011 = 1.3749828125.
    # Row 2: funding 12.5 * 101 * 0.002 = 2.525, price 12.5 * (2 - 1) = 12.5.
    equity = 10_000 - 1.375 + 1.25 - 1.3749828125 + 2.525 + 12.5
    portfolio = [equity / 10_000, (2_500 + 2_499.96875) / equity, 0.5, (equity - 10_000) / 100, 0.0]
    first = [100 * (12.5 + 1.25 + 2.525 - 1.375) / 2_500, 2 / 72, 100 * (1.25 + 2.525) / 2_500]
    second = [100 * -1.3749828125 / 2_499.96875, 1 / 72, 0.0]
    expected = [*portfolio, *first, *second, *([0.0] * 6)]
    assert seen[2][0][:17].tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert seen[0][0][:17].tolist() == [1.0] + [0.0] * 16


def test_drawdown_is_from_the_highest_equity_of_the_hours_before() -> None:
    # q = 50: the long leg gains 100 USD at row 2 and falls 300 at row 3.
    legs = {("BTCUSDT", "alpha"): LegSketch(price=[100, 100, 102, 96, 96]), ("BTCUSDT", "beta"): LegSketch()}
    spec = ObservationSpec(positions=1, opportunities=1)
    orders: dict[int, list[Order]] = {0: [Enter(0)]}
    seen = observed(small_market(legs, 5), plain_settings(), orders, spec, raw_scaler(spec))
    fees = 50 * 100 * 0.0011
    peak = 10_000 + 100 - fees
    drawdowns = [100 * fees / 10_000, 0.0, 100 * 300 / peak]
    assert [float(observation[4]) for observation, _ in seen[1:4]] == pytest.approx(drawdowns, rel=1e-5)


def test_features_are_standardised_and_unknown_or_empty_ones_are_zero() -> None:
    spec = ObservationSpec(opportunities=5, positions=3)
    rng = np.random.default_rng(3)
    mean, deviation = rng.normal(size=22), rng.uniform(0.5, 3, 22)
    scaler = Scaler(mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))
    market = four_coins()
    settings = plain_settings(max_positions=3)
    builder = OpportunityBuilder(prepare(market, settings))
    features, _ = builder.at(4)
    observation, visible = observed(market, settings, {}, spec, scaler)[4]
    slots = observation[14:].reshape(5, 22)
    raw = features[visible][:, :22]
    assert np.isnan(raw).any()
    expected = np.where(np.isnan(raw), 0.0, (raw - mean) / deviation)
    assert slots == pytest.approx(expected, rel=1e-6, abs=1e-6)
    few = ObservationSpec(opportunities=10)
    observation, visible = observed(market, settings, {}, few, scaler)[4]
    assert [pair >= 0 for pair in visible] == [True] * 8 + [False] * 2
    assert not observation[14 + 8 * 22 :].any()
    assert observation.dtype == np.float32


def test_features_and_ranking_are_the_specs_own() -> None:
    spec = ObservationSpec(positions=1, opportunities=3, ranking="short_funding_rate", features=("spread", "fund_apr"))
    observation, visible = observed(four_coins(), plain_settings(), {}, spec, raw_scaler(spec))[2]
    names = list(pair_indexes(four_coins()))
    assert [names[pair] for pair in visible] == [(coin, "alpha", "beta") for coin in COINS[:3]]
    aprs = [24 * 365 * rate for rate in (0.04, 0.03, 0.02)]
    expected = [value for k in range(3) for value in (k / 100, aprs[k])]
    assert observation[8:].tolist() == pytest.approx(expected, rel=1e-6)


def test_held_and_pending_pairs_and_their_mirrors_are_not_shown_and_others_move_up() -> None:
    pairs = pair_indexes(four_coins())
    first, second = pairs["AAAUSDT", "alpha", "beta"], pairs["BBBUSDT", "beta", "alpha"]
    orders: dict[int, list[Order]] = {1: [Enter(first), Enter(second)], 4: [Exit(0)]}
    spec = ObservationSpec(positions=2, opportunities=8)
    free = [pairs[coin, "alpha", "beta"] for coin in COINS] + [pairs[coin, "beta", "alpha"] for coin in COINS[::-1]]
    rest = [pair for pair in free if pair not in (first, second, first ^ 1, second ^ 1)]
    for latency, held in ((0, range(2, 5)), (2, range(2, 7))):
        settings = plain_settings(max_positions=2, latency_hours=latency)
        seen = observed(four_coins(), settings, orders, spec, raw_scaler(spec))
        for hour in (0, 1):
            assert seen[hour][1] == free
        for hour in held:
            assert seen[hour][1] == [*rest, -1, -1, -1, -1], (latency, hour)
        if not latency:
            # AAA was left at hour 4; BBB is still held.
            assert seen[5][1] == [p for p in free if p not in (second, second ^ 1)] + [-1, -1]


def test_held_pairs_never_crowd_out_what_may_be_shown() -> None:
    """With every slot held by the best pairs there are still as many opportunities as the spec has."""
    pairs = pair_indexes(four_coins())
    orders: dict[int, list[Order]] = {0: [Enter(pairs[coin, "alpha", "beta"]) for coin in COINS[:3]]}
    spec = ObservationSpec(positions=3, opportunities=2)
    seen = observed(four_coins(), plain_settings(max_positions=3), orders, spec, raw_scaler(spec))
    assert seen[3][1] == [pairs["DDDUSDT", "alpha", "beta"], pairs["DDDUSDT", "beta", "alpha"]]


@pytest.mark.parametrize("seed", [0, 1, 3, 4])
def test_what_is_shown_is_what_is_offered_and_not_held_in_order(seed: int) -> None:
    """On random markets: the view's offered pairs, sorted by the key, are what the observation holds."""
    rng = np.random.default_rng(seed)
    market, settings = random_market(rng, 3, 3, 80), random_settings(rng)
    spec = ObservationSpec(positions=settings.max_positions, opportunities=4)
    encoding = encoding_of(spec, raw_scaler(spec))
    shown = 0

    class Trader:
        def decide(self, view: View) -> Sequence[Order]:
            nonlocal shown
            keys, offered = view.feature("fund_apr"), np.flatnonzero(view.offered)
            assert not any(view.is_held(int(pair)) for pair in offered)
            ranked = sorted((p for p in offered if not np.isnan(keys[p])), key=lambda p: (-keys[p], p))
            observation, visible = view.observe(encoding, spec)
            assert [pair for pair in visible.tolist() if pair >= 0] == ranked[:4]
            assert np.isfinite(observation).all()
            shown += len(ranked)
            return [Enter(int(pair)) for pair in rng.permutation(offered)[:1] if rng.random() < 0.3] + [
                Exit(position.slot) for position in view.positions if rng.random() < 0.1
            ]

    run_backtest(OpportunityBuilder(prepare(market, settings)), Trader(), 5, 79)
    assert shown > 20


# --- actions and masks ---


def test_actions_are_hold_then_opportunities_then_positions() -> None:
    visible = np.array([11, 4, -1], np.int64)
    decoded = []
    for action in range(1 + 3 + 2):
        order: Any = np.zeros(1, ORDER)
        decode_action(action, visible, order[0])
        decoded.append((OrderKind(int(order["kind"][0])), int(order["target"][0])))
    enter, leave = OrderKind.ENTER, OrderKind.EXIT
    # The empty third opportunity becomes an order on no pair, which is refused and recorded.
    assert decoded == [(OrderKind.NONE, 0), (enter, 11), (enter, 4), (enter, -1), (leave, 0), (leave, 1)]


def test_names_count_and_meaning_of_actions_are_one_numbering() -> None:
    names = action_names(3, 2)
    entries = ["enter opportunity 1", "enter opportunity 2", "enter opportunity 3"]
    assert names == ["hold", *entries, "exit position 1", "exit position 2"]
    assert len(names) == action_count(3, 2) == 6
    assert [is_action(action, 3, 2) for action in (-1, *range(6), 6)] == [False, *[True] * 6, False]
    verbs = {OrderKind.NONE: "hold", OrderKind.ENTER: "enter", OrderKind.EXIT: "exit"}
    for action, name in enumerate(names):
        order: Any = np.zeros(1, ORDER)
        decode_action(action, np.arange(3), order[0])
        assert name.split()[0] == verbs[OrderKind(int(order["kind"][0]))]
        if action:
            assert int(name.split()[-1]) == int(order["target"][0]) + 1


@pytest.mark.parametrize(
    ("statuses", "due", "expected"),
    [
        ([Status.FREE, Status.FREE], [-1, -1], [True, True, False, False, False]),
        ([Status.OPEN, Status.FREE], [-1, -1], [True, True, False, True, False]),
        ([Status.OPEN, Status.OPEN], [-1, -1], [True, False, False, True, True]),
        ([Status.PENDING, Status.OPEN], [5, 6], [True, False, False, False, False]),
        ([Status.PENDING, Status.FREE], [5, -1], [True, True, False, False, False]),
    ],
)
def test_masks_leave_what_would_not_be_refused(statuses: list[Status], due: list[int], expected: list[bool]) -> None:
    books = open_books(1, 2, 1000.0)
    books.slots["status"][0], books.slots["due"][0] = [int(status) for status in statuses], due
    out = np.ones(5, bool)
    action_mask(books, 0, np.array([3, -1], np.int64), out)
    assert out.tolist() == expected


# --- identity of a spec ---


@pytest.mark.trap(23)
def test_trap_23_every_value_of_a_spec_is_in_its_hash() -> None:
    others = [
        ObservationSpec(positions=4),
        ObservationSpec(opportunities=6),
        ObservationSpec(ranking="net_funding_72h_bps"),
        ObservationSpec(features=V1_FEATURES[:-1]),
        ObservationSpec(features=(*V1_FEATURES[1:], V1_FEATURES[0])),
    ]
    hashes = {spec.hash() for spec in (ObservationSpec(), *others)}
    assert len(hashes) == 6
    assert ObservationSpec().hash() == ObservationSpec(positions=3).hash()
    # The layout of version 1, for ever: bundles carry this hash.
    assert ObservationSpec().hash() == "8bc0cfb226278176"


def test_specs_and_scalers_that_make_no_sense_are_refused() -> None:
    for wrong in ({"ranking": "fund_apy"}, {"features": ["spread", "spred"]}, {"features": []}, {"positions": 0}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            parse_settings(ObservationSpec, wrong)
    with pytest.raises(SettingsError, match="deviation"):
        parse_settings(Scaler, {"mean": [0.0], "deviation": [0.0]})
    with pytest.raises(SettingsError, match="mean"):
        parse_settings(Scaler, {"mean": [float("nan")], "deviation": [1.0]})
    with pytest.raises(UserError, match="21 features, the observation spec 22"):
        encoding_of(ObservationSpec(), Scaler(mean=(0.0,) * 21, deviation=(1.0,) * 21))


# --- scaler ---


def test_a_scaler_is_mean_and_deviation_of_what_would_be_shown() -> None:
    rng = np.random.default_rng(8)
    market, settings = random_market(rng, 3, 3, 60), random_settings(rng)
    spec = ObservationSpec(positions=1, opportunities=1, features=("spread", "fund_apr", "log_orderbookDepthUsd"))
    builder = OpportunityBuilder(prepare(market, settings))
    rows = []
    for t in range(20, 41):
        features, offered = builder.at(t)
        keys = features[:, COLUMN["fund_apr"]]
        best = sorted(
            (p for p in range(len(keys)) if offered[p] and not np.isnan(keys[p])), key=lambda p: (-keys[p], p)
        )
        rows.extend([features[p][[COLUMN["spread"], COLUMN["fund_apr"]]] for p in best[:3]])
    values = np.array(rows)
    assert len(values) > 20
    scaler = fit_scaler(builder, spec, 20, 40)
    # Depth is not known anywhere in this market; a feature that never moves is divided by 1.
    assert scaler.mean == pytest.approx((*values.mean(axis=0), 0.0), rel=1e-12)
    assert scaler.deviation == pytest.approx((*values.std(axis=0), 1.0), rel=1e-9)


def test_a_scaler_ignores_every_hour_outside_its_window() -> None:
    rng = np.random.default_rng(21)
    market, settings = random_market(rng, 3, 3, 120), random_settings(rng)
    spec = ObservationSpec()

    class Only(OpportunityBuilder):
        """Answers for the hours of the window alone."""

        def at(self, t: int) -> tuple[Any, Any]:
            assert 30 <= t <= 80
            return super().at(t)

    whole = fit_scaler(Only(prepare(market, settings)), spec, 30, 80)
    assert fit_scaler(OpportunityBuilder(prepare(up_to(market, 80), settings)), spec, 30, 80) == whole
    assert fit_scaler(OpportunityBuilder(prepare(market, settings)), spec, 30, 81) != whole


def test_a_scaler_needs_something_to_fit() -> None:
    market = four_coins()
    builder = OpportunityBuilder(prepare(market, plain_settings(min_history_hours=50)))
    with pytest.raises(UserError, match="no opportunity is offered in the training window"):
        fit_scaler(builder, ObservationSpec(), 0, HOURS - 1)


def test_every_feature_has_a_column_and_a_description() -> None:
    assert list(COLUMN) == list(FEATURES)
    assert all(FEATURES.values())
