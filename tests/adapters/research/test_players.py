"""Who plays: made anew for every run, mistakes told at once, and what knows the future marked and apart."""

from __future__ import annotations

from typing import Any

import pytest
from support_environment import FIRST, LAST, builder, random_policy
from support_hindsight import ruled_tape_of

from adapters.research.players import make_player, policy_player, voting_player
from adapters.research.playing import caution, play
from engine.errors import UserError
from engine.windows import Window
from engine.worlds import World

WINDOW = Window(FIRST, LAST)


def test_a_player_is_made_anew_for_every_run() -> None:
    world, player = builder(), make_player("random", {}, seed=[7, 1])
    one, two = (play(player, world, WINDOW) for _ in range(2))
    assert len(one.trades) > 2
    assert one.records.ledger.tobytes() == two.records.ledger.tobytes()
    other = play(make_player("random", {}, seed=[7, 2]), world, WINDOW)
    assert other.records.ledger.tobytes() != one.records.ledger.tobytes()


def test_mistakes_are_told_before_anything_is_played() -> None:
    with pytest.raises(UserError, match="unknown strategy"):
        make_player("carri", {})
    with pytest.raises(UserError, match="no_such_parameter"):
        make_player("carry", {"no_such_parameter": 1})
    with pytest.raises(UserError, match="needs a trained model"):
        make_player("ppo", {})


def test_what_knows_the_future_plays_only_where_it_may_and_in_a_world_of_its_own() -> None:
    with pytest.raises(UserError, match="knows the future"):
        make_player("hindsight", {})
    world, player = builder(max_position_loss_pct=-5.0), make_player("hindsight", {}, may_know_future=True)
    played = play(player, world, WINDOW)
    assert player.knows_future
    assert played.marks["knows_future"] is True
    assert played.world is not world
    assert played.world.settings == played.world.tape.settings
    assert (world.settings.max_position_loss_pct, played.world.settings.max_position_loss_pct) == (-5.0, None)
    honest = play(make_player("hold", {}), world, WINDOW)
    assert (honest.world, dict(honest.marks), honest.player.knows_future) == (world, {}, False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "which orders are filled known; fixed size, no stop-loss): a measure, not a strategy; the exact optimum"),
        ({"execution": "taker", "max_positions": 2}, "feasible; upper bound: no plan for 2 slots exceeds +"),
        ({"impact_coefficient": 0.01}, "feasible; upper bound: no plan for 1 slot exceeds +"),
    ],
)
def test_what_knows_the_future_is_said_to_be_exact_or_an_upper_bound(changes: dict[str, Any], words: str) -> None:
    tape = ruled_tape_of(3, 2, 3, **changes)
    played = play(make_player("hindsight", {}, may_know_future=True), World(tape, tape.settings), Window(5, 59))
    assert words in caution(played)
    assert ("is_exact" in played.marks) == ("impact_coefficient" in changes)


def test_a_vote_of_one_mind_decides_as_it_alone() -> None:
    world, policy = builder(), random_policy(2)
    alone = play(policy_player(policy), world, WINDOW)
    together = play(voting_player([policy, policy, policy], "three"), world, WINDOW)
    assert (alone.player.name, together.player.name) == (policy.name, "three")
    assert alone.records.ledger.tobytes() == together.records.ledger.tobytes()


def test_a_run_that_was_not_asked_for_its_reward_has_none() -> None:
    assert play(make_player("hold", {}), builder(), WINDOW).reward is None
