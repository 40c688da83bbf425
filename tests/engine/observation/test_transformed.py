"""Observation version 2: against a second implementation, by hand, live and shown alike, without a future."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from market_strategies import EXCHANGES, random_market, random_settings, with_margin, with_shocks
from observation_reference import ReferenceObserver
from small_market import LegSketch, plain_settings, small_market

from engine.accounting.books import Status
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.errors import DataError, SettingsError
from engine.market.data import MarketData
from engine.observation.actions import action_mask
from engine.observation.encoding import ObservationSpec, Scaler, encoding_of, fit_scaler, rank_hour
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.transformed import pair_values
from engine.observation.values import CONTEXT, PAIR, SLOT
from engine.observation.view import Enter, Exit, Order, View
from engine.settings import EngineSettings, parse_settings
from strategies.costs import round_trip_bps

NO_SCALER = Scaler(mean=(), deviation=())
HOURS = 230


def spec_of(settings: EngineSettings, **changes: Any) -> ObservationSpec:
    """Hyperliquid has no bit, and one exchange of the spec is not in the market."""
    exchanges = ("okx", "gate", *EXCHANGES[:2])
    return ObservationSpec(version=2, positions=settings.max_positions, exchanges=exchanges, **changes)


class Trader:
    """Enters and leaves at random and keeps what it is shown at some hours, with the reference's answer."""

    def __init__(self, case: Case, rng: np.random.Generator, share: float) -> None:
        self._case, self._rng, self._share = case, rng, share
        self.compared: list[tuple[int, np.ndarray, list[float]]] = []
        self.books: list[Any] = []

    def decide(self, view: View) -> Sequence[Order]:
        case, rng = self._case, self._rng
        if rng.random() < self._share:
            observation, visible = view.observe(case.encoding, case.spec)
            books = view._loop.books
            expected, shown = case.reference.observe(books, view._row, view._hour[1])
            assert [pair for pair in visible.tolist() if pair >= 0] == shown, view._row
            self.compared.append((view._row, observation, expected))
            self.books.append(books.slots[0].copy())
            mask = np.empty(case.spec.actions, bool)
            action_mask(books, 0, visible, mask)
            np.testing.assert_array_equal(observation[-case.spec.actions :], mask.astype(np.float32))
        able = np.flatnonzero(view.offered)
        return [Enter(int(p)) for p in rng.permutation(able)[:2] if rng.random() < 0.5] + [
            Exit(position.slot) for position in view.positions if rng.random() < 0.05
        ]


class Case:
    """A random market seen through version 2, and through its second implementation."""

    def __init__(self, seed: int, *, margin: bool = False, wallets: bool = False, opportunities: int = 4) -> None:
        rng = np.random.default_rng(seed)
        self.settings = random_settings(rng)
        self.market = random_market(rng, 2, 4, HOURS)
        if margin:
            self.market = with_shocks(rng, self.market)
            self.settings = with_margin(rng, self.settings, self.market, always=True)
        self.spec = spec_of(self.settings, opportunities=opportunities, wallets=wallets)
        self.encoding = encoding_of(self.spec, NO_SCALER)
        self.builder = OpportunityBuilder(prepare(self.market, self.settings))
        self.reference = ReferenceObserver(self.market, self.settings, self.spec)

    def played(self, first: int, share: float) -> Trader:
        trader = Trader(self, np.random.default_rng(7), share)
        run_backtest(self.builder, trader, first, HOURS - 1)
        return trader


def assert_compared(trader: Trader) -> None:
    for row, observation, expected in trader.compared:
        np.testing.assert_allclose(observation, np.float32(expected), rtol=1e-6, atol=1e-6, err_msg=f"row {row}")


@pytest.mark.parametrize("seed", range(5))
def test_every_value_agrees_with_a_second_computation(seed: int) -> None:
    trader = Case(seed).played(2, 0.1)
    assert len(trader.compared) > 10
    assert_compared(trader)


@pytest.mark.parametrize("seed", range(100, 104))
def test_with_wallets_too(seed: int) -> None:
    trader = Case(seed, margin=seed > 100, wallets=True).played(2, 0.1)
    assert_compared(trader)


