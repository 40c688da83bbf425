"""``arb backtest`` as a user runs it: what it writes, that its files tell one story, and how it refuses bad input."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support_cli import arb
from support_datasets import info_of, small_market, stamp, window

from adapters.configuration.settings import load_settings
from adapters.datasets.load import load_dataset
from adapters.datasets.write import write_dataset
from adapters.storage.bundles import save_bundle
from engine.observation.encoding import ObservationSpec, Scaler
from strategies.policy import Policy

FILES = (
    "equity.parquet", "ledger.parquet", "manifest.json", "metrics.json", "notes.csv", "significance.json", "trades.csv",
)  # fmt: skip
TRADE_COLUMNS = (
    *("position_id", "symbol", "long_exchange", "short_exchange", "entry_time", "exit_time", "duration_hours"),
    *("quantity", "position_size_usd", "entry_long_price", "entry_short_price", "exit_long_price", "exit_short_price"),
    *("entry_fees_usd", "exit_fees_usd", "funding_usd", "price_pnl_usd", "slippage_usd", "pnl_usd", "pnl_pct"),
    *("exit_reason", "liquidation_fees_usd", "exit_long_time", "exit_short_time"),
)
LEDGER_COLUMNS = (
    *("time", "position_id", "kind", "leg", "exchange", "symbol", "quantity", "price", "rate"),
    "amount_usd",
)
EQUITY_COLUMNS = ("time", "equity_usd", "cash_usd", "unrealised_usd", "open_positions")
METRICS = (
    *("initial_capital_usd", "final_equity_usd", "pnl_usd", "pnl_pct", "pnl_pct_per_7d", "trades", "win_rate_pct"),
    *("profit_factor", "avg_trade_hours", "sharpe", "sharpe_trades", "sortino", "max_drawdown_pct", "avg_win_usd"),
    *("avg_loss_usd", "win_loss_ratio", "fees_usd", "funding_usd", "price_pnl_usd", "slippage_usd", "exposure_pct"),
    *("assumed_funding_pct", "missing_settlements", "stale_hours", "fills_at_last_trade", "hours"),
    *("liquidations", "liquidation_fees_usd", "transfers", "transfer_costs_usd", "leg_failures"),
)
YOUNG = ("--set", "min_history_hours=4")
HOURS = 150
pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two coins on two exchanges over 150 hours, with holes in the prices and a missing settlement."""
    market = small_market(HOURS)
    market.price[0, 60:66] = np.nan
    market.fill_price[1, 30:90] = np.nan
    market.funding_rate[2, 80] = np.nan
    folder = tmp_path_factory.mktemp("data") / "tiny"
    windows = {"train": window(0, 69), "validation": window(70, 99), "test": window(100, 149)}
    write_dataset(market, folder, info_of(market, windows=windows))
    return folder


def backtest(dataset: Path, out: Path, *more: object, strategy: str = "plugin_strategies:Churn") -> Path:
    """A finished run's folder; reports have tests of their own."""
    plain = ("--no-report", *YOUNG, *more)
    assert arb("backtest", "--strategy", strategy, "--data", dataset, "--out", out, *plain) == 0
    return out


