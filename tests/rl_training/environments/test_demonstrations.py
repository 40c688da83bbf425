"""Demonstrations: the one action that stands for a rule's orders, and what is kept of a teacher's decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_environment import builder
from support_structured import SPEC, market

from engine.backtest import run_backtest
from engine.errors import UserError
from engine.observation.view import Enter, Exit, Order, View
from rl_training.environments.demonstrations import Demonstrations, at_phase, demonstrations, single_action
from rl_training.environments.episodes import Episodes
from strategies.plugin import Context
from strategies.week import Week, WeekParameters

VISIBLE = np.array([11, 12, 13, -1])
FREE = np.array([1, 1, 1, 1, 0, 1, 1], bool)
ENTRIES, EXITS = 1, 5
HOURS = 48


def teacher(phase: int = 0) -> Week:
    """Week as it trades on a small market full of noise."""
    eager = {"caution": 0, "enter_margin": -1.0, "leave_margin": -2.0, "switch_margin": 1.0}
    parameters = WeekParameters(every_hours=SPEC.decide_every_hours, phase=phase, **eager)
    return Week(parameters, Context(np.random.default_rng(0)))


def shown(seed: int = 0, *, phase: int = 0, clock: int = 0, random_share: float = 0.0) -> Demonstrations:
    world = builder(max_positions=SPEC.positions)
    return demonstrations(
        teacher(phase), world, at_phase(market(), clock), np.random.default_rng(seed), portfolios=6, decisions=40,
        episode_hours=HOURS, random_share=random_share,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([], 0),
        ([Enter(12)], 2),
        ([Enter(13), Enter(11)], 3),
        ([Enter(99), Enter(11)], 1),
        ([Enter(99)], 0),
        ([Enter(12), Exit(1)], 6),
        ([Exit(1), Exit(0)], 6),
        ([Exit(0), Enter(12)], 5),
    ],
    ids=["none", "shown", "the best first", "the next that is shown", "not shown", "exits first", "in order", "switch"],
)
def test_one_action_stands_for_several_orders(orders: Sequence[Order], expected: int) -> None:
    assert single_action(orders, VISIBLE, FREE) == expected


def test_an_action_that_is_not_allowed_stands_for_nothing() -> None:
    full = FREE.copy()
    full[ENTRIES:EXITS] = False
    assert single_action([Enter(12)], VISIBLE, full) == 0
    leaving = FREE.copy()
    leaving[EXITS] = False
    assert single_action([Exit(0), Enter(12)], VISIBLE, leaving) == 2


@given(st.lists(st.sampled_from([*map(Enter, (11, 12, 13, 14)), *map(Exit, (0, 1))]), max_size=4), st.integers(0, 127))
def test_the_action_is_allowed_and_one_of_the_orders(orders: list[Order], bits: int) -> None:
    mask = np.array([True, *(bool(bits >> k & 1) for k in range(6))])
    action = single_action(orders, VISIBLE, mask)
    assert mask[action]
    meant = [Exit(action - EXITS)] if action >= EXITS else [Enter(int(VISIBLE[action - 1]))] if action else []
    assert all(order in orders for order in meant)


def test_labels_are_the_rules_answers_at_the_observations() -> None:
    found = shown(random_share=0.3)
    assert found.observations.shape == (240, SPEC.size)
    masks = found.observations[:, -SPEC.actions :]
    assert masks[np.arange(240), found.actions].all()
    # It both enters and leaves, and it holds: a teacher of one answer teaches nothing.
    assert {0, *range(1, 7)} & set(found.actions.tolist()) >= {0, 5}
    assert (found.actions[(found.actions > 0) & (found.actions < EXITS)]).size > 5


def test_without_random_actions_it_is_the_rule_that_plays() -> None:
    """Asked at each hour of a backtest in which one action a decision is carried out, the rule says the same."""
    world, course = builder(max_positions=SPEC.positions), at_phase(market(), 0)
    found = shown(3)
    said: dict[bytes, int] = {}

    class OneAction:
        decision_clock = SPEC.clock

        def decide(self, view: View) -> list[Order]:
            seen, visible = view.observe(_encoding(), SPEC)
            action = single_action(teacher().decide(view), visible, seen[-SPEC.actions :] > 0)
            said[seen.tobytes()] = action
            if action == 0:
                return []
            return [Exit(action - EXITS)] if action >= EXITS else [Enter(int(visible[action - 1]))]

    first = np.random.default_rng(3)
    firsts, lasts = course.draw(first, HOURS, 6)
    for start, end in zip(firsts.tolist(), lasts.tolist(), strict=True):
        run_backtest(world, OneAction(), start + _wait(start), end)
    rows = found.observations.reshape(40, 6, -1)[: HOURS // SPEC.decide_every_hours - 1].reshape(-1, SPEC.size)
    labels = found.actions.reshape(40, 6)[: HOURS // SPEC.decide_every_hours - 1].reshape(-1)
    known = [said.get(row.tobytes()) for row in rows]
    assert known == labels.tolist()


def _wait(start: int) -> int:
    offset = market().clock_offset
    return (offset - start) % SPEC.decide_every_hours


def _encoding() -> object:
    from support_structured import NO_SCALER

    from engine.observation.encoding import encoding_of

    return encoding_of(SPEC, NO_SCALER)


def test_the_same_generator_gives_the_same_demonstrations_and_another_others() -> None:
    one, same, other = shown(1, random_share=0.1), shown(1, random_share=0.1), shown(2, random_share=0.1)
    assert one.observations.tobytes() == same.observations.tobytes()
    assert one.actions.tobytes() == same.actions.tobytes()
    assert one.observations.tobytes() != other.observations.tobytes()


def test_random_actions_lead_beside_the_teachers_path() -> None:
    straight, beside = shown(1), shown(1, random_share=0.5)
    assert straight.observations[:6].tobytes() == beside.observations[:6].tobytes()
    assert straight.observations.tobytes() != beside.observations.tobytes()


def test_a_teacher_of_another_phase_than_the_observation_holds() -> None:
    assert (shown(phase=1).actions == 0).all()
    assert (shown(phase=1, clock=1).actions > 0).any()


def test_phases_that_the_clock_does_not_have_are_refused() -> None:
    with pytest.raises(UserError, match="phases 0 to 3; 4 is none"):
        at_phase(market(), 4)
    assert at_phase(market(), 3).spec.phase == 3
    assert at_phase(market(), 3).candidates is market().candidates


def test_demonstrations_are_joined_in_order() -> None:
    parts = [shown(1), shown(2)]
    joined = Demonstrations.joined(parts)
    assert joined.actions.tolist() == parts[0].actions.tolist() + parts[1].actions.tolist()
    assert joined.unshown == parts[0].unshown + parts[1].unshown


def test_random_actions_enter_and_never_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a teacher that never says anything, all that is carried out is drawn."""
    carried_out: list[int] = []
    step = Episodes.step

    def watched(self: Episodes, actions: Any, *more: Any) -> int:
        carried_out.extend(np.asarray(actions).tolist())
        return step(self, actions, *more)

    class Silent:
        decision_clock = SPEC.clock

        def decide(self, view: View) -> Sequence[Order]:  # noqa: ARG002  # says nothing
            return []

    monkeypatch.setattr(Episodes, "step", watched)
    found = demonstrations(
        Silent(), builder(max_positions=SPEC.positions), market(), np.random.default_rng(0), portfolios=6,
        decisions=40, episode_hours=HOURS, random_share=1.0,
    )  # fmt: skip
    assert not found.actions.any()
    assert len(set(carried_out)) == 1 + SPEC.opportunities
    assert max(carried_out) < EXITS
