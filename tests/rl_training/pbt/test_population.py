"""What happens between two intervals: ranking, copies, counts of steps, family trees."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SettingsError
from rl_training.pbt.lineage import ancestry, copies
from rl_training.pbt.population import (
    Assignment,
    PopulationLostError,
    exploit,
    first_assignments,
    next_assignments,
    ranked,
)
from rl_training.pbt.schedule import Schedule, schedule_of
from rl_training.pbt.settings import PBTSettings
from rl_training.settings import PPOSettings, TrainingSettings

FITNESS = st.one_of(st.floats(-50, 50), st.just(nan), st.just(-inf))
EIGHT = {agent: float(agent) for agent in range(8)}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_ranking_is_by_fitness_then_number_and_what_is_no_number_stands_last() -> None:
    assert ranked({0: -1.0, 1: nan, 2: 3.0, 3: 3.0, 4: inf, 5: -2.0}) == [2, 3, 0, 5, 1, 4]


def test_the_worst_quarter_copies_the_best_quarter() -> None:
    seen = set()
    for seed in range(20):
        sources = exploit(EIGHT, 0.25, rng(seed))
        assert set(sources) == {0, 1}
        seen |= set(sources.values())
    assert seen == {6, 7}


@pytest.mark.trap(19)
def test_trap_19_agents_without_a_finite_fitness_all_copy() -> None:
    fitness = {**EIGHT, 7: nan, 6: nan, 5: inf, 4: nan}
    sources = exploit(fitness, 0.25, rng())
    assert set(sources) == {4, 5, 6, 7}
    assert set(sources.values()) <= {3, 2}


@pytest.mark.trap(19)
@given(st.dictionaries(st.integers(0, 12), FITNESS, min_size=1), st.floats(0, 0.5), st.integers(0, 1000))
def test_trap_19_no_agent_vanishes_and_nobody_copies_a_loser(
    fitness: dict[int, float], fraction: float, seed: int
) -> None:
    if not any(np.isfinite(list(fitness.values()))):
        with pytest.raises(PopulationLostError):
            exploit(fitness, fraction, rng(seed))
        return
    sources = exploit(fitness, fraction, rng(seed))
    order = ranked(fitness)
    for agent, source in sources.items():
        assert np.isfinite(fitness[source])
        assert source not in sources
        assert order.index(source) < order.index(agent)
    assert all(agent in sources for agent in fitness if not np.isfinite(fitness[agent]))


def test_one_agent_and_a_fraction_of_zero_copy_nothing() -> None:
    assert exploit({0: 1.0}, 0.25, rng()) == {}
    assert exploit(EIGHT, 0.0, rng()) == {}


def test_who_does_not_copy_goes_on_untouched_and_who_copies_explores_around_the_source() -> None:
    settings = PBTSettings(mutation_rate=0.0)
    first = first_assignments(settings, seed=3)
    second = next_assignments(settings, 3, 1, first, EIGHT)
    assert [one.agent for one in second] == list(range(8))
    assert second[2:] == first[2:]
    for one in second[:2]:
        assert one.source in (6, 7)
        around = first[one.source].hyperparameters
        ratio = one.hyperparameters["clip_range"] / around["clip_range"]
        assert one.hyperparameters["clip_range"] in (0.1, 0.4) or ratio in (pytest.approx(0.8), pytest.approx(1.2))


@pytest.mark.trap(18)
def test_trap_18_agents_start_apart_and_a_seed_repeats_everything() -> None:
    settings = PBTSettings()
    first = first_assignments(settings, seed=3)
    assert first == first_assignments(settings, seed=3)
    assert len({one.hyperparameters["learning_rate"] for one in first}) == 8
    assert first != first_assignments(settings, seed=4)
    again = [next_assignments(settings, 3, 5, first, EIGHT) for _ in range(2)]
    assert again[0] == again[1]
    assert again[0] != next_assignments(settings, 3, 6, first, EIGHT)


@pytest.mark.trap(20)
def test_trap_20_intervals_are_whole_rollouts_and_the_rest_is_carried() -> None:
    schedule = schedule_of(TrainingSettings(), PBTSettings())
    assert schedule.iterations == 25
    steps = [schedule.steps(iteration) for iteration in range(1, 26)]
    assert steps[:4] == [18_432, 20_480, 20_480, 20_480]
    assert sum(steps) == schedule.steps_until(25) == 499_712 == 244 * 2048


@pytest.mark.trap(20)
@given(st.integers(1, 10**6), st.integers(1, 10**5), st.integers(1, 5000))
def test_trap_20_the_total_is_right_to_one_rollout(timesteps: int, interval: int, rollout: int) -> None:
    schedule = Schedule(timesteps, interval, rollout)
    assert 0 <= timesteps - schedule.steps_until(schedule.iterations) < rollout
    assert schedule.steps_until(schedule.iterations - 1) <= (schedule.iterations - 1) * interval < timesteps


def test_an_interval_shorter_than_a_rollout_is_refused() -> None:
    with pytest.raises(SettingsError, match="perturbation_interval 1000"):
        schedule_of(TrainingSettings(), PBTSettings(perturbation_interval=1000))
    with pytest.raises(SettingsError, match="timesteps 50"):
        schedule_of(TrainingSettings(timesteps=50, ppo=PPOSettings(n_steps=64)), PBTSettings())


def test_the_family_tree_follows_weights_through_copies() -> None:
    def iteration(*sources: int | None) -> list[Assignment]:
        return [Assignment(agent, {"gamma": 0.9}, source) for agent, source in enumerate(sources)]

    history = [iteration(None, None, None), iteration(1, None, None), iteration(None, None, 0), iteration(2, 2, None)]
    assert ancestry(history, 0) == [1, 0, 2, 0]
    assert ancestry(history, 1) == [1, 0, 2, 1]
    assert ancestry(history, 2) == [1, 0, 2, 2]
    made = [(copy["iteration"], copy["agent"], copy["source"]) for copy in copies(history)]
    assert made == [(1, 0, 1), (2, 2, 0), (3, 0, 2), (3, 1, 2)]
