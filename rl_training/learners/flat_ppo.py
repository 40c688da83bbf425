"""PPO of stable-baselines3 on one core at matrix-product speed.

`FlatPPO` is a drop-in `stable_baselines3.PPO` for the case trained here: "MlpPolicy", tanh, float32 observation
vectors, discrete actions, on the processor. It runs the same algorithm with the same buffer, logger, callbacks and
files; the rollout's forward pass, the backward pass, gradient clipping and Adam are written by hand over one flat
parameter vector (`flat_numerics`). From the same buffer and permutations one update ends within 1e-6 of
stable-baselines3's parameters.

Randomness (sampling of actions, minibatch permutations) comes from one generator owned by the agent and seeded with
`seed`; initial weights equal those of single-threaded stable-baselines3 for that seed. Global generators are neither
read nor set.
"""

from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import TensorDict
from stable_baselines3.common.utils import FloatSchedule, explained_variance
from stable_baselines3.common.vec_env import VecEnv
from threadpoolctl import ThreadpoolController
from torch import nn

from engine.errors import SettingsError, UserError
from rl_training.learners.flat_numerics import (
    Array,
    FlatParameters,
    aligned,
    generalised_advantages,
    ppo_losses,
    sample_actions,
    towers,
)
from rl_training.learners.protocol import DivergenceError
from rl_training.random_state import pack_generator, unpack_generator

Checkpoint = dict[str, npt.NDArray[Any] | int | float]

# More than one thread would change results with the machine, and several workers would fight for its cores.
_THREADS = ThreadpoolController()
_ROLLOUT_COLUMNS = ("observations", "actions", "values", "log_probs", "advantages", "returns")


class _Losses(NamedTuple):
    """Means over one minibatch; the names are those of stable-baselines3's log."""

    policy_gradient_loss: float
    value_loss: float
    entropy_loss: float
    approx_kl: float
    clip_fraction: float
    loss: float


class _Coefficients(NamedTuple):
    """What shapes the loss of one update; `clip_range_vf` is infinite where the value loss is not clipped."""

    clip_range: float
    clip_range_vf: float
    ent_coef: float
    vf_coef: float


