"""PPO held near what it began as: its loss term by term, its warm-up, its early stop, and what a zip keeps of it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from support_structured import SPEC, environments, network, observations

from rl_training.learners import structured
from rl_training.learners.anchored_ppo import AnchoredPPO
from rl_training.learners.protocol import DivergenceError
from rl_training.learners.structured import StructuredPolicy, structured_kwargs

ROWS, WIDTH = 128, 16


def agent(seed: int = 0, **more: Any) -> AnchoredPPO:
    """Eight environments with 16 decisions a rollout; its weights are so wide that it trades."""
    torch.set_num_threads(1)
    kwargs = structured_kwargs(SPEC, width=WIDTH, **more.pop("policy_kwargs", {}))
    made = AnchoredPPO(
        StructuredPolicy, environments(8, seed=seed), seed=seed, device="cpu", policy_kwargs=kwargs,
        **({"n_steps": ROWS // 8, "batch_size": 32, "n_epochs": 2} | more),
    )  # fmt: skip
    made.policy.load_state_dict(network(seed, spread=0.3, width=WIDTH).state_dict())
    made.set_logger(Logger(None, []))
    return made


def rolled_out(made: AnchoredPPO) -> AnchoredPPO:
    """With a rollout that nothing has been learned from yet."""
    with patch.object(made, "train", lambda: None):
        made.learn(ROWS)
    return made


def moved(made: AnchoredPPO, spread: float, seed: int = 1) -> None:
    with torch.no_grad():
        for parameter in made.policy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)) * spread)


def weights(made: PPO) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in made.policy.state_dict().items()}


def changed(before: dict[str, torch.Tensor], made: PPO) -> set[str]:
    return {name for name, tensor in made.policy.state_dict().items() if not torch.equal(tensor, before[name])}


def same_bits(one: PPO, other: PPO) -> bool:
    return not changed(weights(one), other)


def log_softmax(logits: Any) -> Any:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def log_probabilities(policy: StructuredPolicy, seen: Any) -> Any:
    with torch.no_grad():
        return log_softmax(policy.network.forward_actor(torch.as_tensor(seen)).double().numpy())


def divergence(start: StructuredPolicy, now: StructuredPolicy) -> float:
    """Mean KL(start || now), nats."""
    first, last = (log_probabilities(policy, observations()) for policy in (start, now))
    return float((np.exp(first) * (first - last)).sum(axis=1).mean())


# --- the loss ---


def test_the_loss_is_that_of_its_formula_term_by_term(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, environment by environment, from what the rollout has."""
    monkeypatch.setattr(structured, "CHUNK", 50)
    made = agent(
        batch_size=ROWS, n_epochs=1, clip_range=0.1, ent_coef=0.03, vf_coef=0.4, anchor_coef=0.7, target_kl=None
    )
    moved(made, 0.05, seed=3)
    made.anchor_here()
    held = deepcopy(made.policy)
    rolled_out(made)
    moved(made, 0.02)
    buffer = made.rollout_buffer
    seen, actions, old, advantages, returns = (
        np.concatenate([np.asarray(part)[:, b] for b in range(8)])
        for part in (buffer.observations, buffer.actions, buffer.log_probs, buffer.advantages, buffer.returns)
    )
    now, anchor = log_probabilities(made.policy, seen), log_probabilities(held, seen)
    with torch.no_grad():
        values = made.policy.predict_values(torch.from_numpy(seen)).double().numpy()[:, 0]
    ratio = np.exp(now[np.arange(ROWS), actions[:, 0].astype(int)] - old.astype(float))
    normal = (advantages - advantages.mean(dtype=float)) / (advantages.std(dtype=float, ddof=1) + 1e-8)
    gained = np.minimum(normal * ratio, normal * np.clip(ratio, 0.9, 1.1)).mean()
    expected = {
        "policy_gradient_loss": -gained,
        "value_loss": ((values - returns) ** 2).mean(),
        "entropy_loss": (np.exp(now) * now).sum(axis=1).mean(),
        "approx_kl": (ratio - 1 - np.log(ratio)).mean(),
        "anchor_kl": (np.exp(anchor) * (anchor - now)).sum(axis=1).mean(),
    }
    expected["loss"] = (
        expected["policy_gradient_loss"] + 0.03 * expected["entropy_loss"] + 0.4 * expected["value_loss"]
        + 0.7 * expected["anchor_kl"]
    )  # fmt: skip
    # Clipped on both sides, and every term counts.
    assert ((ratio < 0.9) & (normal < 0)).any()
    assert ((ratio > 1.1) & (normal > 0)).any()
    assert min(abs(value) for value in expected.values()) > 1e-4
    made.train()
    told = {name: made.logger.name_to_value[f"train/{name}"] for name in expected}
    assert told == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_step_goes_down_the_slope_of_that_loss() -> None:
    """By plain gradient descent and what stable-baselines3 reckons of a minibatch."""
    made = agent(
        batch_size=ROWS, n_epochs=1, ent_coef=0.03, vf_coef=0.4, anchor_coef=0.7, learning_rate=1.0, max_grad_norm=1e9,
        policy_kwargs={"optimizer_class": torch.optim.SGD},
    )  # fmt: skip
    made.anchor_here()
    held = deepcopy(made.policy)
    rolled_out(made)
    moved(made, 0.02)
    before = deepcopy(made.policy)
    made.train()
    (part,) = made.rollout_buffer.get(ROWS)
    values, logs, entropy = before.evaluate_actions(part.observations, part.actions.flatten().long())
    advantages = (part.advantages - part.advantages.mean()) / part.advantages.std()
    ratio = torch.exp(logs - part.old_log_prob)
    gained = torch.min(advantages * ratio, advantages * torch.clamp(ratio, 0.8, 1.2)).mean()
    anchor, now = (policy.get_distribution(part.observations).distribution for policy in (held, before))
    away = torch.distributions.kl_divergence(anchor, now).mean()
    value_loss = torch.nn.functional.mse_loss(part.returns, values.flatten())
    (-gained - 0.03 * entropy.mean() + 0.4 * value_loss + 0.7 * away).backward()
    for name, parameter in before.named_parameters():
        own = dict(made.policy.named_parameters())[name]
        np.testing.assert_allclose(
            (parameter - own).detach().numpy(), parameter.grad.numpy(), atol=2e-5, rtol=2e-3, err_msg=name
        )


