"""Statistics against arch and ffn, against numbers printed in the papers, and on pure noise."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from engine.analysis.metrics import return_metrics
from engine.analysis.statistics import (
    annualised_sharpe,
    backtest_overfitting,
    best_by_luck,
    block_length,
    bootstrap,
    calmar,
    deflated_sharpe,
    minimum_track_record,
    moments,
    pnl_pct,
    probabilistic_sharpe,
    resampled_sums,
    sharpe,
    stationary_indices,
)
from engine.errors import UserError


def correlated(seed: int, hours: int = 1500, memory: float = 0.5, drift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise, values = rng.standard_t(5, hours), np.zeros(hours)
    for t in range(1, hours):
        values[t] = memory * values[t - 1] + noise[t]
    return 1e-4 * values + drift


# --- independent references ---


@pytest.mark.parametrize("memory", [-0.4, 0.3, 0.6, 0.9])
def test_block_length_agrees_with_arch(memory: float) -> None:
    from arch.bootstrap import optimal_block_length

    returns = correlated(3, 3000, memory)
    assert block_length(returns) == pytest.approx(optimal_block_length(returns)["stationary"].iloc[0], rel=0.03)


@pytest.mark.parametrize("statistic", [pnl_pct, annualised_sharpe])
def test_intervals_agree_with_arch(statistic: object) -> None:
    from arch.bootstrap import StationaryBootstrap

    returns, block = correlated(5, memory=0.6, drift=1e-5), 12
    assert callable(statistic)
    ours = bootstrap(returns, statistic, np.random.default_rng(0), samples=3000, block_hours=block)
    reference = StationaryBootstrap(block, returns, seed=np.random.default_rng(1))
    low, high = reference.conf_int(lambda x: float(statistic(x)), reps=3000, method="percentile", size=0.9).ravel()
    width = high - low
    assert ours.low == pytest.approx(low, abs=0.06 * width)
    assert ours.high == pytest.approx(high, abs=0.06 * width)
    assert ours.low < ours.estimate < ours.high
    assert ours.estimate == pytest.approx(float(statistic(returns)))


def test_sharpe_and_calmar_agree_with_ffn() -> None:
    import ffn

    returns = correlated(8, 8760, 0.2, 1e-5)
    equity = 100 * np.concatenate(([1.0], np.cumprod(1 + returns)))
    prices = pd.Series(equity, pd.date_range("2025-01-01", periods=len(equity), freq="h"))
    assert annualised_sharpe(returns) == pytest.approx(ffn.core.calc_sharpe(pd.Series(returns), nperiods=8760))
    assert calmar(equity) == pytest.approx(ffn.core.calc_calmar_ratio(prices), rel=2e-3)
    drawdown = return_metrics(equity)["max_drawdown_pct"]
    assert drawdown == pytest.approx(-100 * ffn.core.calc_max_drawdown(prices))


# --- the bootstrap itself ---


def test_blocks_follow_each_other_around_the_end_with_the_mean_length() -> None:
    rows = stationary_indices(np.random.default_rng(0), 400, 10.0, 300)
    steps = (np.diff(rows, axis=1) % 400 == 1).mean()
    assert steps == pytest.approx(0.9 + 0.1 / 400, abs=0.005)
    assert np.bincount(rows.ravel(), minlength=400).std() < 40
    assert rows.min() >= 0
    assert rows.max() == 399


@pytest.mark.parametrize("block", [1.0, 8.0, 60.0])
def test_sums_by_blocks_are_distributed_as_sums_by_hours(block: float) -> None:
    returns = correlated(2, 200, 0.7)
    series = np.stack((returns, returns**2))
    slow = series[:, stationary_indices(np.random.default_rng(0), 200, block, 20_000)].sum(axis=2)
    fast = resampled_sums(series, np.random.default_rng(1), block_hours=block, samples=20_000)
    for one, other in zip(slow, fast, strict=True):
        spread = one.std()
        assert other.std() == pytest.approx(spread, rel=0.03)
        quantiles = [0.05, 0.25, 0.5, 0.75, 0.95]
        assert np.quantile(other, quantiles) == pytest.approx(np.quantile(one, quantiles), abs=0.05 * spread)


@pytest.mark.parametrize("block", [1.0, 8.0, 5000.0])
def test_every_resample_has_as_many_hours_as_the_series(block: float) -> None:
    sums = resampled_sums(np.ones((1, 90)), np.random.default_rng(1), block_hours=block, samples=300)
    assert sums.shape == (1, 300)
    assert sums == pytest.approx(90)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(80):
        returns = correlated(seed, 600, 0.5, 2e-5)
        interval = bootstrap(returns, lambda x: x.mean(axis=-1), np.random.default_rng(seed), samples=200)
        covered += interval.low <= 2e-5 <= interval.high
    assert 0.78 <= covered / 80 <= 0.98


def test_the_same_generator_gives_the_same_interval_and_too_little_is_refused() -> None:
    returns = correlated(1)
    one, two = (bootstrap(returns, pnl_pct, np.random.default_rng(9), samples=50) for _ in range(2))
    assert one == two
    with pytest.raises(UserError, match="two hours"):
        bootstrap(np.zeros(1), pnl_pct, np.random.default_rng(0))


def test_what_does_not_move_has_sharpe_zero_and_block_one() -> None:
    assert sharpe(np.zeros(50)) == 0
    assert block_length(np.zeros(50)) == 1
    assert calmar(np.array([1.0, 1.1, 1.2])) is None
    assert deflated_sharpe(np.zeros(50), 0.1, 5) is None


# --- published numbers ---


def test_deflated_sharpe_of_the_paper() -> None:
    """Bailey and Lopez de Prado 2014: 2.5 a year, five years of days, skewness -3, kurtosis 10, variance 1/2 a year."""
    deviation, ratio = math.sqrt(0.5 / 250), 2.5 / math.sqrt(250)
    assert best_by_luck(deviation, 100) == pytest.approx(0.1132, abs=5e-5)

    def deflated(trials: int, skewness: float, kurtosis: float) -> float:
        return probabilistic_sharpe(ratio, best_by_luck(deviation, trials), 1250, skewness, kurtosis)

    assert deflated(100, -3, 10) == pytest.approx(0.9004, abs=5e-5)
    assert deflated(46, -3, 10) == pytest.approx(0.9505, abs=5e-5)
    assert deflated(88, 0, 3) == pytest.approx(0.9505, abs=5e-5)


def test_probabilistic_sharpe_and_track_record_of_the_paper() -> None:
    """Bailey and Lopez de Prado 2012: a fund of 24 months, and years until 2 counts as above 1."""
    assert probabilistic_sharpe(0.036 / 0.079, 0, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)

    def years(periods: int, skewness: float, kurtosis: float) -> float:
        record = minimum_track_record(2 / math.sqrt(periods), 1 / math.sqrt(periods), skewness, kurtosis)
        assert record is not None
        return record / periods

    assert years(250, 0, 3) == pytest.approx(2.73, abs=5e-3)
    assert years(52, 0, 3) == pytest.approx(2.83, abs=5e-3)
    assert years(12, 0, 3) == pytest.approx(3.24, abs=5e-3)
    assert years(12, -0.72, 5.78) == pytest.approx(4.99, abs=5e-3)
    assert minimum_track_record(0.1, 0.1, 0, 3) is None


def test_track_record_is_where_the_probability_reaches_the_confidence() -> None:
    record = minimum_track_record(0.05, 0.01, -0.5, 6)
    assert record is not None
    assert probabilistic_sharpe(0.05, 0.01, round(record), -0.5, 6) == pytest.approx(0.95, abs=1e-4)


def test_moments_of_a_known_distribution() -> None:
    skewness, kurtosis = moments(np.random.default_rng(0).exponential(size=400_000))
    assert (skewness, kurtosis) == (pytest.approx(2, rel=0.03), pytest.approx(9, rel=0.1))


# --- noise and signal ---


def test_the_best_by_luck_is_what_noise_shows() -> None:
    rng = np.random.default_rng(0)
    best = [sharpe(rng.normal(size=(50, 500))).max() for _ in range(300)]
    assert np.mean(best) == pytest.approx(best_by_luck(1 / math.sqrt(500), 50), rel=0.03)


def test_on_noise_the_deflated_sharpe_rejects_the_winner_that_alone_would_look_significant() -> None:
    rng = np.random.default_rng(1)
    alone, deflated = [], []
    for _ in range(60):
        trials = rng.normal(size=(100, 1000))
        ratios = sharpe(trials)
        winner = trials[ratios.argmax()]
        alone.append(probabilistic_sharpe(float(ratios.max()), 0.0, 1000, *moments(winner)))
        found = deflated_sharpe(winner, float(ratios.std(ddof=1)), 100)
        assert found is not None
        deflated.append(found.probability)
    assert np.mean(np.array(alone) > 0.95) > 0.9
    assert np.mean(np.array(deflated) > 0.95) < 0.1


def test_an_edge_survives_deflation() -> None:
    rng = np.random.default_rng(2)
    found = deflated_sharpe(rng.normal(0.2, 1, 2000), 1 / math.sqrt(2000), 100)
    assert found is not None
    assert found.probability > 0.99
    assert found.threshold == pytest.approx(best_by_luck(1 / math.sqrt(2000), 100))


def test_noise_is_overfitted_about_half_of_the_time() -> None:
    found = [backtest_overfitting(np.random.default_rng(seed).normal(size=(960, 40)), 10) for seed in range(40)]
    assert np.mean([one.probability for one in found]) == pytest.approx(0.5, abs=0.07)
    assert len(found[0].logits) == math.comb(10, 5)


def test_one_real_edge_among_noise_is_not_overfitted() -> None:
    returns = np.random.default_rng(0).normal(size=(1600, 30))
    returns[:, 7] += 0.3
    found = backtest_overfitting(returns)
    assert found.probability < 0.01
    assert found.loss_probability < 0.01


def test_what_only_fits_one_half_is_overfitted() -> None:
    """Every trial earns in its own block and loses in all others."""
    returns = np.random.default_rng(0).normal(-0.05, 0.1, (800, 8))
    for trial in range(8):
        returns[100 * trial : 100 * (trial + 1), trial] += 2.0
    found = backtest_overfitting(returns, 8)
    assert found.probability > 0.95
    assert found.loss_probability > 0.95


def test_overfitting_by_the_letter_of_the_paper() -> None:
    """The same numbers from the returns themselves, half by half."""
    from itertools import combinations

    returns = np.random.default_rng(4).standard_t(4, (120, 6))
    returns[:, 5] = returns[:, 4]  # a tie
    parts, logits = np.array_split(returns, 6), []
    for half in combinations(range(6), 3):
        inside = np.concatenate([parts[k] for k in half])
        outside = np.concatenate([parts[k] for k in range(6) if k not in half])
        best = int(np.argmax(sharpe(inside.T)))
        rank = pd.Series(np.round(sharpe(outside.T), 12)).rank()[best] / 7
        logits.append(math.log(rank / (1 - rank)))
    np.testing.assert_allclose(backtest_overfitting(returns, 6).logits, logits, atol=1e-9)


@pytest.mark.parametrize(("shape", "blocks"), [((100, 1), 4), ((100, 5), 5), ((6, 5), 4)])
def test_too_little_to_judge_overfitting_is_refused(shape: tuple[int, int], blocks: int) -> None:
    with pytest.raises(UserError, match="overfitting"):
        backtest_overfitting(np.zeros(shape), blocks)
