"""Courses: phases take turns, shares add up, every course teaches, and equal seeds draw equal ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_environment import HOURS, market
from support_recipe import BRIEF, courses, drawn, shown
from support_structured import SPEC

from rl_training.environments.grouped_vec_env import GroupedVecEnv
from rl_training.recipe.courses import shared_out
from rl_training.settings import EpisodeSettings


def test_phases_take_turns_and_all_hours_of_each_world_are_used() -> None:
    made = courses()
    assert [course.market.spec.phase for course in made] == [0, 1, 2, 3, 0, 1]
    assert {(course.market.first, course.market.last) for course in made} == {(0, HOURS - 1)}
    assert all(course.market.tape is course.world.tape for course in made)
    assert len({course.market.spec.at_phase(0).hash() for course in made}) == 1
    offsets = [course.market.clock_offset % SPEC.decide_every_hours for course in made]
    assert len(set(offsets[:4])) == 4


def test_equal_seeds_draw_equal_courses_and_others_other_ones() -> None:
    def bits(seed: int) -> list[bytes]:
        return [
            course.world.tape.market.funding_rate.tobytes() + repr(course.world.settings).encode()
            for course in drawn(seed)
        ]

    first = bits(1)
    assert first == bits(1)
    assert first[3:] != bits(2)[3:]
    # Recorded ones first, then augmented ones.
    rates = [course.world.tape.market.funding_rate for course in courses()]
    same = [np.array_equal(rate, market().funding_rate, equal_nan=True) for rate in rates]
    assert same == [True] * 3 + [False] * 3


@settings(deadline=None)  # the first one draws the worlds
@given(st.integers(1, 40), st.integers(1, 6))
def test_shares_add_up_and_differ_by_one_at_most(count: int, used: int) -> None:
    made = courses()[:used]
    shares = shared_out(count, made)
    assert sum(share for _, share in shares) == count
    assert [market for market, _ in shares] == [course.market for course in made[:count]]
    numbers = [share for _, share in shares]
    assert numbers == sorted(numbers, reverse=True)
    assert max(numbers) - min(numbers) <= 1
    assert min(numbers) >= 1


def test_markets_at_different_phases_are_stepped_together_each_at_its_own_hours() -> None:
    vec = GroupedVecEnv(shared_out(12, courses()), np.random.default_rng(0), episode=EpisodeSettings(length_hours=24))
    assert vec.spec.at_phase(0) == SPEC
    seen = vec.reset()
    for _ in range(14):
        for group, course in zip(vec.groups, courses(), strict=True):
            assert np.all((group.episodes.loop.rows - course.market.clock_offset) % SPEC.decide_every_hours == 0)
        seen, _, _, _ = vec.step(np.zeros(12, np.int64))
    assert seen.shape == (12, SPEC.size)


@pytest.mark.parametrize("envs", [8, 3])
def test_lessons_come_from_every_course_that_has_environments(envs: int) -> None:
    """Course by course, each with its own share and at its own phase: a rule of another phase would hold."""
    found, shares = shown(n_envs=envs), [share for _, share in shared_out(envs, courses())]
    assert found.observations.shape == (envs * BRIEF.decisions, SPEC.size)
    start = 0
    for share in shares:
        part = slice(start * BRIEF.decisions, (start + share) * BRIEF.decisions)
        assert (found.actions[part] > 0).any()
        start += share
    assert start == envs


def test_the_same_generator_gives_the_same_lessons_and_more_courses_change_none_before_them() -> None:
    one, same, other = shown(1), shown(1), shown(2)
    assert one.observations.tobytes() == same.observations.tobytes()
    assert one.actions.tobytes() == same.actions.tobytes()
    assert one.observations.tobytes() != other.observations.tobytes()
    # Two environments each.
    few, more = shown(1, 2, n_envs=4), shown(1, 4, n_envs=8)
    rows = 4 * BRIEF.decisions
    assert few.observations.tobytes() == more.observations[:rows].tobytes()
    # Courses of one world do not draw the same windows.
    assert more.observations[: rows // 2].tobytes() != more.observations[rows // 2 : rows].tobytes()
