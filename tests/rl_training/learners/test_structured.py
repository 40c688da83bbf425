"""The structured policy in plain stable-baselines3: what it is made of, and that places are only places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3 import PPO
from support_structured import SPEC, environments, network, observations

from engine.errors import SettingsError
from engine.observation.encoding import ObservationSpec
from rl_training.learners.structured import FIRST_BIAS, MASKED, Layout, StructuredPolicy, structured_kwargs

PLACES = slice(SPEC.first_opportunity, SPEC.size - SPEC.actions)
SLOTS = slice(SPEC.widths.portfolio, SPEC.first_opportunity)


def agent(seed: int = 0) -> PPO:
    return PPO(
        StructuredPolicy, environments(), n_steps=8, batch_size=16, n_epochs=2, seed=seed, device="cpu",
        policy_kwargs=structured_kwargs(SPEC, width=16),
    )  # fmt: skip


def masked_logits(policy: StructuredPolicy, seen: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return policy.network.forward_actor(torch.from_numpy(seen)).numpy()


@pytest.mark.parametrize(("exchanges", "parameters"), [(4, 101_892), (5, 102_404)])
def test_its_size_with_two_slots_and_eight_candidates(exchanges: int, parameters: int) -> None:
    spec = ObservationSpec(version=2, positions=2, exchanges=tuple("abcde"[:exchanges]))
    assert sum(parameter.numel() for parameter in network(spec=spec).parameters()) == parameters


def test_it_begins_by_holding() -> None:
    actor = network().network.actor
    assert [scores.output.bias.tolist() for scores in (actor.hold, actor.enter, actor.exit)] == [
        [0.0], [FIRST_BIAS], [FIRST_BIAS],
    ]  # fmt: skip
    seen = observations()
    with torch.no_grad():
        probabilities = network().get_distribution(torch.from_numpy(seen)).distribution.probs.numpy()
    assert probabilities[:, 0].min() > 0.85


def test_plain_stable_baselines3_saves_loads_and_predicts(tmp_path: Path) -> None:
    trained = agent()
    before = {name: tensor.clone() for name, tensor in trained.policy.state_dict().items()}
    trained.learn(64)
    moved = [name for name, tensor in trained.policy.state_dict().items() if not torch.equal(tensor, before[name])]
    # Everything learns: actor, critic, encoders of both.
    assert set(moved) == set(before)
    trained.save(tmp_path / "model.zip")
    loaded = PPO.load(tmp_path / "model.zip", device="cpu")
    seen = observations()
    assert isinstance(loaded.policy, StructuredPolicy)
    for deterministic in (True, False):
        torch.manual_seed(1)
        mine = trained.predict(seen, deterministic=deterministic)[0]
        torch.manual_seed(1)
        assert mine.tolist() == loaded.predict(seen, deterministic=deterministic)[0].tolist()
    loaded.set_env(environments())
    loaded.learn(32)


def test_a_policy_alone_is_saved_and_loaded(tmp_path: Path) -> None:
    policy, seen = network(1, spread=0.3, width=16), observations()
    policy.save(tmp_path / "policy.pth")
    loaded = StructuredPolicy.load(tmp_path / "policy.pth", device="cpu")
    assert masked_logits(loaded, seen).tobytes() == masked_logits(policy, seen).tobytes()


def test_what_the_observation_forbids_is_never_drawn_and_holding_never_forbidden() -> None:
    policy, seen = network(2, spread=0.5), observations()
    seen[:50, -SPEC.actions :] = 0.0
    logits, mask = masked_logits(policy, seen), seen[:, -SPEC.actions :].copy()
    mask[:, 0] = 1
    assert ((logits == MASKED) == (mask == 0)).all()
    drawn = torch.from_numpy(seen)
    with torch.no_grad():
        for _ in range(20):
            actions, _, log_probs = policy(drawn)
            assert mask[np.arange(len(mask)), actions.numpy()].all()
            assert torch.isfinite(log_probs).all()
        values, log_probs, entropy = policy.evaluate_actions(drawn, actions)
    assert torch.isfinite(values).all()
    assert torch.isfinite(entropy).all()


@given(st.permutations(range(SPEC.opportunities)), st.permutations(range(SPEC.positions)), st.integers(0, 5))
def test_swapped_candidates_and_slots_swap_their_logits_and_nothing_else(
    candidates: list[int], slots: list[int], seed: int
) -> None:
    policy, rng = network(seed, spread=0.3, width=8), np.random.default_rng(seed)
    seen = rng.normal(0, 1, (3, SPEC.size)).astype(np.float32)
    seen[:, -SPEC.actions :] = 1.0
    moved = seen.copy()
    moved[:, PLACES] = seen[:, PLACES].reshape(3, SPEC.opportunities, -1)[:, candidates].reshape(3, -1)
    moved[:, SLOTS] = seen[:, SLOTS].reshape(3, SPEC.positions, -1)[:, slots].reshape(3, -1)
    order = [0, *(1 + k for k in candidates), *(1 + SPEC.opportunities + k for k in slots)]
    np.testing.assert_allclose(masked_logits(policy, moved), masked_logits(policy, seen)[:, order], atol=1e-5)
    with torch.no_grad():
        values = [policy.predict_values(torch.from_numpy(rows)).numpy() for rows in (seen, moved)]
    np.testing.assert_allclose(values[0], values[1], atol=1e-5)


def test_every_part_of_the_observation_reaches_every_logit_and_the_value() -> None:
    policy = network(3, spread=0.3, width=8)
    seen = torch.randn(1, SPEC.size, generator=torch.Generator().manual_seed(0))
    seen[:, -SPEC.actions :] = 1.0
    seen.requires_grad_(True)
    logits = policy.network.forward_actor(seen)[0]
    for output in [*logits, policy.predict_values(seen)[0, 0]]:
        (slope,) = torch.autograd.grad(output, seen, retain_graph=True)
        parts = Layout.of(SPEC).parts(slope)[:3]
        # Of candidates some may lie below the maximum of every unit, but their mean always counts.
        assert all((part.abs().flatten(0, -2).sum(dim=1) > 0).all() for part in parts)


def test_other_observations_are_refused_in_one_line() -> None:
    with pytest.raises(SettingsError, match=r"observation\.version=2"):
        structured_kwargs(ObservationSpec())
    seen, kwargs = spaces.Box(-1, 1, (SPEC.size,), np.float32), structured_kwargs(SPEC)
    with pytest.raises(SettingsError, match="7 actions, the environment"):
        StructuredPolicy(seen, spaces.Discrete(8), lambda _: 1e-3, **kwargs)
    other = spaces.Box(-1, 1, (SPEC.size + 1,), np.float32)
    with pytest.raises(SettingsError, match=f"sees {SPEC.size} values"):
        StructuredPolicy(other, spaces.Discrete(7), lambda _: 1e-3, **kwargs)
