"""Trap 24 where decisions are made: an error never becomes a silent hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hand_runs import ALPHA, BETA
from small_market import LegSketch, plain_settings, small_market

from engine.accounting.books import MAX_ORDERS, Reason
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.errors import StrategyError, UserError
from engine.observation.encoding import ObservationSpec, Scaler
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Enter, Exit, Order, View
from strategies.policy import Policy, best_action


def builder() -> OpportunityBuilder:
    return OpportunityBuilder(prepare(small_market({ALPHA: LegSketch(), BETA: LegSketch()}, 4), plain_settings()))


class Answer:
    """Sends the same orders every hour, or raises what it was given."""

    def __init__(self, answer: Sequence[Order] | Exception) -> None:
        self._answer = answer

    def decide(self, view: View) -> Sequence[Order]:
        assert view.pairs == 2
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def policy(weight: float, observation_size: int = 8) -> Policy:
    """One opportunity, one position, three actions; one layer of equal weights."""
    spec = ObservationSpec(positions=1, opportunities=1, features=("fund_apr",))
    scaler = Scaler(mean=(0.0,), deviation=(1.0,))
    weights = (np.full((observation_size, spec.actions), weight, np.float32),)
    return Policy("broken", spec, scaler, weights, (np.zeros(spec.actions, np.float32),), "")


@pytest.mark.trap(24)
@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_trap_24_a_network_that_answers_nonsense_is_an_error(weight: float) -> None:
    observation = np.ones(9, np.float32)
    with pytest.raises(FloatingPointError, match=r"policy broken: .* not finite"):
        best_action(policy(weight, 9), observation)
    with pytest.raises(FloatingPointError, match="policy broken"):
        best_action(policy(1.0, 9), np.full(9, np.nan, np.float32))


@pytest.mark.trap(24)
def test_trap_24_an_error_of_a_strategy_ends_the_run() -> None:
    with pytest.raises(StrategyError, match="KeyError: 'no such feature'"):
        run_backtest(builder(), Answer(KeyError("no such feature")), 0, 3)


@pytest.mark.trap(24)
def test_trap_24_orders_that_mean_nothing_are_recorded_as_refused() -> None:
    records = run_backtest(builder(), Answer([Enter(-1), Enter(2), Exit(0), Exit(-1), Exit(9)]), 0, 3)
    reasons = [Reason(reason).name for reason in records.notes["reason"][:5].tolist()]
    # Exits are taken before entries.
    assert reasons == ["NO_POSITION"] * 3 + ["NO_SUCH_OPPORTUNITY"] * 2
    assert len(records.notes) == 15
    assert len(records.ledger) == 0


@pytest.mark.trap(24)
def test_trap_24_more_orders_than_an_hour_takes_are_refused_not_dropped() -> None:
    with pytest.raises(UserError, match=f"at most {MAX_ORDERS} orders"):
        run_backtest(builder(), Answer([Exit(0)] * (MAX_ORDERS + 1)), 0, 3)
    assert len(run_backtest(builder(), Answer([Exit(0)] * MAX_ORDERS), 0, 3).notes) == 3 * MAX_ORDERS
