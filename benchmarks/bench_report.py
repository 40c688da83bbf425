"""How long a report takes and how large it is: a year of hourly data, 5,000 trades, six references.

python benchmarks/bench_report.py [--trades 5000] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adapters.configuration.settings import load_settings
from adapters.reporting.page.write import write_reports

HOURS, CAPITAL, SIZE = 8760, 10_000.0, 1_700.0
LIMIT_SECONDS, LIMIT_BYTES = 3.0, 6_000_000
COINS = [f"C{k:02d}USDT" for k in range(60)]
EXCHANGES = ["binanceusdm", "bybit", "hyperliquid", "okx"]
REFERENCES = ("hold", "greedy", "carry", "basis", "hindsight persistent", "hindsight")


def write_synthetic_run(folder: Path, trades: int, rng: np.random.Generator) -> None:
    """A run that never was, with the files of one: every trade has its fees, prices and hourly funding."""
    folder.mkdir(parents=True, exist_ok=True)
    hours = pd.date_range("2024-01-01", periods=HOURS, freq="h", tz="UTC").as_unit("s")
    held = rng.integers(1, 15, trades)
    opened = np.sort(rng.integers(0, HOURS - 20, trades))
    legs = np.array([rng.permutation(4)[:2] for _ in range(trades)])
    coin = rng.integers(0, len(COINS), trades)
    fee, price = rng.uniform(0.4, 1.2, trades), rng.normal(0, 2, trades)
    funding = [rng.normal(0.2, 0.3, n) for n in held]
    total = np.array([one.sum() for one in funding])
    table = pd.DataFrame({
        "position_id": np.arange(1, trades + 1), "symbol": np.array(COINS)[coin],
        "long_exchange": np.array(EXCHANGES)[legs[:, 0]], "short_exchange": np.array(EXCHANGES)[legs[:, 1]],
        "entry_time": hours[opened], "exit_time": hours[opened + held], "duration_hours": held,
        "quantity": 1.0, "position_size_usd": SIZE, **dict.fromkeys(_PRICES, SIZE),
        "entry_fees_usd": fee, "exit_fees_usd": fee, "funding_usd": total, "price_pnl_usd": price,
        "slippage_usd": rng.uniform(0, 1, trades), "pnl_usd": price + total - 2 * fee,
        "pnl_pct": 100 * (price + total - 2 * fee) / (2 * SIZE),
        "exit_reason": rng.choice(["signal", "stop_loss", "liquidation"], trades, p=[0.9, 0.08, 0.02]),
        "liquidation_fees_usd": 0.0, "exit_long_time": hours[opened + held], "exit_short_time": hours[opened + held],
    })  # fmt: skip
    table.to_csv(folder / "trades.csv", index=False)
    ledger = _ledger(table, funding, hours, opened, held)
    ledger.to_parquet(folder / "ledger.parquet", index=False)
    booked = ledger.groupby("time")["amount_usd"].sum().reindex(hours, fill_value=0.0).cumsum()
    equity = pd.DataFrame({"time": hours, "equity_usd": CAPITAL + booked.to_numpy()})
    equity = equity.assign(cash_usd=equity["equity_usd"], unrealised_usd=0.0, open_positions=3)
    equity.to_parquet(folder / "equity.parquet", index=False)
    notes = pd.DataFrame({"time": hours, "what": "refused", "order": "enter", "target": "", "reason": "no_free_slot"})
    notes.to_csv(folder / "notes.csv", index=False)
    metrics = _metrics(table, equity)
    _write_json(folder / "metrics.json", metrics)
    _write_json(folder / "manifest.json", _manifest())
    curves = {name: CAPITAL + np.cumsum(rng.normal(0.1, 5, HOURS)) for name in REFERENCES}
    pd.DataFrame({"time": hours, **curves}).to_parquet(folder / "references.parquet", index=False)
    facts = [{"name": name, "parameters": {}, "metrics": metrics} for name in REFERENCES]
    _write_json(folder / "references.json", {"references": facts})
    rows = [{"multiple": multiple, **metrics} for multiple in (1.0, 1.5, 2.0, 3.0)]
    stress = {"costs": rows, "break_even_multiple": 2.0, "one_hour_late": metrics}
    _write_json(folder / "cost_stress.json", stress)
    seen = {name: rng.normal(0, 20, trades) for name in _SEEN}
    entries = pd.DataFrame({"position_id": table["position_id"], **seen, "rank": rng.integers(1, 99, trades)})
    entries.to_csv(folder / "entries.csv", index=False)


_PRICES = ("entry_long_price", "entry_short_price", "exit_long_price", "exit_short_price")
_SEEN = ("funding_now_bps", "net_funding_24h_bps", "net_funding_168h_bps", "spread_bps", "round_trip_fees_bps")


def _ledger(trades: pd.DataFrame, funding: list[Any], hours: Any, opened: Any, held: Any) -> pd.DataFrame:
    """Four fees, two price bookings, and funding by hour; in the order of time."""
    parts = []
    for at, kind, column, sign in (
        (opened, "fee", "entry_fees_usd", -1), (opened + held, "fee", "exit_fees_usd", -1),
        (opened + held, "price", "price_pnl_usd", 1),
    ):  # fmt: skip
        for side in ("long", "short"):
            amount = sign * trades[column] / 2
            parts.append(_entries(trades, hours[at], kind, side, amount))
    rows = np.repeat(np.arange(len(trades)), held)
    at = np.concatenate([np.arange(start + 1, start + 1 + n) for start, n in zip(opened, held, strict=True)])
    parts.append(_entries(trades.iloc[rows], hours[at], "funding", "long", np.concatenate(funding)))
    return pd.concat(parts).sort_values("time", kind="stable", ignore_index=True)


def _entries(trades: pd.DataFrame, times: Any, kind: str, side: str, amount: Any) -> pd.DataFrame:
    return pd.DataFrame({
        "time": times, "position_id": trades["position_id"].to_numpy(), "kind": kind, "leg": side,
        "exchange": trades[f"{side}_exchange"].to_numpy(), "symbol": trades["symbol"].to_numpy(), "quantity": 1.0,
        "price": SIZE, "rate": 0.0, "amount_usd": np.asarray(amount), "assumed": False,
    })  # fmt: skip


def _metrics(trades: pd.DataFrame, equity: pd.DataFrame) -> dict[str, Any]:
    pnl = float(equity["equity_usd"].iloc[-1] - CAPITAL)
    fees = float((trades["entry_fees_usd"] + trades["exit_fees_usd"]).sum())
    return {
        "initial_capital_usd": CAPITAL, "pnl_usd": pnl, "pnl_pct": 100 * pnl / CAPITAL,
        "pnl_pct_per_7d": 100 * pnl / CAPITAL * 168 / HOURS, "trades": len(trades), "win_rate_pct": 55.0,
        "profit_factor": 1.4, "avg_trade_hours": 7.0, "sharpe": 1.2, "sharpe_trades": 0.4, "sortino": 2.0,
        "max_drawdown_pct": 4.0, "fees_usd": fees, "funding_usd": float(trades["funding_usd"].sum()),
        "price_pnl_usd": float(trades["price_pnl_usd"].sum()), "slippage_usd": float(trades["slippage_usd"].sum()),
        "exposure_pct": 60.0, "break_even_cost_multiple": 1.5, "missing_settlements": 0, "stale_hours": 0,
        "fills_at_last_trade": 0, "hours": HOURS, "liquidation_fees_usd": 0.0, "transfer_costs_usd": 0.0,
    }  # fmt: skip


def _manifest() -> dict[str, Any]:
    settings = load_settings()
    return {
        "strategy": "synthetic", "models": [], "settings": settings.model_dump(mode="json"), "settings_hash": "-",
        "cost_table": {}, "cost_table_hash": "-", "code_version": "-", "python": "-", "packages": {}, "seed": 0,
        "dataset": {"name": "synthetic", "source": "benchmark", "fingerprint": "-", "notes": []},
        "command": "bench_report", "started": "2025-01-01T00:00:00Z", "finished": "2025-01-01T00:00:00Z",
    }  # fmt: skip


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


def main() -> int:
    """Print the figures; 1 when a limit is broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trades", type=int, default=5_000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or Path(temporary) / "run"
        write_synthetic_run(folder, arguments.trades, np.random.default_rng(0))
        walls, spent = [], []
        for _ in range(3):
            began, worked = time.perf_counter(), time.process_time()
            write_reports(folder)
            walls.append(time.perf_counter() - began)
            spent.append(time.process_time() - worked)
        size = (folder / "report.html").stat().st_size
    print(f"{HOURS:,} hours, {arguments.trades:,} trades: first {walls[0]:.2f} s, best {min(walls):.2f} s")
    print(f"processor time: first {spent[0]:.2f} s, best {min(spent):.2f} s; {size / 1e6:.2f} MB")
    return int(min(walls) > LIMIT_SECONDS or size > LIMIT_BYTES)


if __name__ == "__main__":
    sys.exit(main())
