"""The Python API: its names, that it gives what the command line gives, and that stable-baselines3 trains on it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stable_baselines3 import PPO
from support_datasets import info_of, small_market

import arb
from adapters.cli import arb as command_line
from adapters.datasets.write import write_dataset
from adapters.storage.json_files import read_object
from engine.errors import BundleError, SettingsError, UserError
from strategies.carry import Carry
from strategies.plugin import Context, Enter, NoParameters, Order, Settings, View

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample"
DEPLOYED = ROOT / "trained_models" / "deployed"
WEEK = ("2025-07-07T00:00Z", "2025-07-13T23:00Z")


class Eager:
    """Enters whatever is offered first."""

    def decide(self, view: View) -> list[Order]:
        return [Enter(int(pair)) for pair in view.offered.nonzero()[0][: view.free_slots]]


@pytest.fixture(scope="module")
def market() -> arb.Market:
    return arb.open_market(SAMPLE, slippage_bps=3, margin={"transfer_hours": 2})


def test_the_names_stay() -> None:
    assert sorted(arb.__all__) == ["Market", "Run", "environment", "load_policy", "open_market", "play"]
    assert {name: [*inspect.signature(getattr(arb, name)).parameters] for name in arb.__all__ if name.islower()} == {
        "environment": ["market", "window"],
        "load_policy": ["path"],
        "open_market": ["path", "settings"],
        "play": ["strategy", "market", "window", "parameters", "seed"],
    }
    assert {"strategy", "metrics", "trades", "equity", "ledger", "report"} <= {*dir(arb.Run), *arb.Run.__annotations__}


def test_settings_are_those_of_the_command_line(market: arb.Market) -> None:
    assert (market.settings.slippage_bps, market.settings.margin.transfer_hours) == (3, 2)
    assert repr(market) == "Market(sample: 20 coins on binanceusdm, bybit, hyperliquid)"
    with pytest.raises(SettingsError, match="unknown key; did you mean 'slippage_bps'"):
        arb.open_market(SAMPLE, slipage_bps=3)


def test_a_run_is_that_of_the_command_line(market: arb.Market, tmp_path: Path) -> None:
    run = arb.play("random", market, window="validation", seed=4)
    page = run.report(tmp_path / "python")
    words = ["backtest", "--strategy", "random", "--data", str(SAMPLE), "--window", "validation", "--seed", "4"]
    words += ["--set", "slippage_bps=3", "--set", "margin.transfer_hours=2", "--no-report"]
    command_line.main([*words, "--out", str(tmp_path / "typed")], standalone_mode=False)
    for name in ("trades.csv", "ledger.parquet", "equity.parquet", "notes.csv"):
        assert (tmp_path / "python" / name).read_bytes() == (tmp_path / "typed" / name).read_bytes(), name
    ours, typed = (read_object(tmp_path / name / "metrics.json") for name in ("python", "typed"))
    assert ours == typed
    other = "volume_spread_pnl_pct_per_7d"
    assert run.metrics.loc["random", other] == typed[other]
    assert page == tmp_path / "python" / "report.html"
    assert len(run.trades) == run.metrics.loc["random", "trades"] > 0
    pd.testing.assert_frame_equal(run.ledger, pd.read_parquet(tmp_path / "typed" / "ledger.parquet"))
    assert run.equity["equity_usd"].iloc[-1] == pytest.approx(run.metrics.loc["random", "final_equity_usd"])
    run.report(tmp_path / "python")  # its own folder gives way
    with pytest.raises(UserError, match="stays as it is"):
        run.report(tmp_path / "typed")


class Moody(Eager):
    """Enters by chance, and less and less often the older it is."""

    Parameters = NoParameters
    policies = 0

    def __init__(self, _: Settings, context: Context) -> None:
        self.chance, self.age = context.rng, 0

    def decide(self, view: View) -> list[Order]:
        self.age += 1
        return super().decide(view) if self.chance.random() < 10 / self.age else []


def test_the_other_model_of_spreads_is_a_run_by_that_model_alone(tmp_path: Path) -> None:
    made = small_market(150)
    unquoted = replace(made, bid_ask_spread=np.full(made.price.shape, np.nan))
    write_dataset(unquoted, tmp_path / "made", info_of(unquoted))
    settings = {"slippage_bps": 0, "min_history_hours": 2}
    markets = [arb.open_market(tmp_path / "made", **settings, spread_model=one) for one in ("fixed", "volume")]
    for strategy in ("random", Eager, Moody):
        fixed, volume = (arb.play(strategy, one).metrics.iloc[0] for one in markets)
        assert fixed["volume_spread_pnl_pct_per_7d"] == volume["pnl_pct_per_7d"]
        assert volume["fixed_spread_pnl_pct_per_7d"] == fixed["pnl_pct_per_7d"]
        assert volume["pnl_pct_per_7d"] < fixed["pnl_pct_per_7d"]


def test_classes_and_policies_play_too(market: arb.Market) -> None:
    assert len(arb.play(Eager, market, WEEK).trades) > 0
    named = arb.play("carry", market, parameters={"enter_margin": 0.6, "leave_margin": 0.5})
    classed = arb.play(Carry, market, parameters={"enter_margin": 0.6, "leave_margin": 0.5})
    assert len(named.trades) > 0
    pd.testing.assert_frame_equal(named.trades, classed.trades)
    (bundle,) = [path.parent for path in DEPLOYED.glob("*/bundle.json")]
    shipped, loaded = arb.play("ppo", market, WEEK), arb.play(arb.load_policy(bundle), market, WEEK)
    assert loaded.metrics.loc[loaded.strategy].equals(shipped.metrics.loc["ppo"])


@pytest.mark.parametrize(
    ("strategy", "window", "message"),
    [
        ("cary", None, "did you mean 'carry'"),
        (3, None, "3 is no strategy: it is not a class"),
        ("carry", "tomorrow", "has no window 'tomorrow'"),
        ("carry", ("2025-07-07", "2025-07-08T00:00Z"), "has no time zone"),
        ("carry", ("soon", "later"), "'soon' is not a time"),
        ("carry", ("2025-07-07T00:30Z", "2025-07-08T00:00Z"), "is not a whole hour"),
    ],
)
def test_what_cannot_be_played_is_refused(market: arb.Market, strategy: str, window: arb.Span, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        arb.play(strategy, market, window)
    assert "\n" not in str(caught.value)


def test_a_policy_of_other_fees_is_refused() -> None:
    (bundle,) = [path.parent for path in DEPLOYED.glob("*/bundle.json")]
    dearer = arb.open_market(SAMPLE, fees={"bybit": {"taker": 0.001}})
    with pytest.raises(BundleError, match="was trained under cost table"):
        arb.play(arb.load_policy(bundle), dearer)


def test_stable_baselines_trains_on_the_environment_at_once(
    market: arb.Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SB3_LOGDIR", str(tmp_path))  # else it leaves a folder for a logger among the machine's own
    environment = arb.environment(market)
    assert environment.episodes.market.last == market.rows("train").last
    model = PPO("MlpPolicy", environment, n_steps=32, batch_size=16, seed=0, device="cpu").learn(64)
    assert model.num_timesteps == 64


def test_torch_is_imported_only_where_it_is_needed() -> None:
    code = (
        f"import sys, arb; market = arb.open_market({str(SAMPLE)!r}); arb.play('hold', market, {WEEK!r})\n"
        "print(sorted({'torch', 'stable_baselines3', 'gymnasium', 'click', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
