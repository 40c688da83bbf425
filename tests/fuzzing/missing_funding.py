"""Raw tables whose funding is dropped, delayed, doubled, shifted, cut off or of other intervals, and bars that freeze.

Whatever is made of them must conserve cash, assume nothing that pays, book nothing on a leg from its silence on, and
agree with the second implementation to the last entry of the ledger.
"""

from __future__ import annotations

import os
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from reference_engine import simulate
from reference_records import Enter, Exit
from scripted import Scripted
from support_datasets import bars, settlements, write_raw

from adapters.cli import main
from adapters.datasets.load import load_dataset
from engine.accounting.records import Records
from engine.accounting.tape import SILENT, Tape, prepare
from engine.backtest import run_backtest
from engine.market.data import MarketData
from engine.market.schedule import ACTUAL, IMPUTED, REVERSAL
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import EngineSettings, FeeRow

NAME = "missing funding"
HOURS = 120
EXCHANGES = ("binance", "bybit")
ENTER = Enter("BTCUSDT", "binanceusdm", "bybit")

Rng = np.random.Generator


def case(rng: Rng, folder: Path) -> str:
    """Build one spoiled table by the command line and play it; "refused" when building refuses it in one line."""
    raw = write_raw(
        folder / "raw", [_bars(rng, name) for name in EXCHANGES], [_funding(rng, name) for name in EXCHANGES]
    )
    before = set(folder.iterdir())
    code, told = _arb("data", "build", raw, "--out", folder / "set")
    if code != 0:
        assert code == 2, told
        assert len(told.strip().splitlines()) == 1, told
        assert set(folder.iterdir()) == before, "a refused build left something behind"
        return "refused"
    assert set(folder.iterdir()) == before | {folder / "set"}
    market = load_dataset(folder / "set", cache=False).market
    _is_right(market, _settings(rng), _orders(rng))
    return "accepted"


def _arb(*arguments: object) -> tuple[int, str]:
    """Exit code and standard error of a command run in this process."""
    err = StringIO()
    with redirect_stdout(StringIO()), redirect_stderr(err):
        try:
            main([os.fspath(each) if isinstance(each, Path) else str(each) for each in arguments])
        except SystemExit as stopped:
            return int(stopped.code or 0), err.getvalue()
    raise AssertionError("the command line always exits")


# --- spoiled tables ---


def _bars(rng: Rng, exchange: str) -> pd.DataFrame:
    """A walk, which may freeze for some hours or for good, or have holes."""
    table = bars(exchange, "BTC", (100 * np.exp(np.cumsum(rng.normal(0, 0.003, HOURS)))).tolist())
    if rng.random() < 0.3:
        first, length = int(rng.integers(0, HOURS)), int(rng.integers(1, 40))
        still = (table.index >= first) & (table.index < first + length)
        table.loc[still, ["open", "high", "low", "close"]] = table["close"].iloc[max(0, first - 1)]
        table.loc[still, "volume"] = 0.0
    if rng.random() < 0.3:
        table = table[rng.random(len(table)) > rng.choice([0.02, 0.3])]
    return table


def _funding(rng: Rng, exchange: str) -> pd.DataFrame:
    """A record under intervals that change, spoiled in some of the ways in which records are."""
    table = settlements(exchange, "BTC", _record(rng))
    table["interval_hours"] = _intervals(rng, table)
    # Those that are mostly refused are rare.
    chances = {
        _dropped: 0.35,
        _cut_off: 0.3,
        _jittered: 0.2,
        _shifted: 0.12,
        _other_intervals: 0.12,
        _doubled: 0.1,
        _other_rates: 0.05,
    }
    for spoil, chance in chances.items():
        if rng.random() < chance:
            table = spoil(rng, table)
    return table


def _record(rng: Rng) -> dict[int, float]:
    hour, interval, rates = int(rng.integers(-10, 8)), int(rng.choice([1, 2, 4, 8])), {}
    while hour < HOURS + 8:
        rates[hour] = float(rng.choice([0.0, 1.0], p=[0.05, 0.95]) * 0.001 * rng.standard_t(3))
        if rng.random() < 0.06:
            interval = int(rng.choice([1, 2, 4, 8]))
        hour += interval
    return rates


def _intervals(rng: Rng, table: pd.DataFrame) -> Any:
    """What the source states: nothing, or the distance to the settlement before."""
    gaps = table["settlement_time"].diff().dt.total_seconds() / 3600
    return np.nan if rng.random() < 0.4 else gaps.bfill()


def _dropped(rng: Rng, table: pd.DataFrame) -> pd.DataFrame:
    kept = rng.random(len(table)) > rng.choice([0.05, 0.3, 0.8])
    kept[int(rng.integers(0, len(table)))] = True
    return table[kept]


