"""What a day came to: every day of a replay once, cut or not, and its figures those of the records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from market_strategies import random_market, random_settings, with_margin
from support_paper import arb_settings, replay_state

from adapters.paper.day import Day, day_before
from adapters.paper.drawdown import drawdowns_pct
from adapters.paper.journal import Journal
from adapters.paper.messages import messages_of_money
from adapters.paper.recorded_run import records_of
from engine.accounting.books import Kind
from engine.windows import Window, time_of

EAGER = {"random": {"enter_probability": 0.4, "exit_probability": 0.2}}
HOURS = 130
LIMIT = 0.2


def days(journal: Journal) -> list[Day]:
    hours = [hour for (hour,) in journal.rows("SELECT hour FROM slots ORDER BY hour")]
    return [day for hour in hours if (day := day_before(journal, hour)) is not None]


def told(journal: Journal, first: int, last: int) -> list[str]:
    return [message.text for hour in range(first, last + 1) for message in messages_of_money(journal, hour, LIMIT)]


@pytest.mark.parametrize("seed", range(4))
def test_days_add_up_to_the_records_and_are_the_same_when_it_was_cut(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng, 2, 3, HOURS)
    given = with_margin(rng, random_settings(rng), market, always=bool(seed % 2))
    settings, window = arb_settings(given, **EAGER), Window(int(rng.integers(1, 20)), HOURS - 1)
    start, cut = int(market.hours[0]), 71
    first, last = start + window.first, start + window.last
    with replay_state(tmp_path / "cut", market, settings, "random", window, until=cut) as journal:
        before = told(journal, first, start + cut)
    with replay_state(tmp_path / "cut", market, settings, "random", window) as journal:
        after = told(journal, start + cut + 1, last)
    with replay_state(tmp_path / "whole", market, settings, "random", window) as journal:
        assert [*before, *after] == told(journal, first, last)
        found = days(journal)
        records = records_of(journal, start)
        drawdowns = drawdowns_pct(journal)
    day_of_hour = np.array([time_of(start + int(row)).date().toordinal() for row in records.hours["hour"]])
    wanted = sorted({*day_of_hour.tolist()})[:-1]  # the last one has not ended
    assert [day.day.toordinal() for day in found] == wanted
    assert len(found) > 3
    of_ledger = np.array([time_of(start + int(row)).date().toordinal() for row in records.ledger["hour"]])
    kinds, amounts = records.ledger["kind"], records.ledger["amount"]
    equity = given.initial_capital_usd
    for day, ordinal in zip(found, wanted, strict=True):
        of_day = of_ledger == ordinal
        rows = np.flatnonzero(day_of_hour == ordinal)
        assert (day.hours, day.missed, day.degraded) == (len(rows), 0, 0)
        assert day.equity_usd == records.hours["equity"][rows[-1]]
        assert day.pnl_usd == day.equity_usd - equity
        assert day.pnl_pct == pytest.approx(100 * day.pnl_usd / equity, abs=1e-12)
        assert day.open_positions == records.hours["open_positions"][rows[-1]]
        assert day.funding_usd == pytest.approx(amounts[of_day & (kinds == int(Kind.FUNDING))].sum(), abs=1e-9)
        paid = of_day & np.isin(kinds, [int(Kind.FEE), int(Kind.LIQUIDATION_FEE), int(Kind.TRANSFER_FEE)])
        assert day.fees_usd == pytest.approx(-amounts[paid].sum(), abs=1e-9)
        closed = records.trades["closed"]
        assert day.trades == sum(time_of(start + int(row)).date().toordinal() == ordinal for row in closed)
        equity = day.equity_usd
    assert drawdowns.max() == pytest.approx(_deepest(given.initial_capital_usd, records.hours["equity"]), abs=1e-9)
    assert any("drawdown:" in text for text in [*before, *after])


def _deepest(capital: float, equity: np.ndarray) -> float:
    """The deepest fall in %, by comparing every hour with every earlier one."""
    path = [capital, *equity.tolist()]
    return max(100 * (1 - path[later] / path[sooner]) for later in range(len(path)) for sooner in range(later + 1))


def test_a_state_that_begins_at_midnight_has_no_day_before_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    market = random_market(rng, 2, 3, 60)
    midnight = int(-market.hours[0] % 24)
    settings = arb_settings(random_settings(rng), **EAGER)
    with replay_state(tmp_path, market, settings, "random", Window(midnight, 59), until=midnight + 24) as journal:
        (day,) = days(journal)
    assert day.hours == 24
