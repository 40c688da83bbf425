"""Fitting a structured policy to a rule's decisions, before any reward is looked at.

PPO from scratch learns to hold; from a rule's behaviour it can go on. What is fitted here answers so sharply that PPO
could not move it: ``soften`` first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from engine.observation.actions import HOLD
from rl_training.environments.demonstrations import Demonstrations
from rl_training.environments.episodes import TrainingMarket
from rl_training.learners.protocol import DivergenceError
from rl_training.learners.structured import StructuredPolicy, in_parts, structured_kwargs
from rl_training.learners.without_compiler import leave_out_compiler
from rl_training.settings import ImitationSettings


class Agreement(NamedTuple):
    """How a policy's best actions compare with its teacher's."""

    decisions: int
    trades: int
    """Decisions at which the teacher trades."""
    recall: float
    """Share of these at which the policy does the very same, nan where the teacher never trades."""
    false_trades: float
    """Share of the teacher's holds at which the policy trades."""


def new_network(market: TrainingMarket, *, seed: int, **more: Any) -> StructuredPolicy:
    """An untrained structured policy for the observations of a market, the same for the same seed."""
    leave_out_compiler()
    kwargs = structured_kwargs(market.spec, **more)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return StructuredPolicy(market.observation_space(), market.action_space(), lambda _: 3e-4, **kwargs)


def imitate(policy: StructuredPolicy, shown: Demonstrations, settings: ImitationSettings, *, seed: int) -> list[float]:
    """Fit the actor to demonstrations, in place; the mean loss of each epoch. The critic stays as it is.

    Cross-entropy with ``trade_weight`` on trades, which are rare. Raises ``DivergenceError``.
    """
    rng, actor = np.random.default_rng(seed), policy.network.actor
    seen, actions = torch.from_numpy(shown.observations), torch.from_numpy(shown.actions)
    weights = torch.where(actions == HOLD, 1.0, settings.trade_weight)
    adam = torch.optim.Adam(actor.parameters(), lr=settings.learning_rate)
    steps = settings.n_epochs * -(-len(seen) // settings.batch_size)
    decay = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 1.0 - step / steps)
    losses = []
    for _ in range(settings.n_epochs):
        order, total = torch.from_numpy(rng.permutation(len(seen))), 0.0
        for rows in order.split(settings.batch_size):  # type: ignore[no-untyped-call]  # torch's own
            loss = _loss(policy, seen[rows], actions[rows], weights[rows])
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            adam.step()
            decay.step()
            total += float(loss.detach()) * len(rows)
        losses.append(total / len(seen))
        if not np.isfinite(losses[-1]):
            raise DivergenceError(f"imitation: loss {losses[-1]} in epoch {len(losses)}")
    return losses


def _loss(policy: StructuredPolicy, seen: Tensor, actions: Tensor, weights: Tensor) -> Tensor:
    each = nn.functional.cross_entropy(policy.network.forward_actor(seen), actions, reduction="none")
    # By the weights of this minibatch: by its rows, one with more trades would take a larger step.
    return (each * weights).sum() / weights.sum()


def agreement(policy: StructuredPolicy, shown: Demonstrations) -> Agreement:
    """How often the policy's best action is the teacher's."""
    best = in_parts(policy.network.forward_actor, torch.from_numpy(shown.observations)).argmax(dim=1).numpy()
    trades = shown.actions != HOLD
    right = best == shown.actions
    held = int((~trades).sum())
    return Agreement(
        len(best),
        int(trades.sum()),
        float(right[trades].mean()) if trades.any() else float("nan"),
        float((~right)[~trades].mean()) if held else 0.0,
    )


def soften(policy: StructuredPolicy, temperature: float) -> None:
    """Divide the logits by ``temperature``, in place: the best actions stay, their probabilities come together."""
    with torch.no_grad():
        for layer in policy.network.actor.outputs:
            layer.weight.div_(temperature)
            layer.bias.div_(temperature)


def entropy(policy: StructuredPolicy, shown: Demonstrations) -> float:
    """Mean entropy of the policy's actions, nats."""
    logs = in_parts(policy.network.forward_actor, torch.from_numpy(shown.observations)).log_softmax(dim=1)
    return float(-(logs.exp() * logs).sum(dim=1).mean())
