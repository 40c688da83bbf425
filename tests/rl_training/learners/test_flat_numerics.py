"""The numerics of FlatPPO against torch's autograd and optimiser and against stable-baselines3's buffer."""

from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from support_flat_ppo import RandomWalkEnv, agent_of
from torch.distributions import Categorical

from rl_training.learners.flat_numerics import (
    FlatParameters,
    aligned,
    generalised_advantages,
    ppo_losses,
    sample_actions,
    towers,
)

ROWS, ACTIONS = 64, 5


def batch(spread: float = 0.6) -> dict[str, np.ndarray]:
    """A minibatch whose probability ratios and value changes lie inside and outside of the usual clip ranges."""
    random = np.random.default_rng(11)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    logits, actions = normal(ROWS, ACTIONS), random.integers(ACTIONS, size=ROWS)
    log_probs = torch.log_softmax(torch.from_numpy(logits), 1).numpy()[np.arange(ROWS), actions]
    values = normal(ROWS, 1)
    return {
        "logits": logits, "values": values, "actions": actions, "advantages": normal(ROWS),
        "old_log_probs": log_probs + np.float32(spread) * normal(ROWS),
        "old_values": values[:, 0] + np.float32(0.3) * normal(ROWS), "returns": normal(ROWS),
    }  # fmt: skip


def by_autograd(data: dict[str, np.ndarray], clip: float, clip_vf: float, ent: float, vf: float) -> tuple[Any, ...]:
    """PPO's loss written with torch's own pieces: (policy, value, entropy, whole), gradients by logits and values."""
    t = {name: torch.from_numpy(array) for name, array in data.items()}
    logits, values = t["logits"].clone().requires_grad_(), t["values"].clone().requires_grad_()
    chosen = Categorical(logits=logits)
    ratio = torch.exp(chosen.log_prob(t["actions"]) - t["old_log_probs"])
    clipped = t["advantages"] * ratio.clamp(1 - clip, 1 + clip)
    policy_loss = -torch.min(t["advantages"] * ratio, clipped).mean()
    predicted = values[:, 0]
    if np.isfinite(clip_vf):
        predicted = t["old_values"] + (predicted - t["old_values"]).clamp(-clip_vf, clip_vf)
    value_loss = torch.nn.functional.mse_loss(t["returns"], predicted)
    entropy_loss = -chosen.entropy().mean()
    loss = policy_loss + ent * entropy_loss + vf * value_loss
    loss.backward()
    losses = [x.item() for x in (policy_loss, value_loss, entropy_loss, loss)]
    return losses, logits.grad.numpy(), values.grad.numpy()