class Run:
    """The files of a run, read back."""

    def __init__(self, folder: Path) -> None:
        self.metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        self.trades = pd.read_csv(folder / "trades.csv")
        self.ledger = pd.read_parquet(folder / "ledger.parquet")
        self.equity = pd.read_parquet(folder / "equity.parquet")
        self.notes = pd.read_csv(folder / "notes.csv")


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A strategy that trades all the time, over the whole data set."""
    return Run(backtest(dataset, tmp_path_factory.mktemp("runs") / "run"))


# --- what is written ---


@pytest.mark.parametrize("more", [(), ("--set", "latency_hours=1")])
def test_every_phase_of_a_clock_is_played_when_asked_for(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    own = {"every_hours": 2, "phase": 1, "caution": 0, "enter_margin": -1, "leave_margin": -2, "switch_margin": 1}
    words = [word for key, value in own.items() for word in ("--set", f"strategies.week.{key}={value}")]
    folder = backtest(dataset, tmp_path / "run", "--phases", *words, *more, strategy="week")
    table = pd.read_csv(folder / "phases.csv")
    assert table[["hours_late", "phase"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    once = table[table["hours_late"] == 0]["pnl_pct_per_7d"].to_numpy()
    assert once[1] == Run(folder).metrics["pnl_pct_per_7d"], "the run is that of the phase in force"
    assert once[0] != once[1]
    said = f"week, mean over 2 phases (worst): P&L at once {once.mean():+.3f} ({once.min():+.3f}), 1 h late"
    assert said in capsys.readouterr().out
    again = backtest(dataset, tmp_path / "run", "--phases", *words, *more, strategy="week")
    assert (again / "phases.csv").is_file(), "the folder gives way to the same command"


def test_phases_without_a_clock_are_refused_before_anything_is_played(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("backtest", "--strategy", "carry,hold", "--data", dataset, "--out", tmp_path / "run", "--phases")
    assert arb(*words) == 2
    assert capsys.readouterr().err == "error: --phases is given, but nobody who plays has a clock\n"
    assert not any(tmp_path.iterdir())


def test_the_files_have_the_columns_and_keys_of_the_contract(dataset: Path, tmp_path: Path) -> None:
    folder = backtest(dataset, tmp_path / "run", "--seed", 3)
    assert sorted(path.name for path in folder.iterdir()) == list(FILES)
    run = Run(folder)
    assert tuple(run.trades.columns) == TRADE_COLUMNS
    assert tuple(run.ledger.columns) == (*LEDGER_COLUMNS, "assumed")
    assert tuple(run.equity.columns) == EQUITY_COLUMNS
    assert set(run.metrics) == {*METRICS, "break_even_cost_multiple", "volume_spread_pnl_pct_per_7d"}
    assert set(run.ledger["kind"]) == {"fee", "funding", "price"}
    assert set(run.ledger["leg"]) == {"long", "short"}
    assert set(run.ledger["exchange"]) == {"binanceusdm", "bybit"}
    assert set(run.trades["symbol"]) == {"BTCUSDT", "ETHUSDT"}
    assert set(run.trades["exit_reason"]) == {"signal", "end_of_data"}
    for times in (run.ledger["time"], run.equity["time"]):
        assert str(times.dt.tz) == "UTC"
    assert run.trades["entry_time"].str.endswith("+00:00").all()


def test_the_manifest_says_what_was_run(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["arb", "backtest", "--seed", "7"])
    manifest = Run(backtest(dataset, tmp_path / "run", "--seed", 7, "--set", "slippage_bps=3.5")).manifest
    assert manifest["settings"]["slippage_bps"] == 3.5
    assert manifest["settings"]["min_history_hours"] == 4
    assert set(load_settings().model_dump()) == set(manifest["settings"])
    assert manifest["strategy"] == "plugin_strategies:Churn"
    assert manifest["seed"] == 7
    assert manifest["command"] == "arb backtest --seed 7"
    assert manifest["dataset"]["name"] == "small"
    assert len(manifest["dataset"]["fingerprint"]) == 32
    assert manifest["cost_table"]["bybit"][0]["taker"] == 0.00055
    assert manifest["cost_table_hash"] == load_settings().cost_table_hash()
    assert manifest["code_version"].startswith("0.1.0")
    started, finished = (pd.Timestamp(manifest[name]) for name in ("started", "finished"))
    assert started.tzinfo is not None
    assert started <= finished


@pytest.mark.trap(1)
def test_trap_01_the_manifest_hashes_the_fees_of_the_run(dataset: Path, tmp_path: Path) -> None:
    plain = Run(backtest(dataset, tmp_path / "plain"))
    cheap = Run(backtest(dataset, tmp_path / "cheap", "--set", "fees.bybit.taker=0.0001"))
    assert plain.manifest["cost_table_hash"] != cheap.manifest["cost_table_hash"]
    assert cheap.manifest["cost_table"]["bybit"][0]["taker"] == 0.0001
    paid = cheap.ledger[(cheap.ledger["kind"] == "fee") & (cheap.ledger["exchange"] == "bybit")]
    assert set(paid["rate"]) == {0.0001}
    assert cheap.metrics["fees_usd"] < plain.metrics["fees_usd"]


# --- one story ---


def close(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-7)


def test_equity_is_capital_plus_ledger_plus_unrealised_at_every_hour(run: Run) -> None:
    hours = run.equity.set_index("time")
    assert len(hours) == HOURS
    assert hours.index[0] == stamp(0)
    assert (hours.index.to_series().diff().dropna() == pd.Timedelta(hours=1)).all()
    booked = run.ledger.groupby("time")["amount_usd"].sum().reindex(hours.index, fill_value=0.0).cumsum()
    assert hours["cash_usd"].to_numpy() == close((10_000 + booked).to_numpy())
    assert hours["equity_usd"].to_numpy() == close((hours["cash_usd"] + hours["unrealised_usd"]).to_numpy())
    assert hours["unrealised_usd"].abs().max() > 0
    assert hours["unrealised_usd"].iloc[-1] == 0
    assert hours["equity_usd"].iloc[-1] == close(10_000 + run.ledger["amount_usd"].sum())


def test_trades_add_up_to_the_ledger_and_the_metrics(run: Run) -> None:
    trades, metrics = run.trades, run.metrics
    fees = trades["entry_fees_usd"] + trades["exit_fees_usd"]
    pnl = trades["price_pnl_usd"] + trades["funding_usd"] - fees
    assert trades["pnl_usd"].to_numpy() == close(pnl.to_numpy())
    assert trades["pnl_pct"].to_numpy() == close((100 * pnl / (2 * trades["position_size_usd"])).to_numpy())
    by_position = run.ledger.pivot_table(index="position_id", columns="kind", values="amount_usd", aggfunc="sum")
    by_position = by_position.reindex(trades["position_id"])
    assert -by_position["fee"].to_numpy() == close(fees.to_numpy())
    assert by_position["price"].to_numpy() == close(trades["price_pnl_usd"].to_numpy())
    assert by_position["funding"].fillna(0).to_numpy() == close(trades["funding_usd"].to_numpy())
    assert metrics["fees_usd"] == close(fees.sum())
    for name in ("funding_usd", "price_pnl_usd", "slippage_usd", "pnl_usd"):
        assert metrics[name] == close(trades[name].sum()), name
    assert metrics["final_equity_usd"] == close(10_000 + trades["pnl_usd"].sum())
    assert metrics["final_equity_usd"] == run.equity["equity_usd"].iloc[-1]
    assert (metrics["trades"], metrics["hours"]) == (len(trades), HOURS)


def test_prices_fees_and_slippage_of_the_trades_follow_from_the_fills(run: Run) -> None:
    t = run.trades
    assert len(t) > 30
    gains = t["exit_long_price"] - t["entry_long_price"] + t["entry_short_price"] - t["exit_short_price"]
    assert t["price_pnl_usd"].to_numpy() == close((t["quantity"] * gains).to_numpy())
    fees = run.ledger[run.ledger["kind"] == "fee"]
    assert (fees["rate"] == fees["exchange"].map({"binanceusdm": 0.0005, "bybit": 0.00055})).all()
    assert fees["amount_usd"].to_numpy() == close((-fees["rate"] * fees["quantity"] * fees["price"]).to_numpy())
    funding = run.ledger[run.ledger["kind"] == "funding"]
    signs = funding["leg"].map({"long": -1, "short": 1})
    expected = signs * funding["quantity"] * funding["price"] * funding["rate"]
    assert funding["amount_usd"].to_numpy() == close(expected.to_numpy())
    # Slippage of 2 bps and half a spread of at most 5 bps on four fills of N: never free, never absurd.
    share = t["slippage_usd"] / (4 * t["position_size_usd"])
    assert share.between(2e-4, 8e-4).all()


def test_times_and_open_positions_agree_between_the_files(run: Run) -> None:
    entry, leave = (pd.to_datetime(run.trades[name]) for name in ("entry_time", "exit_time"))
    assert ((leave - entry) == pd.to_timedelta(run.trades["duration_hours"], unit="h")).all()
    held = [int(((entry <= t) & (t < leave)).sum()) for t in run.equity["time"]]
    assert run.equity["open_positions"].tolist() == held
    assert max(held) == 2
    assert leave.max() == run.equity["time"].iloc[-1]
    assert (run.trades.loc[leave == leave.max(), "exit_reason"] == "end_of_data").all()
    fills = run.ledger[run.ledger["kind"] == "fee"].groupby("position_id")["time"].agg(["min", "max"])
    fills = fills.reindex(run.trades["position_id"])
    assert (fills["min"].to_numpy() == entry.to_numpy()).all()
    assert (fills["max"].to_numpy() == leave.to_numpy()).all()


def test_the_holes_of_the_data_show_in_the_counters_and_notes(run: Run) -> None:
    assert run.metrics["missing_settlements"] == run.ledger["assumed"].sum() > 0
    assert run.metrics["stale_hours"] > 0
    assert run.metrics["fills_at_last_trade"] > 0
    assert {"no_position", "stale_leg", "already_held", "too_young"} <= set(run.notes["reason"])
    assert set(run.notes["what"]) == {"refused"}
    assert "slot 99" in set(run.notes["target"])
    assert "BTCUSDT long bybit short binanceusdm" in set(run.notes["target"])


# --- options ---


def test_several_strategies_get_a_folder_each_and_one_comparison(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = backtest(dataset, tmp_path / "run", strategy="hold,random,plugin_strategies:Churn")
    folders = ["hold", "plugin_strategies.Churn", "random"]
    assert sorted(path.name for path in out.iterdir()) == ["comparison.csv", *folders]
    for name in folders:
        assert sorted(path.name for path in (out / name).iterdir()) == list(FILES)
    table = pd.read_csv(out / "comparison.csv").set_index("strategy")
    assert table.loc["hold", "pnl_usd"] == 0.0
    assert table.loc["plugin_strategies:Churn", "trades"] == Run(out / "plugin_strategies.Churn").metrics["trades"]
    assert Run(out / "hold").metrics["trades"] == 0
    assert Run(out / "hold").trades.empty
    captured = capsys.readouterr()
    assert captured.err == ""
    for word in ("hold", "random", "plugin_str", "target", "written to"):
        assert word in captured.out
    # A strategy's results do not depend on who runs beside it.
    alone = backtest(dataset, tmp_path / "alone")
    assert (alone / "trades.csv").read_bytes() == (out / "plugin_strategies.Churn" / "trades.csv").read_bytes()


def test_from_and_to_bound_the_run_and_include_both_hours(dataset: Path, tmp_path: Path) -> None:
    span = ("--from", "2024-05-02T06:00Z", "--to", "2024-05-03T02:00+02:00")
    run = Run(backtest(dataset, tmp_path / "run", *span))
    assert (run.equity["time"].iloc[0], run.equity["time"].iloc[-1]) == (stamp(30), stamp(48))
    assert run.metrics["hours"] == 19
    assert pd.to_datetime(run.trades["entry_time"]).min() == stamp(30)


def test_a_named_window_is_its_hours(dataset: Path, tmp_path: Path) -> None:
    run = Run(backtest(dataset, tmp_path / "run", "--window", "validation"))
    assert (run.equity["time"].iloc[0], run.equity["time"].iloc[-1]) == (stamp(70), stamp(99))


def test_settings_come_from_the_file_and_then_from_the_command_line(dataset: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("initial_capital_usd: 500\nslippage_bps: 9\nstrategies:\n  random: {enter_probability: 1.0}\n")
    run = Run(backtest(dataset, tmp_path / "run", "--config", config, "--set", "slippage_bps=1e-1", strategy="random"))
    assert run.metrics["initial_capital_usd"] == 500.0
    assert run.manifest["settings"]["slippage_bps"] == 0.1
    assert run.manifest["settings"]["strategies"]["random"]["enter_probability"] == 1.0
    assert run.metrics["trades"] > 2


def test_the_seed_decides_what_random_does(dataset: Path, tmp_path: Path) -> None:
    often = ("--set", "strategies.random.enter_probability=0.5")
    one, two, other = (
        Run(backtest(dataset, tmp_path / name, "--seed", seed, *often, strategy="random")).trades
        for name, seed in (("one", 1), ("two", 1), ("other", 2))
    )
    assert one.equals(two)
    assert not one.equals(other)


def test_a_rerun_gives_the_same_bytes_and_replaces_the_run(dataset: Path, tmp_path: Path) -> None:
    """Its own run only: with anything else beside it nothing is touched."""
    out = tmp_path / "run"
    command = ("--set", "strategies.random.enter_probability=0.3")
    backtest(dataset, out, *command, strategy="random,carry")
    first = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (out / "mine").write_text("keep me")
    assert arb("backtest", "--strategy", "random,carry", "--data", dataset, "--out", out, "--no-report", *YOUNG) == 2
    (out / "mine").unlink()
    assert first == {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    backtest(dataset, out, *command, strategy="random,carry")
    second = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert set(first) == set(second)
    for path, content in first.items():
        if path.name == "manifest.json":
            ours, theirs = (json.loads(text) for text in (content, second[path]))
            changed = {key for key in ours if ours[key] != theirs[key]}
            assert changed <= {"started", "finished"}
        else:
            assert content == second[path], path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_without_out_the_run_has_a_folder_by_time(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert arb("backtest", "--strategy", "hold", "--data", dataset, "--no-report", *YOUNG) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("backtest-2")
    assert sorted(path.name for path in folder.iterdir()) == list(FILES)


def test_latency_fill_and_cost_settings_reach_the_engine(dataset: Path, tmp_path: Path) -> None:
    prompt = Run(backtest(dataset, tmp_path / "prompt"))
    late = Run(backtest(dataset, tmp_path / "late", "--set", "latency_hours=2"))
    for run, hours in ((prompt, 5), (late, 7)):
        left = run.trades[run.trades["exit_reason"] == "signal"]
        assert left["duration_hours"].min() == hours
    assert late.manifest["settings"]["latency_hours"] == 2
    free = Run(backtest(dataset, tmp_path / "free", "--set", "cost_multiple=0"))
    assert free.metrics["fees_usd"] == 0.0
    assert free.metrics["slippage_usd"] == 0.0
    assert free.metrics["pnl_usd"] > prompt.metrics["pnl_usd"]
    phantom = Run(backtest(dataset, tmp_path / "phantom", "--set", "fill_at=last_trade"))
    assert phantom.metrics["fills_at_last_trade"] == 4 * phantom.metrics["trades"]


# --- bad input ---

Change = Callable[[pd.DataFrame], pd.DataFrame]


def naive(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(timestamp=table["timestamp"].dt.tz_localize(None))


def with_price(value: float) -> Change:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[7, "bybit_price"] = value
        return table

    return change


BAD_TABLES: dict[str, tuple[Change, Sequence[str]]] = {
    "wrong columns": (lambda table: table.rename(columns={"timestamp": "time"}), ["BTCUSDT", "timestamp"]),
    "no price": (lambda table: table.drop(columns="bybit_price"), ["BTCUSDT", "bybit_price"]),
    "unknown column": (lambda table: table.assign(bybit_prize=1.0), ["BTCUSDT", "bybit_prize"]),
    "no rows": (lambda table: table.iloc[:0], ["BTCUSDT", "no rows"]),
    "naive times": (naive, ["BTCUSDT", "time zone"]),
    "unsorted times": (lambda table: table.iloc[[1, 0, *range(2, len(table))]], ["BTCUSDT", "2024-05-01T0"]),
    "duplicate times": (lambda table: table.iloc[[0, 0, *range(1, len(table))]], ["BTCUSDT", "2024-05-01T00"]),
    "a time between hours": (
        lambda table: table.assign(timestamp=table["timestamp"] + pd.Timedelta(minutes=30)),
        ["BTCUSDT", "whole hour"],
    ),
    "a negative price": (with_price(-1.0), ["BTCUSDT", "bybit", "2024-05-01T07"]),
    "a price of zero": (with_price(0.0), ["BTCUSDT", "bybit", "2024-05-01T07"]),
    "an infinite price": (with_price(np.inf), ["BTCUSDT", "bybit", "2024-05-01T07"]),
    "nothing but NaN prices": (lambda table: table.assign(bybit_price=np.nan), ["BTCUSDT", "every price is empty"]),
    "words for prices": (lambda table: table.assign(bybit_price="high"), ["BTCUSDT", "bybit_price"]),
}


def copy_of(dataset: Path, folder: Path) -> Path:
    """A data set that may be spoilt."""
    (folder / "price_history").mkdir(parents=True)
    for path in [dataset / "dataset.yaml", *(dataset / "price_history").iterdir()]:
        (folder / path.relative_to(dataset)).write_bytes(path.read_bytes())
    return folder


def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr of a run that must fail as a user's mistake, leaving nothing behind."""
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    assert arb("backtest", *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith("error: ")
    assert sorted(tmp_path.rglob("*")) == before
    return captured.err


@pytest.mark.parametrize("fault", BAD_TABLES)
def test_a_bad_table_is_told_with_its_file(
    fault: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = copy_of(dataset, tmp_path / "spoilt")
    file = spoilt / "price_history" / "BTCUSDT.parquet"
    change, words = BAD_TABLES[fault]
    change(pd.read_parquet(file)).to_parquet(file, index=False)
    line = refused(tmp_path, capsys, "--strategy", "hold", "--data", spoilt, "--out", tmp_path / "out")
    for word in words:
        assert word in line, line


def test_a_single_nan_price_is_a_gap_that_is_counted(dataset: Path, tmp_path: Path) -> None:
    holed = copy_of(dataset, tmp_path / "holed")
    file = holed / "price_history" / "BTCUSDT.parquet"
    with_price(np.nan)(pd.read_parquet(file)).to_parquet(file, index=False)
    before, after = (Run(backtest(data, tmp_path / data.name / "run")) for data in (dataset, holed))
    assert after.metrics["stale_hours"] == before.metrics["stale_hours"] + 1


BAD_FILES: dict[str, tuple[Callable[[Path], object], Sequence[str]]] = {
    "an empty file": (lambda f: (f / "price_history" / "BTCUSDT.parquet").write_bytes(b""), ["BTCUSDT.parquet"]),
    "half a file": (
        lambda f: (f / "price_history" / "BTCUSDT.parquet").write_bytes(
            (f / "price_history" / "BTCUSDT.parquet").read_bytes()[:500]
        ),
        ["BTCUSDT.parquet"],
    ),
    "no file": (lambda f: [path.unlink() for path in (f / "price_history").iterdir()], ["price_history"]),
    "empty dataset.yaml": (lambda f: (f / "dataset.yaml").write_text(""), ["dataset.yaml"]),
    "broken dataset.yaml": (lambda f: (f / "dataset.yaml").write_text("name: ["), ["dataset.yaml"]),
}


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_missing_or_broken_file_is_told(
    fault: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = copy_of(dataset, tmp_path / "spoilt")
    change, words = BAD_FILES[fault]
    change(spoilt)
    line = refused(tmp_path, capsys, "--strategy", "hold", "--data", spoilt, "--out", tmp_path / "out")
    for word in words:
        assert word in line, line


BAD_ARGUMENTS: dict[str, tuple[Sequence[str], str]] = {
    "no such folder": (["--data", "nowhere"], "nowhere"),
    "unknown strategy": (["--strategy", "cary"], "unknown strategy 'cary'; did you mean 'carry'?"),
    "no strategy": (["--strategy", " , "], "--strategy needs at least one name"),
    "a strategy twice": (["--strategy", "hold,hold"], "names a strategy twice"),
    "no such module": (["--strategy", "no_such_module:Rule"], "strategy no_such_module:Rule cannot be imported"),
    "no strategy at all": (["--strategy", "plugin_strategies:Sequence"], "plugin_strategies:Sequence is no strategy"),
    "unknown key": (["--set", "slipage_bps=3"], "--set slipage_bps: unknown key; did you mean 'slippage_bps'?"),
    "unknown nested key": (["--set", "filters.symbol=[A]"], "did you mean 'filters.symbols'?"),
    "no value": (["--set", "slippage_bps"], "write it as KEY=VALUE"),
    "NaN": (["--set", "slippage_bps=.nan"], "slippage_bps"),
    "NaN as a word": (["--set", "slippage_bps=nan"], "slippage_bps"),
    "infinity": (["--set", "initial_capital_usd=.inf"], "initial_capital_usd"),
    "negative": (["--set", "slippage_bps=-1"], "slippage_bps = -1: Input should be greater than or equal to 0"),
    "no capital": (["--set", "initial_capital_usd=0"], "initial_capital_usd = 0"),
    "text for a number": (["--set", "max_positions=few"], "max_positions = 'few'"),
    "a stop that is a gain": (["--set", "max_position_loss_pct=1.5"], "max_position_loss_pct = 1.5"),
    "leverage": (["--set", "leverage=2"], "needs account=by_exchange"),
    "a fee of an unknown exchange": (["--set", "fees.bibit.taker=0"], "the fee table has"),
    "a negative fee": (["--set", "fees.bybit.taker=-1"], "taker"),
    "unknown parameter": (["--strategy", "carry", "--set", "strategies.carry.enter_margn=1"], "'enter_margin'"),
    "parameter out of range": (["--strategy", "carry", "--set", "strategies.carry.horizon_hours=-1"], "horizon_hours"),
    "NaN parameter": (["--strategy", "carry", "--set", "strategies.carry.horizon_hours=.nan"], "horizon_hours"),
    "unknown strategy in the settings": (
        ["--set", "strategies.cary.enter_margin=1"],
        "unknown strategy 'cary'; did you mean 'carry'?",
    ),
    "a window backwards": (["--from", "2024-05-03T00:00Z", "--to", "2024-05-02T00:00Z"], "is empty"),
    "a window of one hour": (["--from", "2024-05-03T00:00Z", "--to", "2024-05-03T00:00Z"], "is empty"),
    "a window outside": (["--from", "2023-05-03T00:00Z"], "2023-05-03T00:00Z is outside the data"),
    "a naive time": (["--from", "2024-05-03T00:00"], "has no time zone"),
    "half an hour": (["--to", "2024-05-03T00:30Z"], "is not a whole hour"),
    "no time": (["--to", "noon"], "is not a time"),
    "unknown window": (["--window", "tset"], "has no window 'tset' (it has: train, validation, test)"),
    "no config": (["--config", "nowhere.yaml"], "nowhere.yaml does not exist"),
    "unknown option": (["--sett", "a=b"], "No such option '--sett'"),
    "no such symbol": (["--set", "filters.symbols=[XUSDT]"], "symbol XUSDT is not in this data set"),
    "a model for a rule": (["--model", "model.zip"], "none of the strategies plays a trained model"),
    "pieces and a folder": (["--price-history", "x"], "not both"),
}


@pytest.mark.parametrize("fault", BAD_ARGUMENTS)
def test_a_mistake_on_the_command_line_is_told_in_one_line(
    fault: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, words = BAD_ARGUMENTS[fault]
    start = ["--strategy", "hold", "--data", dataset, "--out", tmp_path / "out"]
    assert words in refused(tmp_path, capsys, *start, *arguments)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("slippage_pbs: 3", "mine.yaml: unknown key 'slippage_pbs'; did you mean 'slippage_bps'?"),
        ("filters: {exchange: [bybit]}", "'filters.exchange'; did you mean 'filters.exchanges'?"),
        ("slippage_bps: -3", "slippage_bps = -3"),
        ("slippage_bps: .nan", "slippage_bps"),
        ("- a\n- b", "must hold a mapping"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_a_mistake_in_the_config_file_is_told_in_one_line(
    text: str, words: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(text)
    arguments = ("--strategy", "hold", "--data", dataset, "--out", tmp_path / "out", "--config", config)
    assert words in refused(tmp_path, capsys, *arguments)


def test_an_exchange_without_fees_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    market = small_market(30, [("BTCUSDT", "bybit"), ("BTCUSDT", "zebra")])
    write_dataset(market, tmp_path / "data", info_of(market))
    line = refused(tmp_path, capsys, "--strategy", "hold", "--data", tmp_path / "data", "--out", tmp_path / "out")
    assert "no fee rates for exchange zebra" in line


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_earlier_run_is_never_replaced(
    kind: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "precious"
    if kind == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "notes.txt").write_text("mine")
    line = refused(tmp_path, capsys, "--strategy", "hold", "--data", dataset, "--out", out, *YOUNG)
    assert f"{out} exists already" in line


def test_a_strategy_that_fails_or_an_interruption_leaves_nothing_partial(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(dataset), "--out", str(tmp_path / "out"), *YOUNG]
    line = refused(tmp_path, capsys, "--strategy", "hold,plugin_strategies:Broken", *arguments)
    assert "strategy plugin_strategies:Broken at 2024-05-03T00:00Z: ZeroDivisionError: a defect of the strategy" in line
    assert arb("backtest", "--strategy", "hold,plugin_strategies:Interrupted", *arguments) == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rerun_keeps_the_earlier_run(dataset: Path, tmp_path: Path) -> None:
    out = backtest(dataset, tmp_path / "out")
    before = (out / "trades.csv").read_bytes()
    assert arb("backtest", "--strategy", "plugin_strategies:Broken", "--data", dataset, "--out", out, *YOUNG) == 2
    assert (out / "trades.csv").read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]


# --- models ---


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A bundle of random weights, as training writes it, in a folder of its own."""
    spec = ObservationSpec()
    rng = np.random.default_rng(0)
    weights = (rng.normal(size=(spec.size, spec.actions)).astype(np.float32),)
    scaler = Scaler(mean=(0.0,) * 22, deviation=(1.0,) * 22)
    biases = (np.zeros(spec.actions, np.float32),)
    policy = Policy("dice", spec, scaler, weights, biases, load_settings().cost_table_hash())
    save_bundle(policy, {}, tmp_path / "dice")
    return tmp_path / "dice"


def test_a_model_plays(dataset: Path, model: Path, tmp_path: Path) -> None:
    run = Run(backtest(dataset, tmp_path / "run", "--model", model, strategy="ppo"))
    assert run.manifest["models"] == [str(model)]
    assert run.metrics["trades"] + len(run.notes) > 0


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


BAD_MODELS: dict[str, tuple[Callable[[Path], object], Sequence[str], str]] = {
    "none": (shutil.rmtree, [], "dice does not exist"),
    "truncated weights": (
        lambda m: (m / "weights.safetensors").write_bytes((m / "weights.safetensors").read_bytes()[:-10]),
        [],
        "truncated",
    ),
    "no weights": (lambda m: (m / "weights.safetensors").unlink(), [], "weights.safetensors cannot be read"),
    "a pointer": (
        lambda m: (m / "weights.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        [],
        "git lfs pull",
    ),
    "truncated description": (
        lambda m: (m / "bundle.json").write_text((m / "bundle.json").read_text()[:-50]),
        [],
        "is damaged: no JSON",
    ),
    "another ranking": (Path.exists, ["--set", "observation.ranking=fundApr3dProj"], "another observation"),
    "other opportunities": (
        Path.exists,
        ["--set", "observation.opportunities=4"],
        "--set observation.opportunities=5",
    ),
    "other positions": (Path.exists, ["--set", "max_positions=2"], "--set max_positions=3"),
    "an altered spec": (
        lambda m: edit(m / "bundle.json", observation=ObservationSpec(opportunities=4).model_dump(mode="json")),
        [],
        "does not match its hash",
    ),
    "other fees": (Path.exists, ["--set", "fees.bybit.taker=0.0001"], "--allow-other-costs"),
}


@pytest.mark.parametrize("fault", BAD_MODELS)
def test_a_model_that_cannot_be_used_is_told_in_one_line(
    fault: str, dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, arguments, words = BAD_MODELS[fault]
    change(model)
    start = ["--strategy", "ppo", "--model", model, "--data", dataset, "--out", tmp_path / "out"]
    assert words in refused(tmp_path, capsys, *start, *arguments)


def test_the_result_stands_beside_that_under_the_other_model_of_spreads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market = small_market()
    market = replace(market, bid_ask_spread=np.full(market.price.shape, np.nan))
    dataset = tmp_path / "unquoted"
    write_dataset(market, dataset, info_of(market))
    wide = ("--set", "spreads.binance=[{since: 2025-01-01, half_spread: [{from_usd: 0, bps: 30}]}]")
    fixed = Run(backtest(dataset, tmp_path / "fixed", *wide))
    assert "volume" in capsys.readouterr().out.split("strategy")[0]
    by_volume = Run(backtest(dataset, tmp_path / "volume", *wide, "--set", "spread_model=volume"))
    said = capsys.readouterr().out
    assert "fixed" in said.split("strategy")[0]
    assert "2 bps slippage a fill, spreads by 24 h volume" in said
    assert fixed.metrics["volume_spread_pnl_pct_per_7d"] == by_volume.metrics["pnl_pct_per_7d"]
    assert by_volume.metrics["fixed_spread_pnl_pct_per_7d"] == fixed.metrics["pnl_pct_per_7d"]
    assert by_volume.metrics["pnl_pct_per_7d"] < fixed.metrics["pnl_pct_per_7d"]
    assert by_volume.manifest["cost_table_hash"] != fixed.manifest["cost_table_hash"]


@pytest.mark.trap(1)
def test_trap_01_a_model_runs_under_other_fees_only_when_told(dataset: Path, model: Path, tmp_path: Path) -> None:
    other = ("--model", model, "--set", "fees.bybit.taker=0.0001", "--allow-other-costs")
    run = Run(backtest(dataset, tmp_path / "run", *other, strategy="ppo"))
    assert run.manifest["cost_table_hash"] != load_settings().cost_table_hash()


# --- fresh interpreters ---


def modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running code that ends in ``sys.exit``."""
    program = f"import sys\ntry:\n    {code}\nexcept SystemExit as stopped:\n    assert not stopped.code\n"
    report = "print('\\n' + ' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", program + report], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_orders_that_rest_are_told_of_and_played_again_with_takers(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bars of the same market that reach 1 % to both sides: all that has turnover enough is filled."""
    market = load_dataset(dataset).market
    market = replace(market, high=market.fill_price * 1.01, low=market.fill_price * 0.99)
    market = replace(market, volume_24h_usd=np.full(market.price.shape, 1e9))
    write_dataset(market, tmp_path / "bars", info_of(market))
    asked = ("--data", tmp_path / "bars", "--strategy", "random", *YOUNG)
    rests = ("--set", "execution=maker_then_hedge")
    assert arb("backtest", *asked, *rests, "--out", tmp_path / "rests") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert arb("backtest", *asked, "--out", tmp_path / "takes") == 0
    takes, stress = (read_json(tmp_path / name) for name in ("takes/metrics.json", "rests/cost_stress.json"))
    assert stress["takers"]["pnl_usd"] == takes["pnl_usd"]
    assert "takers" not in read_json(tmp_path / "takes" / "cost_stress.json")
    notes = pd.read_csv(tmp_path / "rests" / "notes.csv")
    rested = notes[notes["what"] == "rested"]
    wholly = int((rested["reason"] == "wholly_filled").sum())
    assert 0 < wholly < len(rested)
    assert f"random: {wholly} of {len(rested)} orders that rested were filled" in told
    assert f"with takers alone P&L {takes['pnl_pct_per_7d']:+.3f} %/7d" in told
    # Both lose: the sign does not hang on the model.
    assert "hangs on the model" not in told
    page = " ".join((tmp_path / "rests" / "report.html").read_text(encoding="utf-8").split())
    assert "With takers alone it makes" in page
    assert "Orders filled at rest" in page
    assert "Orders filled at rest" not in (tmp_path / "takes" / "report.html").read_text(encoding="utf-8")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_orders_cannot_rest_where_bars_are_not_known(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--data", dataset, "--strategy", "hold", "--set", "execution=maker_then_hedge", "--out", tmp_path / "run")
    assert arb("backtest", *asked) == 2
    assert "high and low of the bars are not known here" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_help_loads_nothing_heavy() -> None:
    loaded = modules_after("from adapters.cli import main; main(['--help'])")
    assert loaded.isdisjoint({"torch", "pandas", "numba", "pyarrow", "ccxt", "pydantic", "gymnasium", "rich", "yaml"})
    assert "click" in loaded


def test_a_rule_runs_in_a_process_of_its_own_without_torch(dataset: Path, tmp_path: Path) -> None:
    arguments = ["backtest", "--strategy", "carry,basis,greedy", "--data", str(dataset), "--out", str(tmp_path / "out")]
    arguments.append("--no-report")
    loaded = modules_after(f"from adapters.cli import main; main({arguments!r})")
    assert "numba" in loaded
    assert loaded.isdisjoint({"torch", "stable_baselines3", "gymnasium", "ccxt"})
    assert sorted(path.name for path in (tmp_path / "out" / "carry").iterdir()) == list(FILES)


def test_the_installed_command_runs_and_refuses(dataset: Path, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("arb")), "backtest", "--data", str(dataset), "--out", "run"]
    done = subprocess.run([*command, "--strategy", "hold"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "written to run" in done.stdout
    wrong = subprocess.run([*command, "--strategy", "hodl"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: unknown strategy 'hodl'; did you mean 'hold'?")


def test_hindsight_is_marked_and_played_with_fixed_size(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--set", "max_positions=1", "--late")
    run = backtest(dataset, tmp_path / "run", *more, strategy="hindsight,plugin_strategies:Churn")
    manifest = json.loads((run / "hindsight" / "manifest.json").read_text())
    metrics = json.loads((run / "hindsight" / "metrics.json").read_text())
    assert manifest["knows_future"] is True
    assert manifest["bound_usd"] == pytest.approx(metrics["pnl_usd"])
    assert manifest["settings"]["max_position_loss_pct"] is None
    assert "knows_future" not in json.loads((run / "plugin_strategies.Churn" / "manifest.json").read_text())
    said = capsys.readouterr().out
    assert "hindsight knew the future" in said
    assert "plugin_strategies:Churn, every fill one hour later: P&L" in said
    assert "hindsight looks like" not in said


def test_signs_of_bounce_stand_under_the_table(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.research.playing.suspicious_signs", lambda *_: ["Sharpe 9.9", "median hold 2 h"])
    backtest(dataset, tmp_path / "run")
    assert "Churn looks like last-trade bounce: Sharpe 9.9; median hold 2 h" in capsys.readouterr().out


def test_only_a_backtest_may_know_the_future(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert arb("paper-trade", "--strategy", "hindsight", "--replay", dataset, "--state", tmp_path / "state") == 2
    assert "error: hindsight knows the future; only `arb backtest` plays it" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()