def test_the_cases_reach_what_they_are_about() -> None:
    slots = np.concatenate([np.concatenate(Case(seed).played(2, 0.1).books) for seed in range(5)])
    assert np.count_nonzero(slots["status"] == int(Status.OPEN)) > 50
    assert np.any((slots["status"] == int(Status.OPEN)) & (slots["due"] >= 0))
    assert np.any(slots["status"] == int(Status.PENDING))
    margins = np.concatenate(
        [np.concatenate(Case(seed, margin=True, wallets=True).played(2, 0.1).books) for seed in range(101, 104)]
    )
    alone = (margins["long_held"] > 0) != (margins["short_held"] > 0)
    assert np.any(alone & (margins["status"] == int(Status.OPEN)))


def test_a_held_pair_has_the_values_that_it_would_have_as_a_candidate() -> None:
    """But for two places: how much better the best candidate is stands where the intervals of its legs would."""
    case = Case(3, opportunities=12)
    others, found = [list(PAIR).index(f"interval_{side}") for side in ("long", "short")], 0

    class Holder:
        def decide(self, view: View) -> Sequence[Order]:
            nonlocal found
            observation, _ = view.observe(case.encoding, case.spec)
            ranked = case.encoding.blank(case.builder, 1)
            rank_hour(case.encoding, case.builder, view._row, view._hour, ranked, 0)
            for position in view.positions:
                place = len(CONTEXT) + position.slot * case.spec.widths.slot
                live = observation[place : place + ranked.values.shape[2]].copy()
                for k in np.flatnonzero(ranked.pairs[0] == position.pair):
                    as_candidate = ranked.values[0, k].copy()
                    live[others] = as_candidate[others] = 0.0
                    assert live.tobytes() == as_candidate.tobytes()
                    found += 1
            return [Enter(int(p)) for p in np.flatnonzero(view.offered)[:1]]

    run_backtest(case.builder, Holder(), 30, HOURS - 1)
    assert found > 20


def test_the_round_trip_is_the_one_that_rules_reckon_with() -> None:
    place, known = list(PAIR).index("round_trip"), 0
    for seed in range(6):
        case = Case(seed)
        ranked = case.encoding.blank(case.builder, 1)
        out = np.zeros(ranked.values.shape[2], np.float32)

        class Reckoner:
            def decide(self, view: View) -> Sequence[Order]:
                nonlocal known
                cost = round_trip_bps(view)
                for p in range(view.pairs):
                    pair_values(case.builder.tape.arrays, ranked.live, p, view._row, out)  # noqa: B023  # at once
                    assert out[place] == pytest.approx(cost[p] / 25 - 1, rel=1e-6, abs=1e-6)  # noqa: B023
                    known += 1
                return []

        run_backtest(case.builder, Reckoner(), 60, 70)
    assert known > 500


# --- by hand ---


def paying(hours: int, **more: Any) -> MarketData:
    """Beta pays shorts 1 bp an hour (24 bps a day); alpha is settled every 8 h at nothing."""
    return small_market(
        {
            ("BTCUSDT", "alpha"): LegSketch(rates=dict.fromkeys(range(0, hours, 8), 0.0), interval=8, volume=1e6),
            ("BTCUSDT", "beta"): LegSketch(
                price=101, rates=dict.fromkeys(range(hours), 1e-4), interval=1, volume=1e8, **more
            ),
        },
        hours,
    )


def seen_at(market: MarketData, row: int, orders: dict[int, list[Order]], **changes: Any) -> np.ndarray:
    settings = plain_settings(**changes)
    spec = ObservationSpec(version=2, positions=1, opportunities=2, exchanges=("beta",), decide_every_hours=1)
    found: list[np.ndarray] = []

    class Watcher:
        def decide(self, view: View) -> Sequence[Order]:
            if view._row == row:
                found.append(view.observe(encoding_of(spec, NO_SCALER), spec)[0])
            return orders.get(view._row, [])

    run_backtest(OpportunityBuilder(prepare(market, settings)), Watcher(), 0, len(market.hours) - 1)
    return found[0]


