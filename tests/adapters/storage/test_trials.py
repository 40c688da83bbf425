"""The record of everything that was tried: trials.parquet and its summary."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.storage.trials import TrialRecord, read_trials, record_of, summarise, write_trials
from engine.analysis.statistics import sharpe
from engine.errors import DataError

START = datetime(2025, 2, 3, tzinfo=UTC)


def record(trials: int = 6, hours: int = 64, seed: int = 0) -> TrialRecord:
    returns = 1e-4 * np.random.default_rng(seed).standard_normal((trials, hours))
    return record_of({f"trial_{k}": row for k, row in enumerate(returns)}, START)


def test_a_record_comes_back_bit_for_bit_and_equal_ones_make_equal_files(tmp_path: Path) -> None:
    written = record()
    write_trials(tmp_path / "a.parquet", written)
    write_trials(tmp_path / "b.parquet", record())
    back = read_trials(tmp_path / "a.parquet")
    assert (back.names, back.start, back.end) == (written.names, START, datetime(2025, 2, 5, 15, tzinfo=UTC))
    assert back.returns.tobytes() == written.returns.tobytes()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def test_a_whole_population_takes_about_two_megabytes(tmp_path: Path) -> None:
    write_trials(tmp_path / "trials.parquet", record(200, 1368))
    assert (tmp_path / "trials.parquet").stat().st_size < 2.5e6


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"trial": [0.0, 1.0]}, "no record of trials"),
        ({"time": [START, datetime(2025, 2, 3, 2, tzinfo=UTC)], "a": [0.0, 0.1]}, "follow each other"),
        ({"time": [START, datetime(2025, 2, 3, 1, tzinfo=UTC)], "a": [0.0, float("nan")]}, "finite"),
    ],
)
def test_what_is_no_record_is_refused_with_its_file(
    tmp_path: Path, columns: dict[str, list[object]], problem: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "trials.parquet")
    with pytest.raises(DataError, match=f"trials.parquet.*{problem}"):
        read_trials(tmp_path / "trials.parquet")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    write_trials(tmp_path / "trials.parquet", record())
    (tmp_path / "trials.parquet").write_bytes((tmp_path / "trials.parquet").read_bytes()[:200])
    with pytest.raises(DataError, match=r"trials\.parquet"):
        read_trials(tmp_path / "trials.parquet")


def test_the_summary_counts_every_trial_and_spreads_their_sharpe_ratios() -> None:
    tried = record(9)
    found = summarise(tried, "grid of carry", "abc")
    assert found.count == 9
    assert found.sharpe_deviation == pytest.approx(
        np.std([float(sharpe(tried.returns[:, k])) for k in range(9)], ddof=1)
    )
    assert (found.source, found.start, found.end, found.dataset_fingerprint) == (
        "grid of carry",
        START,
        tried.end,
        "abc",
    )


def test_overfitting_of_noise_is_about_one_half_and_of_a_real_edge_small() -> None:
    noisy = [summarise(record(20, 320, seed), "", "") for seed in range(40)]
    assert np.mean([one.overfitting for one in noisy if one.overfitting is not None]) == pytest.approx(0.5, abs=0.08)
    edge = record(20, 320)
    edge.returns[:, 7] += 1e-4
    found = summarise(edge, "", "")
    assert found.overfitting is not None
    assert found.overfitting < 0.01
    assert found.loss_probability == 0


def test_what_always_loses_is_not_overfitted_but_loses() -> None:
    losing = record(20, 320)
    losing.returns[:] -= 1e-3
    losing.returns[:, 7] += 8e-4
    found = summarise(losing, "", "")
    assert found.overfitting is not None
    assert found.overfitting < 0.05
    assert found.loss_probability == 1


@pytest.mark.parametrize(
    ("tried", "reason"),
    [
        (record(1), "nothing was chosen"),
        (record(5, 20), "cannot be cross-validated"),
        (record_of({"a": np.zeros(64), "b": np.zeros(64)}, START), "nothing moved"),
    ],
)
def test_where_overfitting_is_not_defined_the_summary_says_why(tried: TrialRecord, reason: str) -> None:
    found = summarise(tried, "", "")
    assert found.overfitting is None
    assert reason in (found.overfitting_reason or "")
