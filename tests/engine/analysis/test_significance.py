"""What a result is worth: significance.json, from returns and from the record of what else was tried."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from support_environment import random_policy

from adapters.configuration.settings import load_settings
from adapters.reporting.significance_table import luck_cells, notes
from adapters.research.significance import after_all, other_hours, trials_behind
from adapters.storage.bundles import save_bundle
from engine.analysis.significance import NO_RECORD, SignificanceSettings, Trials, hourly_returns, significance
from engine.analysis.statistics import annualised_sharpe, bootstrap, pnl_pct, sharpe

START = datetime(2025, 2, 3, tzinfo=UTC)
QUICK = SignificanceSettings(samples=300)


def noise(seed: int, hours: int = 1000, drift: float = 0.0) -> np.ndarray:
    return 1e-4 * np.random.default_rng(seed).standard_normal(hours) + drift


def trials(count: int, deviation: float, overfitting: float | None = 0.5) -> Trials:
    return Trials(
        count=count, sharpe_deviation=deviation, overfitting=overfitting, source="grid", start=START,
        end=START + timedelta(hours=999), dataset_fingerprint="abc",
    )  # fmt: skip


def test_returns_begin_with_the_initial_capital() -> None:
    assert hourly_returns(np.array([100.0, 110.0, 99.0])) == pytest.approx([0.1, -0.1])


def test_the_numbers_belong_together() -> None:
    returns = noise(1, drift=1e-5)
    found = significance(returns, QUICK)
    assert found.pnl_pct == pytest.approx(100 * (np.prod(1 + returns) - 1))
    assert found.pnl_pct_per_7d == pytest.approx(found.pnl_pct * 168 / 1000)
    assert found.sharpe == pytest.approx(float(sharpe(returns)) * np.sqrt(8760))
    assert found.pnl_pct_interval is not None
    assert found.pnl_pct_per_7d_interval is not None
    assert found.sharpe_interval is not None
    assert found.pnl_pct_interval[0] < found.pnl_pct < found.pnl_pct_interval[1]
    assert found.sharpe_interval[0] < found.sharpe < found.sharpe_interval[1]
    assert found.pnl_pct_per_7d_interval == pytest.approx([0.168 * bound for bound in found.pnl_pct_interval])
    assert found.confidence == 0.9
    assert found.hours == 1000
    assert significance(returns, QUICK) == found
    assert significance(returns, QUICK.model_copy(update={"seed": 1})) != found


def test_the_intervals_are_those_of_the_bootstrap() -> None:
    returns = noise(3, 500, 1e-5)
    found = significance(returns, SignificanceSettings(samples=4000, block_hours=12))
    for ours, statistic in ((found.pnl_pct_interval, pnl_pct), (found.sharpe_interval, annualised_sharpe)):
        reference = bootstrap(returns, statistic, np.random.default_rng(5), samples=4000, block_hours=12)
        assert ours == pytest.approx((reference.low, reference.high), abs=0.05 * (reference.high - reference.low))


def test_a_wider_confidence_gives_a_wider_interval() -> None:
    narrow, wide = (significance(noise(1), SignificanceSettings(samples=300, confidence=c)) for c in (0.5, 0.99))
    assert narrow.pnl_pct_interval is not None
    assert wide.pnl_pct_interval is not None
    assert wide.pnl_pct_interval[0] < narrow.pnl_pct_interval[0] < narrow.pnl_pct_interval[1] < wide.pnl_pct_interval[1]


def test_without_a_record_of_trials_the_reason_stands_in_its_place() -> None:
    found = significance(noise(1), QUICK)
    assert (found.deflated_sharpe, found.trials, found.pbo) == (None, None, None)
    assert found.deflated_sharpe_reason == found.pbo_reason == NO_RECORD == "no record of trials"
    assert found.probabilistic_sharpe is not None
    assert list(notes({"carry": found, "hold": found})) == ["carry, hold: no record of trials"]
    assert luck_cells(found)[3:] == ["-"] * 4


def test_more_trials_leave_less() -> None:
    returns = noise(4, drift=1e-5)
    few, many = (significance(returns, QUICK, trials(count, 0.03)) for count in (5, 500))
    assert few.probabilistic_sharpe == many.probabilistic_sharpe
    assert few.deflated_sharpe is not None
    assert many.deflated_sharpe is not None
    assert many.deflated_sharpe < few.deflated_sharpe < (few.probabilistic_sharpe or 0)
    assert (many.trials, many.pbo, many.deflated_sharpe_reason) == (500, 0.5, None)
    assert luck_cells(many)[2:] == [f"{many.probabilistic_sharpe:.2f}", "500", f"{many.luck_sharpe:.2f}",
                               f"{many.deflated_sharpe:.2f}", "0.50"]  # fmt: skip
    assert list(notes({"carry": many})) == []
    assert after_all(many, "settings").startswith("500 settings were tried. After that the best one's Sharpe of")


def test_the_best_of_pure_noise_is_convincing_alone_and_rejected_after_deflation() -> None:
    alone, deflated = [], []
    for seed in range(30):
        tried = noise(seed, 200 * 600).reshape(200, 600)
        ratios = sharpe(tried)
        best = tried[np.argmax(ratios)]
        found = significance(best, SignificanceSettings(samples=100), trials(200, float(ratios.std(ddof=1))))
        alone.append(found.probabilistic_sharpe)
        deflated.append(found.deflated_sharpe)
    assert np.mean(alone) > 0.98
    assert np.mean(deflated) < 0.6
    assert np.mean(np.array(deflated) > 0.95) < 0.1


def test_what_does_not_move_or_is_too_short_has_no_sharpe() -> None:
    still = significance(np.zeros(100), QUICK, trials(5, 0.03))
    assert still.pnl_pct_interval == (0.0, 0.0)
    assert (still.sharpe, still.sharpe_interval, still.probabilistic_sharpe, still.deflated_sharpe) == (None,) * 4
    assert "nothing moved" in (still.deflated_sharpe_reason or "")
    assert still.interval_reason == still.probabilistic_sharpe_reason
    ruined = significance(np.array([0.1, -1.0, 0.2, 0.1]), QUICK, trials(5, 0.03))
    assert ruined.pnl_pct_interval is None
    assert ruined.deflated_sharpe_reason == "the equity fell to zero"
    short = significance(np.array([0.1, 0.2]), QUICK)
    assert short.pnl_pct_interval is None
    assert "three hours" in (short.interval_reason or "")
    assert luck_cells(still)[:3] == ["+0.00 to +0.00", "-", "-"]
    assert luck_cells(short) == ["-"] * 7
    assert "none (nothing moved" in after_all(still, "settings")


def test_trials_on_other_hours_or_other_data_are_called_so() -> None:
    tried = trials(5, 0.03)
    inside = (START + timedelta(hours=5), START + timedelta(hours=2000))
    assert other_hours(tried, inside, "abc") is None
    assert other_hours(None, inside, "abc") is None
    assert "other data" in (other_hours(tried, inside, "xyz") or "")
    later = (START + timedelta(hours=1000), START + timedelta(hours=2000))
    assert "other hours (2025-02-03T00:00Z to 2025-03-16T15:00Z)" in (other_hours(tried, later, "abc") or "")


def test_voters_of_different_searches_have_no_common_record(tmp_path: Path) -> None:
    kept = [trials(200, 0.03), trials(200, 0.03), trials(100, 0.03)]
    paths = [tmp_path / f"model{k}" for k in range(3)]
    for path, tried in zip(paths, kept, strict=True):
        save_bundle(random_policy(1), {"training": {"trials": tried.model_dump(mode="json")}}, path)
    settings = load_settings()
    assert trials_behind("ensemble", settings, paths[:2]) == (kept[0], "")
    assert trials_behind("ensemble", settings, paths) == (None, "the models come from different searches")
    assert trials_behind("ppo", settings, paths[2:]) == (kept[2], "")


def test_the_shipped_rules_have_a_record_as_long_as_their_parameters_are_kept() -> None:
    settings = load_settings()
    for name, points in {"carry": 288, "basis": 288, "greedy": 120}.items():
        tried, _ = trials_behind(name, settings)
        assert tried is not None
        assert tried.count == points
    changed = load_settings(None, ["strategies.carry.enter_margin=2.9"])
    assert trials_behind("carry", changed)[0] is None
    assert trials_behind("hold", settings) == (None, NO_RECORD)
