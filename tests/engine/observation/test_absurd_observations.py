"""Values that no market has are an error that names feature, pair and hour: tanh would hide them behind an action."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support_cli import arb
from support_datasets import info_of, small_market
from support_environment import FIRST, LAST, SPEC, builder, random_policy

from adapters.configuration.settings import load_settings
from adapters.datasets.write import write_dataset
from adapters.storage.bundles import save_bundle
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.errors import DataError, NotFiniteError
from engine.observation.encoding import MOST_OBSERVED, ObservationSpec, Scaler, fit_scaler
from engine.observation.features import COLUMN
from engine.observation.opportunities import OpportunityBuilder
from rl_training.environments.candidates import candidate_table
from strategies.plugin import Context, NoParameters
from strategies.policy import Policy, best_action
from strategies.ppo import Ppo

NAMED = (
    r"^\w+ long \w+ short \w+, \d{4}-\d\d-\d\dT\d\d:00Z: long_funding_rate is .* deviations from what the scaler knows"
)


def scaler_of(**deviations: float) -> Scaler:
    """Like no scaling, but for the features that are named."""
    known = tuple(deviations.get(name, 1.0) for name in SPEC.features)
    return Scaler(mean=(0.0,) * len(known), deviation=known)


def plays(policy: Policy) -> Ppo:
    return Ppo(NoParameters(), Context(np.random.default_rng(0), (policy,)))


class Changed(OpportunityBuilder):
    """A builder whose features of one hour have an absurd value."""

    def __init__(self, made: OpportunityBuilder, row: int, feature: str, value: float) -> None:
        super().__init__(made.tape, made.tables)
        self._row, self._column, self._value = row, COLUMN[feature], value

    def at(self, t: int) -> Any:
        features, offered = super().at(t)
        if t == self._row:
            features = features.copy()
            features[:, self._column] = self._value
        return features, offered

    def fill(self, t: int, features: Any, offered: Any) -> None:
        super().fill(t, features, offered)
        if t == self._row:
            features[:, self._column] = self._value


@pytest.mark.parametrize("deviation", [1e-300, 1e-12])
def test_a_scaler_of_other_data_is_an_error_in_backtest_and_training(deviation: float) -> None:
    made, scaler = builder(), scaler_of(long_funding_rate=deviation)
    with pytest.raises(DataError, match=NAMED):
        run_backtest(made, plays(replace(random_policy(), scaler=scaler)), FIRST, LAST)
    with pytest.raises(DataError, match=NAMED):
        candidate_table(made, SPEC, scaler, FIRST, LAST)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300, 1e39, -2 * MOST_OBSERVED])
def test_an_absurd_feature_is_an_error_at_its_hour(value: float) -> None:
    row = FIRST + 30
    made = Changed(builder(), row, "long_funding_rate", value)
    for play in (
        lambda: run_backtest(made, plays(replace(random_policy(), scaler=scaler_of())), FIRST, LAST),
        lambda: candidate_table(made, SPEC, scaler_of(), FIRST, LAST),
    ):
        with pytest.raises(DataError, match=NAMED) as told:
            play()
        hour = int(made.tape.market.hours[row])
        assert told.value.hour == f"{np.datetime64(hour, 'h')}:00Z"
    if np.isinf(value):
        with pytest.raises(DataError, match=r"long_funding_rate is -?inf"):
            fit_scaler(made, SPEC, FIRST, LAST)


@pytest.mark.parametrize("value", [np.nan, 0.0, 0.9 * MOST_OBSERVED])
def test_what_is_unknown_or_only_large_is_no_error(value: float) -> None:
    made = Changed(builder(), FIRST + 30, "long_funding_rate", value)
    run_backtest(made, plays(replace(random_policy(), scaler=scaler_of())), FIRST, LAST)
    candidate_table(made, SPEC, scaler_of(), FIRST, LAST)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2 * MOST_OBSERVED])
def test_inference_refuses_what_tanh_would_hide(value: float) -> None:
    seen = np.zeros(SPEC.size, np.float32)
    seen[4] = value
    with pytest.raises(NotFiniteError, match=r"policy random-0: value 4 of what it was shown is .* not finite or"):
        best_action(random_policy(), seen)


def test_finite_weights_whose_sums_are_not_are_an_error() -> None:
    policy = random_policy()
    huge = replace(policy, weights=tuple(np.full_like(matrix, 1e38) for matrix in policy.weights))
    with pytest.raises(NotFiniteError, match="its weights are too large"):
        best_action(huge, np.full(SPEC.size, 100, np.float32))


def test_a_feature_that_only_rounds_counts_as_constant() -> None:
    """All pairs of two exchanges cost the same: what the mean of equal numbers rounds by is no deviation."""
    market = small_market(300)
    made = OpportunityBuilder(prepare(market, load_settings()))
    scaler = fit_scaler(made, ObservationSpec(), 100, 250)
    cost = SPEC.features.index("positionCostPercent")
    assert scaler.mean[cost] > 0
    assert scaler.deviation[cost] == 1.0


def test_the_command_line_names_feature_pair_and_hour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    market = small_market(300)
    write_dataset(market, tmp_path / "data", info_of(market))
    costs = load_settings().cost_table_hash()
    policy = replace(random_policy(), scaler=scaler_of(long_funding_rate=1e-300), cost_table_hash=costs)
    save_bundle(policy, {}, tmp_path / "bundle")
    options = ("--data", tmp_path / "data", "--strategy", "ppo", "--model", tmp_path / "bundle")
    assert arb("backtest", *options, "--out", tmp_path / "out", "--no-report") == 2
    told = capsys.readouterr().err.strip()
    assert "long_funding_rate is " in told
    assert " long " in told
    assert told.count("\n") == 0
    assert not (tmp_path / "out").exists()