def test_every_row_is_learned_from_once_an_epoch() -> None:
    made, drawn = rolled_out(agent(n_epochs=3)), []
    plain = AnchoredPPO._loss

    def loss(self: AnchoredPPO, rows: Any, is_warm_up: bool) -> Any:
        drawn.append(rows.log_probabilities)
        return plain(self, rows, is_warm_up)

    with patch.object(AnchoredPPO, "_loss", loss):
        made.train()
    everything = np.sort(made.rollout_buffer.log_probs.flatten())
    epochs = [torch.cat(drawn[k : k + 4]).numpy() for k in (0, 4, 8)]
    assert len(drawn) == 12
    assert all(np.array_equal(np.sort(epoch), everything) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])


# --- warm-up, anchor, early stop ---


def test_the_first_updates_fit_the_value_alone() -> None:
    made = agent(value_updates=2, n_epochs=3, anchor_coef=0.1)
    made.anchor_here()
    start = weights(made)
    critic = {name for name in start if ".actor." not in name}
    for update in range(2):
        before = weights(made)
        made.learn(ROWS, reset_num_timesteps=False)
        assert changed(before, made) == critic, update
        assert changed(start, made) == critic
    made.learn(ROWS, reset_num_timesteps=False)
    assert changed(start, made) == set(start)