class FlatPPO(PPO):
    """`stable_baselines3.PPO` with the same constructor, methods and files. `n_steps` counts per environment."""

    def _setup_model(self) -> None:
        self._random = np.random.default_rng(self.seed)
        # torch draws initial weights from its global generator: it is seeded in here, and put back afterwards.
        with torch.random.fork_rng(devices=[]), _THREADS.limit(limits=1):
            torch.manual_seed(int(self._random.integers(2**63)) if self.seed is None else self.seed)
            super()._setup_model()
        _require_supported(self)
        # Present where a zip is being loaded: go on drawing where the saved agent stopped.
        self._random.bit_generator.state = self.__dict__.pop("random_state", self._random.bit_generator.state)
        self._parameters = FlatParameters(self.policy)
        rows = min(self.batch_size, self.n_steps * self.n_envs)
        width = self.observation_space.shape[0]  # type: ignore[index]  # a Box of one dimension, checked above
        self._batch = aligned(rows, width)
        self._actor, self._critic = towers(self._parameters, rows)
        self._seen = aligned(self.n_envs, width)
        self._rollout_towers = towers(self._parameters, self.n_envs, transposed=True)

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed the agent's own generator and its environment; no global generator."""
        if seed is None:
            return
        self._random = np.random.default_rng(seed)
        self.action_space.seed(seed)
        if self.env is not None:
            self.env.seed(seed)

    def mask_logits(self, observations: Array, logits: Array) -> None:
        """The place for action masks: lower, in place, the logits of actions that these observations forbid.

        Called alike in rollouts and updates. By a large finite number (1e8), so that entropies stay finite.
        Nothing is masked here.
        """

    # Rollouts

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer with `n_rollout_steps` steps of every environment; False if the callback stopped it."""
        with _THREADS.limit(limits=1):
            return self._collect(env, callback, rollout_buffer, n_rollout_steps)

    def _collect(self, env: VecEnv, callback: BaseCallback, buffer: RolloutBuffer, n_rollout_steps: int) -> bool:
        assert self._last_obs is not None, "No previous observation was provided"
        buffer.reset()
        # Their transposed copies are still of the weights before the last update.
        for tower in self._rollout_towers:
            tower.refresh()
        uniforms = self._random.random((n_rollout_steps, env.num_envs))
        callback.on_rollout_start()
        for step in range(n_rollout_steps):
            buffer.episode_starts[step] = self._last_episode_starts
            actions = self._act(buffer, step, uniforms[step])
            new_obs, rewards, dones, infos = env.step(actions)
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
            buffer.rewards[step] = rewards
            self._bootstrap_truncated(buffer.rewards[step], dones, infos)
            self._last_obs, self._last_episode_starts = np.asarray(new_obs), dones
            buffer.pos = step + 1
        buffer.full = True
        self._estimate_advantages(buffer)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    @np.errstate(all="ignore")  # what is not finite is raised below
    def _act(self, buffer: RolloutBuffer, step: int, uniforms: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Sample an action for each environment and write the row `step` of the buffer."""
        actor, critic = self._rollout_towers
        self._seen[...] = self._last_obs  # type: ignore[assignment]  # an array: the observation space is a Box
        logits = actor.forward(self._seen)
        self.mask_logits(self._seen, logits)
        actions = np.empty(len(uniforms), np.int64)
        if not sample_actions(logits, uniforms, actions, buffer.log_probs[step]):
            raise DivergenceError("no action to take: the policy or its observation is not finite")
        buffer.observations[step] = self._seen
        buffer.values[step] = critic.forward(self._seen)[:, 0]
        buffer.actions[step, :, 0] = actions
        return actions

    @np.errstate(all="ignore")  # what is not finite is raised with the advantages
    def _values(self, observations: npt.NDArray[Any]) -> Array:
        rows = self._seen[: len(observations)]
        rows[...] = observations
        return self._rollout_towers[1].forward(rows)[:, 0]

    def _bootstrap_truncated(self, rewards: Array, dones: npt.NDArray[Any], infos: list[dict[str, Any]]) -> None:
        """Add the value of the state that a time limit cut off."""
        if not dones.any():
            return
        # An episode that terminated has nothing after it; only a cut one would have gone on earning.
        cut = [i for i in np.flatnonzero(dones) if infos[i].get("TimeLimit.truncated", False)]
        cut = [i for i in cut if infos[i].get("terminal_observation") is not None]
        if cut:
            values = self._values(np.stack([infos[i]["terminal_observation"] for i in cut]))
            rewards[cut] += np.float32(self.gamma) * values

    def _estimate_advantages(self, buffer: RolloutBuffer) -> None:
        assert self._last_obs is not None
        assert self._last_episode_starts is not None
        last_values = self._values(np.asarray(self._last_obs))
        if not np.isfinite(buffer.values).all():
            raise DivergenceError("a state has no value: the critic is not finite")
        generalised_advantages(
            buffer.rewards, buffer.values, buffer.episode_starts, last_values.copy(),
            self._last_episode_starts.astype(np.float32), np.float32(self.gamma),
            np.float32(self.gamma * self.gae_lambda), buffer.advantages,
        )  # fmt: skip
        buffer.returns = buffer.advantages + buffer.values

    # Updates

    def _update_learning_rate(self, optimizers: list[torch.optim.Optimizer] | torch.optim.Optimizer) -> None:
        # Built anew each time: stock PPO ignores a learning_rate that is set after construction or load.
        self._setup_lr_schedule()
        super()._update_learning_rate(optimizers)

    def train(self) -> None:
        """One PPO update from the rollout buffer, logged like stable-baselines3's."""
        self._update_learning_rate(self.policy.optimizer)
        coefficients = self._coefficients()
        with _THREADS.limit(limits=1):
            epochs = self._run_epochs(coefficients)
        self._log_update(epochs, coefficients)

    def _coefficients(self) -> _Coefficients:
        progress = self._current_progress_remaining
        clip_range_vf = np.inf if self.clip_range_vf is None else FloatSchedule(self.clip_range_vf)(progress)
        return _Coefficients(FloatSchedule(self.clip_range)(progress), clip_range_vf, self.ent_coef, self.vf_coef)

    def _run_epochs(self, coefficients: _Coefficients) -> list[list[_Losses]]:
        buffer = self.rollout_buffer
        if not buffer.generator_ready:
            for name in _ROLLOUT_COLUMNS:
                setattr(buffer, name, buffer.swap_and_flatten(getattr(buffer, name)))
            buffer.generator_ready = True
        epochs: list[list[_Losses]] = []
        for _ in range(self.n_epochs):
            epochs.append([])
            # A generator inside all(): the first minibatch beyond the target KL ends the epoch at once.
            within_kl = all(self._minibatch_step(rows, coefficients, epochs[-1]) for rows in self._minibatches(buffer))
            self._n_updates += 1
            if not within_kl:
                break
        return epochs

    def _minibatches(self, buffer: RolloutBuffer) -> Iterator[npt.NDArray[np.int64]]:
        indices = self._random.permutation(buffer.buffer_size * buffer.n_envs)
        for start in range(0, len(indices), self.batch_size):
            yield indices[start : start + self.batch_size]

    def _minibatch_step(self, rows: npt.NDArray[np.int64], coefficients: _Coefficients, done: list[_Losses]) -> bool:
        """Gradient and Adam step on these rows; False, without the step, where the target KL is exceeded."""
        losses = self._write_gradients(rows, coefficients)
        done.append(losses)
        # The factor 1.5 is stable-baselines3's.
        if self.target_kl is not None and losses.approx_kl > 1.5 * self.target_kl:
            return False
        adam = self.policy.optimizer.param_groups[0]
        norm = self._parameters.clipped_adam(adam["lr"], adam["betas"], adam["eps"], self.max_grad_norm)
        if not np.isfinite(norm):
            raise DivergenceError(f"epoch {self._n_updates + 1}: loss {losses.loss}, gradient norm {norm}")
        return True

    @np.errstate(all="ignore")  # what is not finite is raised by the caller
    def _write_gradients(self, rows: npt.NDArray[np.int64], coefficients: _Coefficients) -> _Losses:
        buffer = self.rollout_buffer
        inputs = self._batch[: len(rows)]
        # The rows are in range; numpy would check with a copy in between, which this mode leaves out.
        np.take(buffer.observations, rows, axis=0, out=inputs, mode="clip")
        logits = self._actor.forward(inputs)
        self.mask_logits(inputs, logits)
        values = self._critic.forward(inputs)
        advantages = buffer.advantages[rows, 0]
        if self.normalize_advantage and len(rows) > 1:
            # torch's deviation divides by n - 1, numpy's by n unless told.
            advantages = (advantages - advantages.mean()) / (advantages.std(ddof=1) + np.float32(1e-8))
        old = (buffer.log_probs[rows, 0], buffer.values[rows, 0], buffer.returns[rows, 0])
        losses = ppo_losses(logits, values, buffer.actions[rows, 0], advantages, *old, *coefficients)
        # The kernel has turned logits and values into the loss's derivatives by them.
        self._actor.backward(inputs, logits)
        self._critic.backward(inputs, values)
        return _Losses(*losses)

    def _log_update(self, epochs: list[list[_Losses]], coefficients: _Coefficients) -> None:
        everything = np.array([losses for epoch in epochs for losses in epoch])
        means = _Losses(*everything.mean(axis=0))._asdict()
        # As stable-baselines3 logs them: the KL of the last epoch, the loss of the last minibatch.
        means["approx_kl"] = float(np.mean([losses.approx_kl for losses in epochs[-1]]))
        means["loss"] = epochs[-1][-1].loss
        for name, value in means.items():
            self.logger.record(f"train/{name}", value)
        buffer = self.rollout_buffer
        explained = explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        self.logger.record("train/explained_variance", explained)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", coefficients.clip_range)
        if self.clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", coefficients.clip_range_vf)

    # Files and checkpoints

    def _excluded_save_params(self) -> list[str]:
        # All of these are made anew from weights and settings; of the generator a plain state is saved.
        own = ["_random", "_parameters", "_batch", "_actor", "_critic", "_seen", "_rollout_towers"]
        return [*super()._excluded_save_params(), *own]

    def save(
        self,
        path: str | Path | BytesIO,  # type: ignore[override]  # stock asks for a buffer class of the io module
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
    ) -> None:
        """A zip that plain `stable_baselines3.PPO.load` opens; it holds the Adam state and the generator's state."""
        self.random_state = self._random.bit_generator.state
        try:
            super().save(path, exclude, include)
        finally:
            del self.random_state

    def set_parameters(
        self, load_path_or_dict: str | TensorDict, exact_match: bool = True, device: torch.device | str = "auto"
    ) -> None:
        """Weights and Adam state from a zip (nothing in it is unpickled) or from `get_parameters()`."""
        super().set_parameters(load_path_or_dict, exact_match, device)
        # Loading replaced the optimiser's tensors, so that torch and the flat vectors would go apart.
        self._parameters.link_optimizer(self.policy.optimizer)

    def checkpoint(self) -> Checkpoint:
        """Copies of all that continuing bit for bit needs, besides the hyperparameters and the environment's state.

        `weights/NAME`, `adam_m/NAME`, `adam_v/NAME` per parameter; `adam_step`; `random_state` uint64 [6];
        `num_timesteps`, `n_updates`, `progress_remaining`; and once training has begun `last_observations`
        [environments, width] and `episode_starts` [environments].
        """
        saved: Checkpoint = {
            f"{kind}/{name}": view.copy()
            for kind, vector in self._vectors().items()
            for name, view in self._parameters.views(vector).items()
        }
        saved |= {"adam_step": self._parameters.adam_step, "random_state": pack_generator(self._random)}
        saved |= {"num_timesteps": self.num_timesteps, "n_updates": self._n_updates}
        saved["progress_remaining"] = self._current_progress_remaining
        if self._last_obs is not None and self._last_episode_starts is not None:
            saved["last_observations"] = np.array(self._last_obs)
            saved["episode_starts"] = np.array(self._last_episode_starts)
        return saved

    def restore(self, saved: Mapping[str, npt.NDArray[Any] | int | float]) -> None:
        """Continue where `checkpoint()` was taken; the same environment state and hyperparameters are the caller's.

        UserError where the checkpoint is of another network.
        """
        self.adopt(saved)
        self._random = unpack_generator(np.asarray(saved["random_state"]))
        self.num_timesteps, self._n_updates = int(saved["num_timesteps"]), int(saved["n_updates"])
        self._current_progress_remaining = float(saved["progress_remaining"])
        self._last_obs, self._last_episode_starts = None, None
        if "last_observations" in saved:
            self._last_obs = np.array(saved["last_observations"])
            self._last_episode_starts = np.array(saved["episode_starts"])

    def adopt(self, saved: Mapping[str, npt.NDArray[Any] | int | float]) -> None:
        """Take over weights and Adam state of another agent's checkpoint, and nothing else."""
        # All names are checked before the first is written: no agent is ever half another one.
        for kind, vector in self._vectors().items():
            for name, view in self._parameters.views(vector).items():
                source = saved.get(f"{kind}/{name}")
                if source is None or np.shape(source) != view.shape:
                    found = "nothing" if source is None else f"shape {np.shape(source)}"
                    raise UserError(f"checkpoint of another network: {kind}/{name} is {found}, not {view.shape}")
        for kind, vector in self._vectors().items():
            for name, view in self._parameters.views(vector).items():
                view[...] = saved[f"{kind}/{name}"]
        self._parameters.adam_step = int(saved["adam_step"])

    def _vectors(self) -> dict[str, Array]:
        flat = self._parameters
        return {"weights": flat.weights, "adam_m": flat.adam_m, "adam_v": flat.adam_v}


