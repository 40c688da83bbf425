"""An observation in words and units is the one that the policy was given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from market_strategies import EXCHANGES
from support_environment import FIRST, LAST, builder, random_policy
from support_structured import NO_SCALER, SPEC

from engine.backtest import run_backtest
from engine.observation.encoding import Encoding, ObservationSpec, encoding_of
from engine.observation.features import COLUMN, FEATURES
from engine.observation.readable import BIT, FEATURE_UNITS, PAIR_2, Observed, Shown, read_observation
from engine.observation.values import PAIR
from engine.observation.view import Enter, Exit, Order, View
from engine.worlds import AnyWorld

# A scaler drawn at random knows no millions.
SMALL = tuple(name for name in FEATURES if FEATURE_UNITS[name] != "USD")
FLAT = ObservationSpec(positions=2, features=SMALL, liquidation_distance=True)
WALLETS = ObservationSpec(version=2, positions=2, exchanges=tuple(EXCHANGES[:2]), wallets=True)
SPECS = {"version 1": FLAT, "version 2": SPEC, "wallets": WALLETS}
SHOWN = {
    **dict.fromkeys(("nf_24h", "nf_72h", "nf_168h", "nf_last", "nf_daily_sd", "nf_daily_lowest"), 5.0),
    **dict.fromkeys([name for name in PAIR if name.startswith("basis_")], 10.0),
    **dict.fromkeys(("surplus_72h", "week_lower_bound", "pnl", "price_pnl", "funding"), 30.0),
    **dict.fromkeys(("best_candidate_less_own",), 30.0),
    "basis_at_entry": 20.0,
    **dict.fromkeys(("mean_nf_24h", "mean_nf_168h"), 5.0),
}
"""Unit of the asinh of values of version 2."""


class Reads:
    """Trades at random and keeps what it read, with the view's own facts."""

    def __init__(self, encoding: Encoding, world: AnyWorld) -> None:
        self.encoding, self.world, self.rng = encoding, world, np.random.default_rng(3)
        self.read: list[tuple[Observed, Any, Any, dict[int, tuple[float, int]]]] = []

    def decide(self, view: View) -> Sequence[Order]:
        observation, visible = view.observe(self.encoding, self.encoding.spec)
        held = {one.slot: one.pair for one in view.positions}
        row = view.hour - int(self.world.tape.market.hours[0])
        facts = {one.slot: (1e4 * one.pnl_usd / one.notional_usd, one.hours_held) for one in view.positions}
        seen = read_observation(self.encoding, observation, visible, held, (self.world, row))
        self.read.append((seen, observation, visible, facts))
        offered = np.flatnonzero(view.offered)
        orders: list[Order] = [Enter(int(self.rng.choice(offered)))] if len(offered) and self.rng.random() < 0.3 else []
        return [*(Exit(slot) for slot in held if self.rng.random() < 0.05), *orders]


@pytest.fixture(scope="module", params=SPECS)
def read(request: pytest.FixtureRequest) -> Reads:
    spec = SPECS[request.param]
    changes = {"account": "by_exchange", "leverage": 3} if spec.wallets or spec.liquidation_distance else {}
    world = builder(max_positions=2, **changes)
    scaler = random_policy(0, spec).scaler if spec.version == 1 else NO_SCALER
    strategy = Reads(encoding_of(spec, scaler), world)
    run_backtest(world, strategy, FIRST, LAST)
    return strategy


def everything(reads: Reads) -> Iterator[Shown]:
    for seen, *_ in reads.read:
        yield from (*seen.portfolio, *(one for part in (*seen.slots, *seen.places) for one in part))