@pytest.mark.parametrize(
    ("clip", "clip_vf", "ent", "vf"),
    [
        (0.2, np.inf, 0.0, 0.0),  # the clipped policy loss alone
        (0.2, np.inf, 1.0, 0.0),  # with entropy
        (0.2, np.inf, 0.0, 0.5),  # with the value loss
        (0.2, 0.2, 0.0, 0.5),  # with the clipped value loss
        (0.1, 0.3, 0.05, 0.7),
    ],
)
def test_losses_and_their_derivatives_are_those_of_autograd(clip: float, clip_vf: float, ent: float, vf: float) -> None:
    data = batch()
    losses, by_logits, by_values = by_autograd(data, clip, clip_vf, ent, vf)
    mine = {name: array.copy() for name, array in data.items()}
    policy, value, entropy, _, _, loss = ppo_losses(*mine.values(), clip, clip_vf, ent, vf)
    np.testing.assert_allclose([policy, value, entropy, loss], losses, rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(mine["logits"], by_logits, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(mine["values"], by_values, rtol=1e-5, atol=1e-8)
    assert np.abs(by_logits).max() > 1e-3


def test_the_policy_gradient_stops_where_the_ratio_left_the_clip_range_for_the_better() -> None:
    data = batch() | {"old_log_probs": np.full(ROWS, -50, np.float32), "advantages": np.ones(ROWS, np.float32)}
    _, _, _, _, clip_fraction, _ = ppo_losses(*data.values(), 0.2, np.inf, 0.0, 0.0)
    assert clip_fraction == 1.0
    assert not data["logits"].any()
    worse = batch() | {"old_log_probs": np.full(ROWS, -20, np.float32), "advantages": -np.ones(ROWS, np.float32)}
    ppo_losses(*worse.values(), 0.2, np.inf, 0.0, 0.0)
    assert worse["logits"].any(axis=1).all()


def test_kl_and_clip_fraction_follow_their_definitions() -> None:
    data = batch(spread=0.3)
    log_probs = torch.log_softmax(torch.from_numpy(data["logits"]), 1).numpy()[np.arange(ROWS), data["actions"]]
    change = (log_probs - data["old_log_probs"]).astype(np.float64)
    _, _, _, kl, clip_fraction, _ = ppo_losses(*data.values(), 0.2, np.inf, 0.0, 0.5)
    assert kl == pytest.approx(np.mean(np.exp(change) - 1 - change), rel=1e-5)
    assert clip_fraction == np.mean(np.abs(np.exp(change) - 1) > 0.2)
    assert 0 < clip_fraction < 1


def test_a_forbidden_action_gets_no_gradient_and_leaves_the_entropy_finite() -> None:
    data = batch()
    data["actions"][:] = 1
    data["logits"][:, 0] = -1e8
    losses = ppo_losses(*data.values(), 0.2, np.inf, 0.5, 0.5)
    assert np.isfinite(losses).all()
    assert not data["logits"][:, 0].any()
    assert data["logits"][:, 1].all()


def test_advantages_equal_those_of_the_stock_buffer_bit_for_bit() -> None:
    env = RandomWalkEnv(4)
    stock = RolloutBuffer(32, env.observation_space, env.action_space, "cpu", gae_lambda=0.93, gamma=0.97, n_envs=4)
    random = np.random.default_rng(5)
    stock.rewards[...], stock.values[...] = random.standard_normal((2, 32, 4))
    stock.episode_starts[...] = random.random((32, 4)) < 0.2
    last_values, dones = random.standard_normal(4).astype(np.float32), np.array([True, False, False, True])
    mine = np.empty_like(stock.rewards)
    generalised_advantages(
        stock.rewards, stock.values, stock.episode_starts, last_values, dones.astype(np.float32),
        np.float32(0.97), np.float32(0.97 * 0.93), mine,
    )  # fmt: skip
    stock.compute_returns_and_advantage(torch.from_numpy(last_values), dones)
    np.testing.assert_array_equal(mine, stock.advantages)


def test_sampling_follows_the_softmax_and_reports_its_log_probability() -> None:
    row = np.array([0.3, -1.0, 2.0, -1e8], np.float32)
    count = 40_000
    logits, uniforms = np.tile(row, (count, 1)), (np.arange(count) + 0.5) / count
    actions, log_probs = np.empty(count, np.int64), np.empty(count, np.float32)
    sample_actions(logits, uniforms, actions, log_probs)
    expected = torch.log_softmax(torch.from_numpy(row), 0).numpy()
    np.testing.assert_allclose(log_probs, expected[actions], rtol=1e-6)
    np.testing.assert_allclose(np.bincount(actions, minlength=4) / count, np.exp(expected), atol=1e-4)
    assert 3 not in actions


@pytest.mark.parametrize("uniform", [0.0, np.nextafter(1.0, 0.0)])
def test_sampling_at_the_ends_of_the_unit_interval_stays_among_possible_actions(uniform: float) -> None:
    logits = np.random.default_rng(3).standard_normal((1000, 9)).astype(np.float32)
    logits[:, [0, 8]] = -1e8
    actions, log_probs = np.empty(1000, np.int64), np.empty(1000, np.float32)
    assert sample_actions(logits, np.full(1000, uniform), actions, log_probs)
    assert set(actions) == {1 if uniform == 0 else 7}


def small_policy() -> Any:
    return agent_of(PPO, RandomWalkEnv(2), policy_kwargs={"net_arch": {"pi": [16, 12], "vf": [20]}}).policy


@pytest.mark.parametrize("rows", [1, 2, 31])
def test_towers_run_forward_and_backward_like_torch(rows: int) -> None:
    policy = small_policy()
    parameters = FlatParameters(policy)
    inputs = aligned(rows, 6)
    inputs[...] = np.random.default_rng(0).standard_normal((rows, 6))
    slopes = [np.random.default_rng(1).standard_normal((rows, out)).astype(np.float32) for out in (3, 1)]
    mine = towers(parameters, 31)
    outputs = [tower.forward(inputs).copy() for tower in mine]
    for tower, slope in zip(mine, slopes, strict=True):
        tower.backward(inputs, slope)
    gradients = {name: view.copy() for name, view in parameters.views(parameters.gradients).items()}

    policy.optimizer.zero_grad()
    tensor = torch.from_numpy(inputs)
    theirs = [policy.get_distribution(tensor).distribution.logits, policy.predict_values(tensor)]
    latent = [policy.action_net(policy.mlp_extractor.forward_actor(tensor)), theirs[1]]
    torch.autograd.backward(latent, [torch.from_numpy(slope) for slope in slopes])
    for got, expected in zip(outputs, latent, strict=True):
        np.testing.assert_allclose(got, expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    for name, parameter in policy.named_parameters():
        np.testing.assert_allclose(gradients[name], parameter.grad.numpy(), rtol=1e-4, atol=1e-6, err_msg=name)


def test_transposed_towers_agree_and_see_new_weights_on_refresh() -> None:
    parameters = FlatParameters(small_policy())
    inputs = aligned(4, 6)
    inputs[...] = 0.5
    plain, transposed = towers(parameters, 4)[0], towers(parameters, 4, transposed=True)[0]
    transposed.refresh()
    np.testing.assert_allclose(transposed.forward(inputs), plain.forward(inputs), rtol=1e-6)
    parameters.weights *= 2
    transposed.refresh()
    np.testing.assert_allclose(transposed.forward(inputs), plain.forward(inputs), rtol=1e-6)


@pytest.mark.parametrize("max_norm", [0.5, 1e6])
def test_clipping_and_adam_follow_torch(max_norm: float) -> None:
    mine, theirs = small_policy(), small_policy()
    parameters = FlatParameters(mine)
    random = np.random.default_rng(2)
    for _ in range(5):
        for name, parameter in theirs.named_parameters():
            draw = random.standard_normal(parameter.shape).astype(np.float32)
            parameters.views(parameters.gradients)[name][...] = draw
            parameter.grad = torch.from_numpy(draw)
        norm = parameters.clipped_adam(3e-3, (0.9, 0.999), 1e-5, max_norm)
        expected = torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm)
        theirs.optimizer.param_groups[0]["lr"] = 3e-3
        theirs.optimizer.step()
        assert norm == pytest.approx(float(expected), rel=1e-6)
    for (name, a), b in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), atol=1e-7, err_msg=name)
        for key in ("exp_avg", "exp_avg_sq", "step"):
            held, expected = mine.optimizer.state[a][key], theirs.optimizer.state[b][key]
            np.testing.assert_allclose(held, expected, rtol=1e-5, atol=1e-9)


