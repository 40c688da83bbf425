"""PPO for a policy that begins as the imitation of a rule and is held near it (docs/design.md section 8).

Large batches, a KL term towards the policy that it began as, and updates at the beginning that fit the value alone:
with a value that knows nothing the first advantages are noise, and would undo what was imitated.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from stable_baselines3 import PPO
from torch import Tensor, nn

from rl_training.learners.protocol import DivergenceError
from rl_training.learners.structured import Actor, StructuredPolicy, in_parts


class Rows(NamedTuple):
    """A rollout as tensors, one row a decision."""

    observations: Tensor
    actions: Tensor
    log_probabilities: Tensor  # of the actions, when they were drawn
    advantages: Tensor
    returns: Tensor
    anchor: Tensor  # log-probabilities of all actions by the anchor

    def at(self, which: Tensor) -> Rows:
        return Rows(*(part[which] for part in self))


class AnchoredPPO(PPO):
    """``stable_baselines3.PPO`` whose update is ours; rollouts, saving and loading are theirs.

    The loss is PPO's clipped one, ``vf_coef`` times the squared error of the value, less ``ent_coef`` times the
    entropy, plus ``anchor_coef`` times KL(anchor || policy) in nats. The anchor is the actor as ``anchor_here`` found
    it. The first ``value_updates`` updates fit the value alone. An update ends early once the mean approximate KL to
    the policy of its rollout exceeds 1.5 times ``target_kl``, as in stable-baselines3. Minibatches are drawn from a
    generator of its own. Learning rate and clip range are constants: a schedule counts as what it begins with.
    """

    anchor: Actor | None = None

    def __init__(self, *args: Any, anchor_coef: float = 0.0, value_updates: int = 0, **more: Any) -> None:
        self.anchor_coef, self.value_updates = anchor_coef, value_updates
        super().__init__(*args, **more)

    def _setup_model(self) -> None:
        super()._setup_model()
        # Here and not at the beginning: a loaded agent is set up too, once its seed is known.
        self.shuffles = np.random.default_rng(self.seed)

    @property
    def structured(self) -> StructuredPolicy:
        """The policy by its own class."""
        return cast("StructuredPolicy", self.policy)

    def _excluded_save_params(self) -> list[str]:
        # What only goes on training needs is in checkpoints; in a zip it would have to be pickled.
        return [*super()._excluded_save_params(), "anchor", "shuffles"]

    def anchor_here(self) -> None:
        """Hold the policy near what it is now."""
        self.anchor = deepcopy(self.structured.network.actor)
        self.anchor.requires_grad_(False)

    def train(self) -> None:
        """One update from the rollout that was collected. Raises ``DivergenceError``, with the weights as they were."""
        before = deepcopy(self.policy.state_dict())
        rows, is_warm_up = self._rows(), self._n_updates < self.value_updates * self.n_epochs
        found: list[dict[str, float]] = []
        for _ in range(self.n_epochs):
            found += self._epoch(rows, is_warm_up)
            self._n_updates += 1
            if found[-1]["stopped"]:
                break
        if not all(np.isfinite(one["loss"]) for one in found):
            self.policy.load_state_dict(before)
            raise DivergenceError(f"the loss is no longer finite after {self.num_timesteps} steps")
        for name in ("loss", "policy_gradient_loss", "value_loss", "entropy_loss", "approx_kl", "anchor_kl"):
            self.logger.record(f"train/{name}", float(np.mean([one[name] for one in found])))
        values, returns = self.rollout_buffer.values.flatten(), self.rollout_buffer.returns.flatten()
        left = np.var(returns - values) / max(float(np.var(returns)), 1e-12)
        self.logger.record("train/explained_variance", float(1.0 - left))
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def _rows(self) -> Rows:
        """The rollout with environments one after the other, as stable-baselines3 flattens it."""
        buffer = self.rollout_buffer
        arrays = (buffer.observations, buffer.actions, buffer.log_probs, buffer.advantages, buffer.returns)
        observations, actions, logs, advantages, returns = (
            torch.from_numpy(buffer.swap_and_flatten(np.asarray(array))) for array in arrays
        )
        flat = (actions.flatten().long(), logs.flatten(), advantages.flatten(), returns.flatten())
        return Rows(observations, *flat, self._anchored(observations))

    def _anchored(self, observations: Tensor) -> Tensor:
        if self.anchor is None or not self.anchor_coef:
            return torch.zeros(len(observations), 0)
        by_anchor = partial(self.structured.network.masked_logits, self.anchor)
        return in_parts(by_anchor, observations).log_softmax(dim=1)

    def _epoch(self, rows: Rows, is_warm_up: bool) -> list[dict[str, float]]:
        found = []
        order = torch.from_numpy(self.shuffles.permutation(len(rows.actions)))
        for which in order.split(self.batch_size):  # type: ignore[no-untyped-call]  # torch's own
            loss, told = self._loss(rows.at(which), is_warm_up)
            limit = self.target_kl
            told["stopped"] = limit is not None and told["approx_kl"] > 1.5 * limit
            found.append(told)
            if told["stopped"]:
                break
            self.policy.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
        return found

    def _loss(self, rows: Rows, is_warm_up: bool) -> tuple[Tensor, dict[str, float]]:
        network, policy = self.structured.network, self.structured
        values = policy.value_net(network.forward_critic(rows.observations)).flatten()
        value_loss = nn.functional.mse_loss(values, rows.returns)
        if is_warm_up:
            told = dict.fromkeys(("policy_gradient_loss", "entropy_loss", "approx_kl", "anchor_kl"), 0.0)
            return value_loss, {**told, "value_loss": float(value_loss.detach()), "loss": float(value_loss.detach())}
        logs = network.forward_actor(rows.observations).log_softmax(dim=1)
        drawn = logs.gather(1, rows.actions.unsqueeze(1)).squeeze(1)
        change = drawn - rows.log_probabilities
        ratio, clip = change.exp(), self.clip_range(1.0)  # type: ignore[operator]  # a schedule once it is set up
        # All rows weigh the same whatever the scale of the reward.
        advantages = (rows.advantages - rows.advantages.mean()) / (rows.advantages.std() + 1e-8)
        gained = torch.min(advantages * ratio, advantages * ratio.clamp(1 - clip, 1 + clip)).mean()
        entropy = -(logs.exp() * logs).sum(dim=1).mean()
        anchor = rows.anchor
        away = (anchor.exp() * (anchor - logs)).sum(dim=1).mean() if anchor.shape[1] else torch.zeros(())
        loss = -gained - self.ent_coef * entropy + self.vf_coef * value_loss + self.anchor_coef * away
        told = {
            "loss": float(loss.detach()), "policy_gradient_loss": -float(gained.detach()),
            "value_loss": float(value_loss.detach()), "entropy_loss": -float(entropy.detach()),
            "approx_kl": float(((ratio - 1) - change).mean().detach()), "anchor_kl": float(away.detach()),
        }  # fmt: skip
        return loss, told
