"""A trade hour by hour sums to what the run made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from small_market import START, LegSketch, plain_settings, small_market
from support_environment import FIRST, LAST, builder

from adapters.research.trade_path import trade_path
from engine.accounting.records import Records, trade_pnl
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.errors import UserError
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Enter, Exit, Order, View
from engine.worlds import World


class Random:
    """Enters and leaves at random."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(8)

    def decide(self, view: View) -> Sequence[Order]:
        offered = np.flatnonzero(view.offered)
        entries = [Enter(int(self.rng.choice(offered)))] if len(offered) and self.rng.random() < 0.4 else []
        return [*(Exit(one.slot) for one in view.positions if self.rng.random() < 0.08), *entries]


def played(rules: dict[str, Any]) -> tuple[World[Any], Records]:
    world = builder(**rules)
    return world, run_backtest(world, Random(), FIRST, LAST)


@pytest.mark.parametrize("rules", [{}, {"latency_hours": 2}, {"leg_failure_probability": 0.3}])
def test_all_trades_together_are_the_equity_of_the_run(rules: dict[str, Any]) -> None:
    world, records = played(rules)
    assert len(records.trades) > 15
    total = np.full(world.tape.hours, world.settings.initial_capital_usd)
    for k in range(len(records.trades)):
        path = trade_path(records, world.tape, k, around_hours=world.tape.hours)
        assert len(path.hours) == world.tape.hours
        total += path.pnl_usd
    hours = records.hours
    assert total[hours["hour"]] == pytest.approx(hours["equity"], rel=1e-9)


def test_a_trade_ends_at_its_profit_and_begins_at_nothing() -> None:
    world, records = played({"leg_failure_probability": 0.3})
    alone = 0
    for k, trade in enumerate(records.trades):
        path = trade_path(records, world.tape, k)
        assert path.pnl_usd[-1] == pytest.approx(trade_pnl(records.trades)[k])
        assert not path.pnl_usd[path.hours < path.opened].any()
        assert path.price_usd + path.funding_usd - path.fees_usd == pytest.approx(path.made_usd)
        assert path.funding.sum() == pytest.approx(path.funding_usd)
        alone += bool(np.isnan([*path.entry, *path.exit]).any() or trade["long_closed"] != trade["short_closed"])
    assert alone > 0, "some leg failed, or nothing of that is tested here"


class At:
    """Enters pair 0 at one row and leaves at another."""

    def __init__(self, first: int, last: int) -> None:
        self.rows = first, last

    def decide(self, view: View) -> Sequence[Order]:
        row = view.hour - START
        return [Enter(0)] if row == self.rows[0] else [Exit(0)] if row == self.rows[1] else []


EVERY_8 = range(0, 200, 8)


def test_a_trade_by_hand() -> None:
    # Bought at 100 and sold at 101 at row 60, left at 110 and 109 at row 70; 10 bps of 101 are received at row 64.
    long = LegSketch(price=[100.0] * 65 + [110.0] * 135, rates=dict.fromkeys(EVERY_8, 0.0), interval=8)
    short = LegSketch(price=[101.0] * 65 + [109.0] * 135, rates={t: 0.001 * (t == 64) for t in EVERY_8}, interval=8)
    market = small_market({("AAAUSDT", "alpha"): long, ("AAAUSDT", "beta"): short}, 200)
    tape = prepare(market, plain_settings(max_positions=1))
    records = run_backtest(OpportunityBuilder(tape), At(60, 70), 0, 199)
    path = trade_path(records, tape, 0)
    assert (path.symbol, path.long_exchange, path.short_exchange) == ("AAAUSDT", "alpha", "beta")
    assert (path.opened, path.closed, path.reason) == (START + 60, START + 70, "signal")
    assert (path.hours[0], path.hours[-1], len(path.hours)) == (START + 12, START + 118, 107)
    assert (path.long_price[52], path.short_price[53]) == (100.0, 109.0)
    (trade,) = records.trades
    coins, fees = trade["quantity"], path.fees_usd
    assert path.settled[path.funding != 0].tolist() == [START + 64]
    assert path.funding.sum() == pytest.approx(coins * 101 * 0.001)
    at = dict(zip((path.hours - START).tolist(), path.pnl_usd.tolist(), strict=True))
    entry_fees = float(trade["entry_fees"])
    assert (at[59], at[63]) == (0.0, pytest.approx(coins * (100 - path.entry[0] + path.entry[1] - 101) - entry_fees))
    assert at[64] - at[63] == pytest.approx(path.funding_usd)
    assert at[65] - at[64] == pytest.approx(coins * (10 - 8))
    assert at[70] == at[118] == pytest.approx(path.made_usd)
    assert path.made_usd == pytest.approx(path.price_usd + path.funding_usd - fees)


def test_around_the_ends_of_the_data_there_are_fewer_hours() -> None:
    flat = {
        ("AAAUSDT", name): LegSketch(rates=dict.fromkeys(range(0, 100, 8), 0.0), interval=8)
        for name in ("alpha", "beta")
    }
    tape = prepare(small_market(flat, 100), plain_settings(max_positions=1))
    records = run_backtest(OpportunityBuilder(tape), At(20, 80), 0, 99)
    path = trade_path(records, tape, 0)
    assert (path.hours[0], path.hours[-1]) == (START, START + 99)
    with pytest.raises(UserError, match=r"the run has 1 closed trades; there is no trade 1"):
        trade_path(records, tape, 1)