def test_the_value_is_fitted_meanwhile() -> None:
    made = rolled_out(agent(value_updates=30, n_epochs=1, learning_rate=3e-3))
    losses = []
    for _ in range(30):
        made.train()
        losses.append(made.logger.name_to_value["train/loss"])
        assert losses[-1] == made.logger.name_to_value["train/value_loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_a_larger_coefficient_holds_it_nearer() -> None:
    found = []
    for coefficient in (0.0, 0.5, 50.0):
        made = agent(learning_rate=3e-3, anchor_coef=coefficient)
        made.anchor_here()
        start = deepcopy(made.policy)
        made.learn(4 * ROWS)
        found.append(divergence(start, made.policy))
        assert made.anchor is not None
        # What it is held near does not move with it.
        for name, tensor in made.anchor.state_dict().items():
            assert torch.equal(tensor, start.network.actor.state_dict()[name])
    assert found[0] > found[1] > 3 * found[2] > 0


def test_without_an_anchor_the_coefficient_changes_nothing() -> None:
    free = agent(anchor_coef=0.0)
    free.anchor_here()
    free.learn(2 * ROWS)
    none = agent(anchor_coef=50.0)
    none.learn(2 * ROWS)
    assert same_bits(free, none)


def steps_of(made: AnchoredPPO) -> int:
    """How many steps its next update takes."""
    with patch.object(made.policy.optimizer, "step", wraps=made.policy.optimizer.step) as step:
        made.train()
    return step.call_count


def test_an_update_ends_once_the_policy_has_moved_far_enough() -> None:
    free, held = (rolled_out(agent(learning_rate=1e-2, target_kl=limit)) for limit in (None, 1e-3))
    assert steps_of(free) == 8
    assert 1 <= steps_of(held) < 4
    assert (free._n_updates, held._n_updates) == (2, 1)
    assert held.logger.name_to_value["train/approx_kl"] > 0
    # It is 1.5 times the limit that ends it.
    moved_by = rolled_out(agent())
    moved(moved_by, 0.02)
    start = weights(moved_by)
    moved_by.batch_size, moved_by.n_epochs = ROWS, 1
    moved_by.train()
    limit = moved_by.logger.name_to_value["train/approx_kl"] / 1.5
    for factor, steps in ((0.99, 0), (1.01, 1)):
        moved_by.policy.load_state_dict(start)
        moved_by.target_kl = limit * factor
        assert steps_of(moved_by) == steps


# --- what goes wrong ---


@pytest.mark.parametrize(("what", "value_updates"), [("advantages", 0), ("returns", 0), ("returns", 9)])
def test_a_loss_that_is_not_finite_is_an_error_and_leaves_the_weights_as_they_were(
    what: str, value_updates: int
) -> None:
    made = rolled_out(agent(value_updates=value_updates))
    getattr(made.rollout_buffer, what)[3, 2] = np.nan
    before = weights(made)
    with pytest.raises(DivergenceError, match="no longer finite after 128 steps"):
        made.train()
    assert not changed(before, made)


# --- bits and files ---


def trained(seed: int = 0) -> AnchoredPPO:
    made = agent(seed, anchor_coef=0.1, value_updates=1)
    made.anchor_here()
    made.learn(3 * ROWS)
    return made


def test_the_same_seed_learns_the_same_bits_and_another_others() -> None:
    one = trained()
    assert same_bits(one, trained())
    assert not same_bits(one, trained(1))


def test_minibatches_come_from_a_generator_of_its_own() -> None:
    one, two = rolled_out(agent()), rolled_out(agent())
    np.random.seed(1)  # noqa: NPY002  # which plain stable-baselines3 shuffles with
    one.train()
    np.random.seed(2)  # noqa: NPY002
    two.train()
    assert same_bits(one, two)
    three = rolled_out(agent())
    three.shuffles = np.random.default_rng(5)
    three.train()
    assert not same_bits(one, three)


@pytest.mark.parametrize("kind", [PPO, AnchoredPPO])
def test_plain_stable_baselines3_loads_it_and_predicts_the_same(kind: type[PPO], tmp_path: Path) -> None:
    made = trained()
    made.save(tmp_path / "model.zip")
    loaded = kind.load(tmp_path / "model.zip", device="cpu")
    assert type(loaded) is kind
    assert same_bits(made, loaded)
    seen = observations()
    for deterministic in (True, False):
        torch.manual_seed(1)
        mine = made.predict(seen, deterministic=deterministic)[0]
        torch.manual_seed(1)
        assert mine.tolist() == loaded.predict(seen, deterministic=deterministic)[0].tolist()


def test_a_loaded_one_goes_on_without_its_anchor_the_same_each_time(tmp_path: Path) -> None:
    made = trained()
    made.save(tmp_path / "model.zip")
    assert made.anchor is not None
    loaded = [AnchoredPPO.load(tmp_path / "model.zip", environments(8), device="cpu") for _ in range(2)]
    assert [(one.anchor, one.anchor_coef, one.value_updates) for one in loaded] == [(None, 0.1, 1)] * 2
    # The warm-up is behind it.
    before = weights(made)
    for one in loaded:
        one.env.seed(3)  # type: ignore[union-attr]  # it was given one
        torch.manual_seed(1)
        one.set_logger(Logger(None, []))
        one.learn(ROWS, reset_num_timesteps=False)
    assert same_bits(*loaded)
    assert changed(before, loaded[0]) == set(before)