def _shifted(rng: Rng, table: pd.DataFrame) -> pd.DataFrame:
    """Some come hours late or early; two may end up in one hour, which is refused."""
    hours = np.where(rng.random(len(table)) < 0.1, rng.integers(-3, 4, len(table)), 0)
    return table.assign(settlement_time=table["settlement_time"] + pd.to_timedelta(hours, unit="h"))


def _doubled(rng: Rng, table: pd.DataFrame) -> pd.DataFrame:
    """Rows that stand there twice; half of the time one of them says something else, which is refused."""
    again = table.sample(min(3, len(table)), random_state=int(rng.integers(2**31)))
    if rng.random() < 0.5:
        again = again.assign(funding_rate=again["funding_rate"] + 0.0001)
    return pd.concat([table, again], ignore_index=True)


def _cut_off(rng: Rng, table: pd.DataFrame) -> pd.DataFrame:
    """The record ends, with a rate that would be worth waiting for."""
    kept = table.iloc[: int(rng.integers(1, len(table) + 1))].copy()
    kept.loc[kept.index[-1], "funding_rate"] = float(rng.choice([-0.0075, 0.0075]))
    return kept


def _jittered(rng: Rng, table: pd.DataFrame) -> pd.DataFrame:
    jitter = pd.to_timedelta(rng.integers(-50_000, 50_000, len(table)), unit="ms")
    return table.assign(settlement_time=table["settlement_time"] + jitter)


def _other_rates(rng: Rng, table: pd.DataFrame) -> pd.DataFrame:
    odd = float(rng.choice([np.nan, np.inf, 3.0, -0.2, 0.04]))
    return table.assign(funding_rate=np.where(rng.random(len(table)) < 0.02, odd, table["funding_rate"]))


def _other_intervals(rng: Rng, table: pd.DataFrame) -> pd.DataFrame:
    odd = float(rng.choice([1, 2, 3, 8, 24, 24, 8, 0, 480, 2.5]))
    return table.assign(interval_hours=np.where(rng.random(len(table)) < 0.1, odd, table["interval_hours"]))


# --- what must be true of a run ---


def _settings(rng: Rng) -> EngineSettings:
    since = {"since": "2020-01-01", "maker": 0.0002, "taker": 0.0005}
    return EngineSettings(
        fees={name: (FeeRow.model_validate(since),) for name in ("binanceusdm", "bybit")},
        min_history_hours=1,
        max_stale_hours=int(rng.choice([1, 3, 6, 20])),
        max_position_loss_pct=None,
    )


def _orders(rng: Rng) -> dict[int, list[Enter | Exit]]:
    """Enters again and again, both ways, and leaves now and then."""
    mirror = Enter(ENTER.symbol, ENTER.short_exchange, ENTER.long_exchange)
    orders: dict[int, list[Enter | Exit]] = {t: [ENTER if rng.random() < 0.5 else mirror] for t in range(0, HOURS, 5)}
    return orders | {t: [Exit(0)] for t in range(3, HOURS, int(rng.integers(20, 60)))}


def _is_right(market: MarketData, settings: EngineSettings, orders: dict[int, list[Enter | Exit]]) -> None:
    tape = prepare(market, settings)
    last = len(market.hours) - 1
    records = run_backtest(OpportunityBuilder(tape), Scripted(market, orders), 0, last)
    _assumes_nothing_that_pays(records)
    _gets_nothing_in_silence(records, tape)
    reference = simulate(market, settings, orders, 0, last)
    ours = [(int(row["hour"]), int(row["position_id"]), bool(row["booking"] != ACTUAL)) for row in records.ledger]
    assert ours == [(row.hour, row.position_id, row.imputed) for row in reference.ledger]
    theirs = np.array([float(row.amount) for row in reference.ledger])
    np.testing.assert_allclose(records.ledger["amount"], theirs, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(records.hours["equity"], [float(each) for each in reference.equity], rtol=1e-12)
    booked = settings.initial_capital_usd + records.ledger["amount"].sum()
    assert abs(records.hours["equity"][-1] - booked) < 1e-6, "cash is not conserved"


def _assumes_nothing_that_pays(records: Records) -> None:
    amounts, kinds = records.ledger["amount"], records.ledger["booking"]
    assert (amounts[kinds == IMPUTED] <= 0).all()
    assert (amounts[kinds == REVERSAL] >= 0).all()


def _gets_nothing_in_silence(records: Records, tape: Tape) -> None:
    silent = tape.arrays.quotes["flags"] & SILENT > 0
    for trade in records.trades:
        for leg in (tape.pairs.long_leg[trade["pair"]], tape.pairs.short_leg[trade["pair"]]):
            assert not silent[leg, trade["opened"] : trade["closed"]].any(), "a silent leg is held"
