"""An observation of stated facts is the one that the market itself shows, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from market_strategies import EXCHANGES, random_market, random_settings, with_margin, with_shocks

from engine.accounting.books import Status
from engine.accounting.codes import LONG, SHORT
from engine.accounting.margin import free_margin_share, leg_distance, liquidation_distance
from engine.accounting.marking import open_notional, position_pnl, stale_hours, unrealised_price_pnl
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.observation import values as names
from engine.observation.encoding import ObservationSpec, Scaler, encoding_of, fit_scaler
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.stated import PENDING, StatedError, names_of, stated_observation
from engine.observation.view import Enter, Exit, Order, View

HOURS = 230
NO_SCALER = Scaler(mean=(), deviation=())
# The fourth exchange of the markets has no bit, and one that has is not in them.
BITS = ("okx", "gate", *EXCHANGES[:2])


class Stater:
    """Trades at random; at some hours it states what it knows and compares what becomes of it with what it is shown."""

    def __init__(self, builder: OpportunityBuilder, spec: ObservationSpec, scaler: Scaler, rng: Any) -> None:
        self._builder, self._spec, self._scaler, self._rng = builder, spec, scaler, rng
        self._encoding = encoding_of(spec, scaler)
        self.compared = self.held = self.waiting = 0

    def decide(self, view: View) -> Sequence[Order]:
        if self._rng.random() < 0.15:
            observation, visible = view.observe(self._encoding, self._spec)
            stated = self._stated(view, [int(pair) for pair in visible if pair >= 0])
            found = stated_observation(self._spec, self._scaler, *stated)
            np.testing.assert_array_equal(found, observation, err_msg=f"row {view._row}")
            self.compared += 1
            self.held += sum(isinstance(one, dict) for one in stated[1])
            self.waiting += stated[1].count(PENDING)
        able = np.flatnonzero(view.offered)
        return [Enter(int(p)) for p in self._rng.permutation(able)[:2] if self._rng.random() < 0.5] + [
            Exit(position.slot) for position in view.positions if self._rng.random() < 0.05
        ]

    def _stated(self, view: View, shown: list[int]) -> tuple[dict[str, Any], list[Any], list[dict[str, Any]]]:
        books, portfolio = view._loop.books, view._loop.books.portfolios[0]
        drawdown = max(0.0, 100.0 * (1.0 - float(portfolio["equity"]) / float(portfolio["peak"])))
        slots = [self._slot(view, s) for s in range(view.max_positions)]
        if self._spec.version == 1:
            tape, capital = self._builder.tape.arrays, float(self._builder.tape.arrays.rules[0]["initial_capital"])
            committed = sum(open_notional(books, 0, s) for s, one in enumerate(slots) if isinstance(one, dict))
            equity = float(portfolio["equity"])
            assert tape is not None
            whole = {"equity": equity / capital, "committed": committed / equity, "drawdown": drawdown}
        else:
            whole = {"offered_pairs": int(view._hour[1].sum()), "drawdown": drawdown}
        return whole, slots, [self._pair(view, pair) for pair in shown]

    def _pair(self, view: View, pair: int, *, held: bool = False) -> dict[str, Any]:
        spec = self._spec
        facts = self._encoding.unscaled(self._builder, view._row, pair)
        if spec.version == 1:
            return {name: known(float(facts[j])) for j, name in enumerate(spec.features)}
        found = {name: known(float(facts[j])) for j, name in enumerate(names.PAIR)}
        found["volume_24h"] = known(float(view.feature("volume_24h")[pair]))
        _, long, short = view.pair_name(pair)
        found |= {"long_exchange": long, "short_exchange": short}
        tape, books, legs = self._builder.tape.arrays, view._loop.books, self._builder.tape.pairs
        if spec.wallets:
            found["free_margin_long"] = free_margin_share(tape, books, 0, int(legs.long_leg[pair]))
            found["free_margin_short"] = free_margin_share(tape, books, 0, int(legs.short_leg[pair]))
        for name in ("surplus_72h", "week_lower_bound", *(("interval_long", "interval_short") if held else ())):
            del found[name]
        return found

    def _slot(self, view: View, s: int) -> Any:
        tape, books, t = self._builder.tape.arrays, view._loop.books, view._row
        slot: Any = books.slots[0, s]
        if slot["status"] != int(Status.OPEN):
            return None if slot["status"] == int(Status.FREE) else PENDING
        notional, pnl = float(slot["notional"]), float(position_pnl(tape, books, 0, s, t))
        if self._spec.version == 1:
            found = {"pnl": 100.0 * pnl / (2.0 * notional), "hours_held": t - int(slot["opened"])}
            found["funding"] = 100.0 * float(slot["funding"]) / (2.0 * notional)
            if self._spec.liquidation_distance:
                found["liquidation_distance"] = float(liquidation_distance(tape, books, 0, s, t))
            return found
        bps, pair = 1e4 / notional, int(slot["pair"])
        entry = (float(slot["short_entry"]) - float(slot["long_entry"])) / float(slot["long_entry"])
        price = float(unrealised_price_pnl(tape, books, 0, s, t)) + float(slot["price_pnl"])
        found = self._pair(view, pair, held=True) | {
            "exit_pending": bool(slot["due"] >= 0),
            "pnl": bps * pnl,
            "price_pnl": bps * price,
            "funding": bps * float(slot["funding"]),
            "hours_held": t - int(slot["opened"]),
            "basis_at_entry": known(1e4 * (entry - float(self._builder.tables.spread_8h[t, pair]))),
            "stale_hours": float(stale_hours(tape, books, 0, s, t)),
        }
        if self._spec.wallets:
            found["distance_long"] = float(leg_distance(tape, books, 0, s, t, LONG))
            found["distance_short"] = float(leg_distance(tape, books, 0, s, t, SHORT))
        return found


def known(value: float) -> float | None:
    return None if math.isnan(value) else value


def stater(seed: int, version: int, *, wallets: bool) -> Stater:
    rng = np.random.default_rng(seed)
    settings, market = random_settings(rng), random_market(rng, 2, 4, HOURS)
    if wallets:
        market = with_shocks(rng, market)
        settings = with_margin(rng, settings, market, always=True)
    builder = OpportunityBuilder(prepare(market, settings))
    if version == 1:
        spec = ObservationSpec(positions=settings.max_positions, liquidation_distance=wallets)
        scaler = fit_scaler(builder, spec, 2, HOURS - 1)
    else:
        slots, scaler = settings.max_positions, NO_SCALER
        spec = ObservationSpec(version=2, positions=slots, opportunities=4, exchanges=BITS, wallets=wallets)
    made = Stater(builder, spec, scaler, np.random.default_rng(7))
    run_backtest(builder, made, 2, HOURS - 1)
    return made


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_stated_is_what_is_shown(seed: int, version: int) -> None:
    made = stater(seed, version, wallets=False)
    assert made.compared > 15
    assert made.held > 5


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("seed", range(100, 103))
def test_with_wallets_too(seed: int, version: int) -> None:
    assert stater(seed, version, wallets=True).compared > 10


def test_the_cases_have_entries_that_wait_and_positions_with_wallets() -> None:
    assert sum(stater(seed, 2, wallets=False).waiting for seed in range(4)) > 0
    assert sum(stater(seed, 2, wallets=True).held for seed in range(100, 103)) > 10


SPEC = ObservationSpec(version=2, positions=2, opportunities=3, exchanges=("a", "b"))


def test_more_than_there_is_place_for_is_refused() -> None:
    whole = {"offered_pairs": 3, "drawdown": 0.0}
    with pytest.raises(StatedError, match="2 slots") as error:
        stated_observation(SPEC, NO_SCALER, whole, [None, None, None], [])
    assert error.value.where == ("positions",)
    with pytest.raises(StatedError, match="is shown 3") as error:
        stated_observation(SPEC, NO_SCALER, whole, [], [{}] * 4)
    assert error.value.where == ("opportunities",)


def test_nothing_stated_is_an_empty_hour_in_which_one_can_only_hold() -> None:
    found = stated_observation(SPEC, NO_SCALER, {"offered_pairs": 0, "drawdown": 0.0}, [], [])
    assert found[4] == -1.0
    assert found[-SPEC.actions :].tolist() == [1.0, *[0.0] * (SPEC.actions - 1)]
    found[4] = 0.0
    assert not found[: -SPEC.actions].any()


def test_every_fact_has_to_be_stated_and_no_other() -> None:
    one: dict[str, Any] = dict.fromkeys(names_of(SPEC)["opportunities"], 1.0)
    one |= {"long_exchange": "a", "short_exchange": "z"}
    whole = {"offered_pairs": 1, "drawdown": 0.0}
    found = stated_observation(SPEC, NO_SCALER, whole, [], [one])
    first = SPEC.first_opportunity + len(names.PAIR)
    assert found[first : first + 4].tolist() == [1.0, 0.0, 0.0, 0.0]  # z has no bit
    for name in one:
        less = {key: value for key, value in one.items() if key != name}
        with pytest.raises(StatedError) as error:
            stated_observation(SPEC, NO_SCALER, whole, [], [less])
        assert error.value.where == ("opportunities", 0, name)
    with pytest.raises(StatedError, match="did you mean 'nf_24h'"):
        stated_observation(SPEC, NO_SCALER, whole, [], [{**one, "nf24h": 1.0}])
    with pytest.raises(StatedError, match="no object"):
        stated_observation(SPEC, NO_SCALER, whole, ["open"], [one])