def test_one_pair_by_hand() -> None:
    """Net 24 bps a day; spread 1 %; fees of alpha and beta 5 and 6 bps, nothing else: a round trip of 22 bps."""
    seen = seen_at(paying(80), 60, {}).astype(float)
    nf, wide, cost = np.arcsinh(24 / 5), np.arcsinh(100 / 10), 22.0
    context = [0, 0, nf, nf, np.log1p(2) / 3 - 1, 0]
    promised = 7 * 24
    pair = [
        *(nf, nf, nf, nf), *(0, 0, 0, wide, 0), cost / 25 - 1, 6 - 7, np.log1p(61 / 168) / 2 - 0.5, 0, nf, 1, 1 / 8,
        np.arcsinh((1.5 * 48 - 1.5 * cost) / 30), np.arcsinh((promised - 1.5 * cost) / 30), 0, 1,
    ]  # fmt: skip
    # The mirror costs funding: it is no candidate, and the second opportunity stays empty.
    expected = [*context, *([0] * (20 + 8)), *pair, *([0] * 20), *(1, 1, 0, 0)]
    assert seen.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_position_by_hand() -> None:
    """Entered at row 50 at the seen prices; ten hours later ten settlements of 1 bp on the short leg have come."""
    seen = seen_at(paying(80), 60, {50: [Enter(0)]}).astype(float)
    slot = seen[6 : 6 + 28]
    # Of N = quantity x 100.5 the long leg is 100 / 100.5, the short one 101 / 100.5; fees of the entry 5 and 6 bps.
    fees, funding = (5 * 100 + 6 * 101) / 100.5, 10 * 101 / 100.5
    assert slot[list(PAIR).index("interval_long")] == 0  # there is no candidate to compare with
    own = [1, 0, np.arcsinh((funding - fees) / 30), 0, np.arcsinh(funding / 30), np.log1p(10 / 24) / 2, 0, 0]
    assert slot[20:].tolist() == pytest.approx(own, rel=1e-6, abs=1e-6)
    assert seen[:2].tolist() == [1, 0]
    assert not seen[34:74].any()
    assert seen[-4:].tolist() == [1, 0, 0, 1]


def test_what_is_unknown_is_zero() -> None:
    """Two hours old: no interval, no daily nets, no volume; nothing of that is a number that means something."""
    market = small_market(
        {
            ("BTCUSDT", "alpha"): LegSketch(rates={1: 0.0}),
            ("BTCUSDT", "beta"): LegSketch(rates={1: 1e-4}),
        },
        6,
    )
    seen = seen_at(market, 2, {})
    assert np.isfinite(seen).all()
    pair = dict(zip(PAIR, seen[34:].tolist(), strict=False))
    unknown = ("nf_last", "volume_24h", "nf_daily_sd", "nf_daily_lowest", "interval_long", "interval_short")
    assert [pair[name] for name in (*unknown, "week_lower_bound")] == [0.0] * 7
    assert pair["nf_24h"] > 0


def test_distances_and_margins_by_hand() -> None:
    """Wallets of 5,000 each at leverage 3: N = 7,500 posts 2,500, half of each; 25 % of equity stay free."""
    margin = {"maintenance_margin_rate": 0.1}
    changes = {"account": "by_exchange", "leverage": 3, "position_fraction": 0.5, "margin": margin}
    settings = plain_settings(**changes)
    spec = ObservationSpec(version=2, positions=1, opportunities=1, exchanges=("beta",), wallets=True)
    still = LegSketch(rates=dict.fromkeys(range(9), 0.0), interval=1)
    market = small_market({("BTCUSDT", name): still for name in ("alpha", "beta")}, 9)
    found: list[np.ndarray] = []

    class Watcher:
        def decide(self, view: View) -> Sequence[Order]:
            found.append(view.observe(encoding_of(spec, NO_SCALER), spec)[0])
            return [Enter(0)] if view._row == 0 else []

    run_backtest(OpportunityBuilder(prepare(market, settings)), Watcher(), 0, 8)
    slot = found[3][6 : 6 + spec.widths.slot].astype(float)
    fees = 7_500 * np.array([0.0005, 0.0006])
    equity, wallets = 10_000 - fees.sum(), 5_000 - fees
    assert slot[20:22].tolist() == pytest.approx(((wallets - 2_500) / equity).tolist(), rel=1e-6)
    # The equity of a wallet may fall to the maintenance margin, which follows the mark: down by 63 %, up by 52 %.
    long = (wallets[0] - 0.1 * 7_500) / (7_500 * 0.9)
    short = (wallets[1] - 0.1 * 7_500) / (7_500 * 1.1)
    assert slot[-2:].tolist() == pytest.approx([long, short], rel=1e-6)


