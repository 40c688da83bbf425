"""The structured network on plain arrays against torch, and against itself in any company."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support_environment import FIRST, LAST, builder
from support_structured import NO_SCALER, SPEC, market, network, observations, structured_policy

from engine.backtest import run_backtest
from engine.observation.encoding import ObservationSpec
from rl_training.environments.scoring import play
from rl_training.learners.extraction import policy_layers
from rl_training.settings import RewardSettings
from strategies.layers import dense
from strategies.plugin import Context, NoParameters
from strategies.policy import Policy, best_action, logits
from strategies.ppo import Ppo
from strategies.structured import LAYERS, layer_shapes

WALLETS = ObservationSpec(version=2, positions=3, opportunities=5, exchanges=("a", "b", "c"), wallets=True)


@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_torch(seed: int) -> None:
    trained, seen = network(seed, spread=0.15, width=64), observations(seed=seed)
    policy = Policy("x", SPEC, NO_SCALER, *policy_layers(trained), "0" * 16, "structured")
    with torch.no_grad():
        expected = trained.network.forward_actor(torch.from_numpy(seen)).numpy()
    mine = np.stack([logits(policy, row) for row in seen])
    allowed = seen[:, -SPEC.actions :] > 0
    np.testing.assert_allclose(mine[allowed], expected[allowed], atol=1e-5)
    actions = [best_action(policy, row) for row in seen]
    assert actions == trained.predict(seen, deterministic=True)[0].tolist()
    assert len(set(actions)) > 3


@given(st.integers(0, 100), st.integers(0, 30))
def test_it_agrees_with_torch_on_any_layout(seed: int, row: int) -> None:
    trained = network(seed, WALLETS, spread=0.2, width=8)
    policy = Policy("x", WALLETS, NO_SCALER, *policy_layers(trained), "0" * 16, "structured")
    seen = np.random.default_rng([seed, row]).normal(0, 2, (1, WALLETS.size)).astype(np.float32)
    seen[:, -WALLETS.actions :] = 1.0
    with torch.no_grad():
        expected = trained.network.forward_actor(torch.from_numpy(seen)).numpy()[0]
    np.testing.assert_allclose(logits(policy, seen[0]), expected, atol=1e-5)


def test_a_row_has_the_same_bits_in_any_company() -> None:
    policy, seen = structured_policy(1), observations()
    alone = [logits(policy, row.copy()).tobytes() for row in seen]
    shifted = np.zeros(SPEC.size + 1, np.float32)[1:]
    for row, answer in zip(seen, alone, strict=True):
        shifted[:] = row
        assert logits(policy, shifted).tobytes() == answer == logits(policy, row).tobytes()


@given(st.integers(1, 9), st.integers(0, 8), st.integers(0, 50))
def test_rows_of_a_layer_do_not_see_each_other(rows: int, which: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, weights, first = (rng.normal(size=shape).astype(np.float32) for shape in ((rows, 40), (40, 24), (1, 24)))
    row = inputs[which % rows]
    together, alone = dense(inputs, weights, first), dense(row[np.newaxis].copy(), weights, first)
    assert together[which % rows].tobytes() == alone[0].tobytes()
    # Input by input: the order that was promised.
    expected = first[0].copy()
    for value, line in zip(row, weights, strict=True):
        expected += value * line
    assert alone[0].tobytes() == expected.tobytes()


def test_shapes_are_those_of_torch() -> None:
    weights, biases = policy_layers(network(0, WALLETS, width=16))
    assert [matrix.shape for matrix in weights] == list(layer_shapes(WALLETS, 16))
    assert [len(vector) for vector in biases] == [outputs for _, outputs in layer_shapes(WALLETS, 16)]
    assert len(weights) == len(LAYERS)


def test_what_the_mask_forbids_is_never_the_best_and_holding_always_possible() -> None:
    policy = structured_policy(1)
    seen = observations()[0]
    ranked = np.argsort(-logits(policy, seen))
    for allowed in (ranked[-1:], ranked[-2:], ranked[:0]):
        mask = np.zeros(SPEC.actions, np.float32)
        mask[allowed] = 1
        seen[-SPEC.actions :] = mask
        possible = {0, *allowed.tolist()}
        assert best_action(policy, seen) == next(action for action in ranked if action in possible)


def test_it_plays_the_same_in_backtest_and_environment() -> None:
    policy = structured_policy(2, spread=0.4)
    strategy = Ppo(NoParameters(), Context(np.random.default_rng(0), (policy,)))
    records = run_backtest(builder(max_positions=SPEC.positions), strategy, FIRST, LAST)
    played, _ = play(policy, market(), RewardSettings())
    assert len(records.trades) > 3
    for name in ("ledger", "trades", "notes", "hours"):
        assert getattr(records, name).tobytes() == getattr(played, name).tobytes(), name


def test_a_network_says_what_it_is() -> None:
    policy = structured_policy()
    assert policy.architecture.startswith("structured (encoders of candidates and slots, 64 wide, ")
    flat = replace(policy, kind="flat", weights=policy.weights[:2], biases=policy.biases[:2])
    assert flat.architecture == "[64], tanh"
