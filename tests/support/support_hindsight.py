"""Random markets for hindsight, its plan as the engine plays it, and the best of all orders, by the engine too."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from market_strategies import EXCHANGES, random_maker, random_market, with_bars, with_instruments

from engine.accounting.books import Books, Status
from engine.accounting.loop import HourlyLoop, order_records
from engine.accounting.tape import Tape, prepare
from engine.analysis.hindsight import Plan
from engine.backtest import run_backtest
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import EngineSettings, FeeRow
from strategies.hindsight import Hindsight, HindsightParameters
from strategies.plugin import Context, Future

ENTER, EXIT = 1, 2
CAPITAL, SIZE = 10_000.0, 3_000.0


def settings_of(**changes: Any) -> EngineSettings:
    rows = {"since": "2024-01-01", "maker": 1e-4, "taker": 3e-4}
    values = {
        "initial_capital_usd": CAPITAL,
        "max_positions": 1,
        "min_history_hours": 3,
        "max_stale_hours": 1,
        "slippage_bps": 1.0,
        "position_size_usd": SIZE,
        "max_position_loss_pct": None,
        "fees": {name: (FeeRow.model_validate(rows),) for name in EXCHANGES},
    }
    return EngineSettings(**(values | changes))


def tape_of(seed: int, coins: int = 1, exchanges: int = 3, **changes: Any) -> Tape:
    market = random_market(np.random.default_rng(seed), coins=coins, exchanges=exchanges, hours=60)
    return prepare(market, settings_of(**changes))


def ruled_tape_of(seed: int, coins: int = 1, exchanges: int = 3, *, lots: bool = False, **changes: Any) -> Tape:
    """A tape on which orders rest (unless ``execution`` says otherwise), in lots if asked.

    About as much as a position is worth is traded beyond a limit, so that exits are filled for some sizes only.
    """
    rng = np.random.default_rng(seed)
    market = with_bars(rng, random_market(rng, coins=coins, exchanges=exchanges, hours=60))
    maker = random_maker(rng).model_copy(update={"offset_bps": 2.0, "through_bps": float(rng.choice([0.0, 1.0]))})
    volume = 24 * SIZE / maker.volume_share * 10 ** rng.uniform(-0.3, 1.0, market.price.shape)
    market = replace(market, volume_24h_usd=volume, bid_ask_spread=market.bid_ask_spread * 0.05)
    if lots:
        market = with_instruments(rng, market, near_usd=SIZE / 3)
    return prepare(market, settings_of(**({"execution": "maker_then_hedge", "maker": maker} | changes)))


def played(tape: Tape, first: int, last: int, **parameters: Any) -> tuple[Plan, float, Any]:
    """The plan, what the engine makes of its orders in USD, and the records."""
    context = Context(np.random.default_rng(0), future=Future(tape, first, last))
    strategy = Hindsight(HindsightParameters(**parameters), context)
    records = run_backtest(OpportunityBuilder(strategy.tape), strategy, first, last)
    return strategy.plan, float(records.hours["equity"][-1]) - CAPITAL, records


# --- brute force: all orders, by the engine ---


def best_by_engine(tape: Tape, first: int, last: int) -> float:
    """Highest final equity over every sequence of orders of one slot, less the capital."""
    loop = HourlyLoop(tape, recording_hours=0)
    loop.start(first, last)
    return _best_from(loop, len(tape.pairs)) - CAPITAL


def _best_from(loop: HourlyLoop, pairs: int) -> float:
    if loop.finished[0]:
        return float(loop.books.portfolios["equity"][0])
    kept = _kept(loop)
    best = -np.inf
    choices = _late_choices if loop.tape.settings.hours_to_fill else _choices
    for orders in choices(loop.books, pairs):
        before = int(loop.books.portfolios["refused"][0])
        loop.advance(order_records(orders))
        if loop.books.portfolios["refused"][0] == before:
            best = max(best, _best_from(loop, pairs))
        _restore(loop, kept)
    return best


def _choices(books: Books, pairs: int) -> list[list[tuple[int, int]]]:
    entries = [[(ENTER, pair)] for pair in range(pairs)]
    if books.slots["status"][0, 0] == int(Status.FREE):
        return [[], *entries]
    return [[], [(EXIT, 0)], *([(EXIT, 0), *entry] for entry in entries)]


def _late_choices(_: Books, pairs: int) -> list[list[tuple[int, int]]]:
    """With latency a slot is left or entered in the hour in which what was ordered earlier is filled."""
    return [[], [(EXIT, 0)], *([(ENTER, pair)] for pair in range(pairs))]


Kept = tuple[list[Any], int]


def _kept(loop: HourlyLoop) -> Kept:
    return [array.copy() for array in loop.books], int(loop.rows[0])


def _restore(loop: HourlyLoop, kept: Kept) -> None:
    for array, old in zip(loop.books, kept[0], strict=True):
        array[...] = old
    loop.rows[0] = kept[1]


# --- longer windows: every single trade by the engine, and every chain of them ---


def best_chain_by_engine(tape: Tape, first: int, last: int) -> float:
    """USD of the best chain of trades of one slot, each of them played alone."""
    pairs = range(len(tape.pairs))
    trades = {d: [one for pair in pairs for one in _trades(tape, pair, d, last)] for d in range(first, last)}

    @cache
    def best_from(t: int) -> float:
        """The most that a slot can still earn which is free at t, before orders."""
        if t >= last:
            return 0.0
        return max([best_from(t + 1), *(gain + best_from(free) for free, gain in trades[t])])

    return best_from(first)


def _trades(tape: Tape, pair: int, decided: int, last: int) -> list[tuple[int, float]]:
    """(row in which the slot is free again, gain in USD) of what can become of an entry decided at a row."""
    loop = HourlyLoop(tape, recording_hours=last - decided + 2)
    loop.start(decided, last)
    loop.advance(order_records([(ENTER, pair)]))
    found = []
    while not loop.finished[0]:
        kept = _kept(loop)
        found += _ended(loop, [(EXIT, 0)])
        _restore(loop, kept)
        loop.advance(order_records([]))
    return found + _ended(loop, [])


def _ended(loop: HourlyLoop, orders: list[tuple[int, int]]) -> list[tuple[int, float]]:
    """The trade if these are the last orders; none where nothing was opened."""
    while not loop.finished[0]:
        loop.advance(order_records(orders))
        orders = []
    trades = loop.drain().trades
    equity = float(loop.books.portfolios["equity"][0])
    return [(int(trades[0]["closed"]), equity - CAPITAL)] if len(trades) else []