def _require_supported(agent: FlatPPO) -> None:
    policy, space = agent.policy, agent.observation_space
    demands = {
        "policy must be MlpPolicy": type(policy) is ActorCriticPolicy,
        "device must be cpu": agent.device.type == "cpu",
        "actions must be Discrete, counted from 0": isinstance(agent.action_space, spaces.Discrete)
        and agent.action_space.start == 0,
        "observations must be float32 vectors": isinstance(space, spaces.Box)
        and space.dtype == np.float32
        and len(space.shape) == 1,
        "activation_fn must be Tanh": getattr(policy, "activation_fn", None) is nn.Tanh,
        "the optimizer must be plain Adam": _is_plain_adam(policy.optimizer),
        "use_sde must be False": not agent.use_sde,
        "rollout_buffer_class must be RolloutBuffer": type(agent.rollout_buffer) is RolloutBuffer,
    }
    for demand, met in demands.items():
        if not met:
            raise SettingsError(f"FlatPPO: {demand}; train with stable_baselines3.PPO instead")


def _is_plain_adam(optimizer: torch.optim.Optimizer) -> bool:
    group = optimizer.param_groups[0]
    changes = any(group.get(option) for option in ("weight_decay", "amsgrad", "maximize"))
    return type(optimizer) is torch.optim.Adam and not changes