# --- identity ---


def test_the_layout_has_the_widths_of_its_values() -> None:
    spec = ObservationSpec(version=2, exchanges=("a", "b", "c", "d"))
    assert (spec.positions, spec.opportunities, spec.decide_every_hours, spec.phase) == (3, 8, 8, 0)
    assert (len(CONTEXT), len(PAIR), len(SLOT)) == (6, 18, 8)
    assert spec.widths == (6, 26 + 8, 26, 12)
    assert spec.size == 6 + 3 * 34 + 8 * 26 + 12
    with_wallets = ObservationSpec(version=2, exchanges=("a", "b", "c", "d"), wallets=True)
    assert with_wallets.widths == (6, 28 + 8 + 2, 28, 12)


@pytest.mark.trap(23)
def test_trap_23_every_value_of_a_second_version_is_in_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    base = {"version": 2, "exchanges": ("a", "b")}
    others: list[dict[str, Any]] = [
        {}, {"positions": 2}, {"opportunities": 7}, {"exchanges": ("b", "a")}, {"exchanges": ("a", "b", "c")},
        {"wallets": True}, {"decide_every_hours": 4}, {"phase": 1},
    ]  # fmt: skip
    hashes = {ObservationSpec(**(base | other)).hash() for other in others}
    assert len(hashes | {ObservationSpec().hash()}) == len(others) + 1
    spec = ObservationSpec(**base)
    before = spec.hash()
    monkeypatch.setattr("engine.observation.values.TRANSFORMS", 2)
    assert spec.hash() != before
    monkeypatch.undo()
    monkeypatch.setitem(PAIR, "age", "h / 168")
    assert spec.hash() != before
    monkeypatch.undo()
    monkeypatch.setattr("engine.observation.spec.action_names", lambda *_: ["hold"])
    assert spec.hash() != before
    monkeypatch.undo()
    assert spec.hash() == before


def test_the_first_version_is_written_as_before_there_was_a_second() -> None:
    fields = ["version", "positions", "opportunities", "ranking", "features", "liquidation_distance"]
    assert list(ObservationSpec().model_dump()) == fields
    spec = ObservationSpec(version=2, exchanges=("a",))
    own = ["version", "positions", "opportunities", "exchanges", "wallets", "decide_every_hours", "phase"]
    assert list(spec.model_dump(mode="json")) == own
    assert ObservationSpec(**spec.model_dump(mode="json")) == spec
    assert ObservationSpec().clock.every_hours == 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"version": 2}, r"set observation.exchanges=\[NAME, ...\]"),
        ({"version": 2, "exchanges": ["a", "a"]}, "twice"),
        ({"version": 2, "exchanges": ["a"], "phase": 8}, "below decide_every_hours = 8"),
        ({"version": 2, "exchanges": ["a"], "ranking": "spread"}, "ranking belongs to version 1"),
        ({"decide_every_hours": 8}, "decide_every_hours belongs to version 2"),
        ({"wallets": True}, "wallets belongs to version 2"),
        ({"version": 3}, "version"),
    ],
)
def test_settings_of_the_other_version_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        parse_settings(ObservationSpec, wrong)


def test_nothing_is_standardised() -> None:
    case = Case(0)
    assert fit_scaler(case.builder, case.spec, 10, 20) == NO_SCALER


def test_a_value_beyond_any_market_is_an_error_with_pair_and_hour() -> None:
    with pytest.raises(DataError, match=r"nf_24h is beyond any market.*") as caught:
        # 1 bp became a rate of 1,000: 2.4e8 bps a day.
        seen_at(small_market({
            ("BTCUSDT", "alpha"): LegSketch(rates=dict.fromkeys(range(60), 0.0), interval=1),
            ("BTCUSDT", "beta"): LegSketch(rates=dict.fromkeys(range(60), 1e3), interval=1),
        }, 60), 50, {})  # fmt: skip
    assert "long alpha short beta" in str(caught.value)