def test_a_norm_that_is_not_finite_takes_no_step() -> None:
    parameters = FlatParameters(small_policy())
    before = parameters.weights.copy()
    parameters.gradients[3] = np.nan
    assert np.isnan(parameters.clipped_adam(1e-3, (0.9, 0.999), 1e-5, 0.5))
    np.testing.assert_array_equal(parameters.weights, before)
    assert parameters.adam_step == 0


def test_policy_gradients_and_optimiser_are_views_of_aligned_vectors() -> None:
    policy = small_policy()
    before = [parameter.detach().clone() for parameter in policy.parameters()]
    flat = FlatParameters(policy)
    for old, (name, parameter) in zip(before, policy.named_parameters(), strict=True):
        assert torch.equal(old, parameter)
        state = policy.optimizer.state[parameter]
        pairs = [(parameter, flat.weights), (parameter.grad, flat.gradients)]
        pairs += [(state["exp_avg"], flat.adam_m), (state["exp_avg_sq"], flat.adam_v)]
        for tensor, vector in pairs:
            assert tensor.data_ptr() % 64 == 0
            assert tensor.data_ptr() == flat.views(vector)[name].ctypes.data
    flat.adam_step = 9
    assert all(float(state["step"]) == 9 for state in policy.optimizer.state.values())
