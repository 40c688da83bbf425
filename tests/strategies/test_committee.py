"""Several structured networks that decide together: by the mean of their log-probabilities, and one as if alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_environment import FIRST, LAST, builder, random_policy
from support_structured import NO_SCALER, SPEC, market, network, observations, structured_policy

from engine.backtest import run_backtest
from engine.errors import SettingsError, UserError
from engine.observation.encoding import ObservationSpec
from rl_training.environments.demonstrations import at_phase
from rl_training.environments.scoring import play
from rl_training.learners.extraction import policy_layers
from rl_training.settings import RewardSettings
from strategies.plugin import Context, NoParameters
from strategies.policy import Policy, best_action, committee, logits
from strategies.ppo import Ppo

SEEN = observations(40)


def narrow(seed: int, width: int = 8, spread: float = 0.4) -> Policy:
    layers = policy_layers(network(seed, spread=spread, width=width))
    return Policy(f"narrow-{seed}", SPEC, NO_SCALER, *layers, "0" * 16, "structured")


@settings(deadline=None)  # the first one compiles
@given(st.lists(st.integers(0, 60), min_size=2, max_size=5), st.integers(0, len(SEEN) - 1))
def test_its_action_is_that_of_the_mean_log_probabilities(seeds: list[int], row: int) -> None:
    """Of members as wide as may be, whatever the mask allows, as torch would have them."""
    members = [narrow(seed, width=4 + seed % 7, spread=0.1 + seed / 60) for seed in seeds]
    observation = SEEN[row]
    allowed = observation[-SPEC.actions :] > 0
    allowed[0] = True
    mean = np.zeros(SPEC.actions)
    for member in members:
        own = np.where(allowed, logits(member, observation).astype(float), -np.inf)
        mean += (own - own.max() - np.log(np.exp(own - own.max()).sum())) / len(members)
    chosen = best_action(committee("all", members), observation)
    assert allowed[chosen]
    # Within what float32 rounds it is the best.
    assert mean[chosen] >= mean.max() - 1e-5


def test_it_is_no_member_and_no_vote() -> None:
    members = [narrow(seed) for seed in range(3)]
    together = committee("all", members)
    chosen = [[best_action(policy, row) for row in SEEN] for policy in (*members, together)]
    assert all(one != chosen[-1] for one in chosen[:-1])
    nobodys = [k for k in range(len(SEEN)) if chosen[-1][k] not in {one[k] for one in chosen[:-1]}]
    assert nobodys


def test_its_logits_are_the_means_of_theirs() -> None:
    members = [narrow(seed) for seed in range(3)]
    mean = np.mean([[logits(member, row) for row in SEEN] for member in members], axis=0)
    np.testing.assert_allclose([logits(committee("all", members), row) for row in SEEN], mean, atol=1e-5)


def test_one_member_decides_as_if_alone_bit_for_bit() -> None:
    alone = structured_policy(1)
    one = committee("one", [alone])
    assert (one.members, one.architecture) == (1, alone.architecture)
    for row in SEEN:
        assert logits(one, row).tobytes() == logits(alone, row).tobytes()


def test_a_row_has_the_same_bits_each_time_and_committees_can_be_joined() -> None:
    members = [narrow(seed) for seed in range(4)]
    whole = committee("whole", members)
    joined = committee("joined", [committee("a", members[:2]), committee("b", members[2:])])
    assert (whole.members, joined.members) == (4, 4)
    for row in SEEN:
        assert logits(whole, row).tobytes() == logits(whole, row.copy()).tobytes() == logits(joined, row).tobytes()


def test_it_says_how_many_it_has() -> None:
    members = [structured_policy(seed) for seed in range(3)]
    together = committee("all", members)
    assert (together.name, together.members, members[0].members, random_policy().members) == ("all", 3, 1, 1)
    size = sum(array.size for array in (*members[0].weights, *members[0].biases))
    assert together.architecture == (
        f"structured (3 networks together, encoders of candidates and slots, 64 wide, {3 * size:,} weights), tanh"
    )


def test_policies_that_cannot_decide_together_are_refused() -> None:
    one = narrow(0)
    for others in (
        [replace(one, cost_table_hash="1" * 16)],
        [one.at_phase(1)],
        [structured_policy(0, ObservationSpec(version=2, positions=2, exchanges=SPEC.exchanges))],
        [random_policy(spec=SPEC)],
    ):
        with pytest.raises(UserError, match="only structured policies of one observation and one table of fees"):
            committee("all", [one, *others])
    with pytest.raises(UserError, match="only structured policies"):
        committee("all", [random_policy(0), random_policy(1)])
    with pytest.raises(UserError, match="no policy"):
        committee("all", [])


@pytest.mark.trap(23)
def test_trap_23_a_committee_plays_the_same_in_backtest_and_environment() -> None:
    members = [structured_policy(seed, spread=0.4) for seed in (2, 3, 4)]
    together = committee("all", members)
    player = Ppo(NoParameters(), Context(np.random.default_rng(0), (together,)))
    records = run_backtest(builder(max_positions=SPEC.positions), player, FIRST, LAST)
    played, _ = play(together, market(), RewardSettings())
    assert len(records.trades) > 3
    for name in ("ledger", "trades", "notes", "hours"):
        assert getattr(records, name).tobytes() == getattr(played, name).tobytes(), name
    alone, _ = play(members[0], market(), RewardSettings())
    assert alone.ledger.tobytes() != played.ledger.tobytes()


# --- phases ---


def test_a_policy_decides_the_same_at_another_phase_and_at_its_hours() -> None:
    policy = narrow(0)
    later = policy.at_phase(3)
    assert (later.spec.phase, later.spec.hash() != policy.spec.hash()) == (3, True)
    assert later.at_phase(0).spec.hash() == policy.spec.hash()
    assert policy.at_phase(0).spec is policy.spec
    for row in SEEN[::10]:
        assert logits(later, row).tobytes() == logits(policy, row).tobytes()
    played, _ = play(structured_policy(2, spread=0.4).at_phase(3), at_phase(market(), 3), RewardSettings())
    entered = [trade["opened"] for trade in played.trades]
    offset = at_phase(market(), 3).clock_offset
    assert entered
    assert {(row - offset) % SPEC.decide_every_hours for row in entered} == {0}
    assert offset != market().clock_offset


@pytest.mark.parametrize(("spec", "phase"), [(SPEC, 4), (SPEC, -1), (ObservationSpec(), 1)])
def test_a_phase_that_the_clock_does_not_have_is_refused(spec: ObservationSpec, phase: int) -> None:
    with pytest.raises(SettingsError, match=f"phases 0 to {spec.decide_every_hours - 1}; {phase} is none of them"):
        spec.at_phase(phase)


def test_version_1_has_its_one_phase() -> None:
    spec = ObservationSpec()
    assert spec.at_phase(0) is spec