def test_all_parts_in_their_order_are_the_observation(read: Reads) -> None:
    spec = read.encoding.spec
    held = 0
    for seen, observation, visible, facts in read.read:
        empty = {"slot": (0.0,) * spec.widths.slot, "place": (0.0,) * spec.widths.opportunity}
        parts = [tuple(one.observed for one in seen.portfolio)]
        parts += [tuple(one.observed for one in slot) or empty["slot"] for slot in seen.slots]
        parts += [tuple(one.observed for one in place) or empty["place"] for place in seen.places]
        flat = np.array([value for part in parts for value in part], np.float32)
        assert flat.tobytes() == observation[: len(observation) - spec.widths.mask].tobytes()
        assert [bool(place) for place in seen.places] == [pair >= 0 for pair in visible]
        assert {s for s, slot in enumerate(seen.slots) if slot} == set(facts)
        held += len(facts)
    assert held > 50


def test_values_are_what_was_scaled(read: Reads) -> None:
    known = unknown = 0
    for one in everything(read):
        if one.unit == BIT:
            assert one.value == one.observed
        if read.encoding.spec.version == 1 or one.name not in SHOWN:
            continue
        expected = 0.0 if np.isnan(one.value) else np.arcsinh(one.value / SHOWN[one.name])
        assert one.observed == pytest.approx(expected, abs=1e-5), one
        known, unknown = known + (not np.isnan(one.value)), unknown + bool(np.isnan(one.value))
    if read.encoding.spec.version == 2:
        assert known > 1000
        assert unknown > 10, "what is unknown is shown as 0, and told apart from it here"


def test_other_values_of_version_2_are_turned_back() -> None:
    world = builder(max_positions=2)
    strategy = Reads(encoding_of(SPEC, NO_SCALER), world)
    run_backtest(world, strategy, FIRST, LAST)
    names = set()
    for one in everything(strategy):
        way = {
            "round_trip": lambda x: x / 25 - 1,
            "volume_24h": lambda x: np.log10(x) - 7,
            "age": lambda x: np.log1p(x / 168) / 2 - 0.5,
            "interval_long": lambda x: x / 8,
            "interval_short": lambda x: x / 8,
            "offered_pairs": lambda x: np.log1p(x) / 3 - 1,
            "drawdown": lambda x: x / 3,
            "hours_held": lambda x: np.log1p(x / 24) / 2,
            "stale_hours": lambda x: x / 6,
        }.get(one.name)
        if way is not None and not np.isnan(one.value):
            names.add(one.name)
            assert one.observed == pytest.approx(way(one.value), abs=1e-5), one
    assert len(names) == 9


def test_slots_tell_the_facts_of_the_position(read: Reads) -> None:
    for seen, _, _, facts in read.read:
        for slot, (pnl_bps, hours) in facts.items():
            values = {one.name: one.value for one in seen.slots[slot]}
            # Version 1 shows per cent of both legs, which is a fiftieth of the basis points of one.
            factor = 1.0 if read.encoding.spec.version == 2 else 1 / 200
            assert values["pnl"] == pytest.approx(factor * pnl_bps, rel=1e-4, abs=1e-4)
            assert values["hours_held"] == pytest.approx(hours, abs=1e-3)


def test_features_of_version_1_are_unscaled_and_spreads_in_basis_points(read: Reads) -> None:
    if read.encoding.spec.version == 2:
        return
    for k, (seen, _, visible, _) in enumerate(read.read):
        features = read.world.at(FIRST + k)[0]
        for place, pair in zip(seen.places, visible, strict=True):
            for one in place:
                factor = 1e4 if one.unit == "bps" else 1.0
                assert one.value == pytest.approx(factor * features[pair, COLUMN[one.name]], nan_ok=True, rel=1e-12)
    assert {name for name, unit in FEATURE_UNITS.items() if unit == "bps"} == {
        name for name, meaning in FEATURES.items() if "fraction" in meaning or "spread30SampleAvg -" in meaning
    }


def test_everything_has_a_unit() -> None:
    assert set(FEATURE_UNITS) == set(FEATURES)
    assert set(PAIR_2) == set(PAIR)
