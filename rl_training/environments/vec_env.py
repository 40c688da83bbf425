"""Many portfolios as one stable-baselines3 ``VecEnv``, stepped together by one compiled call."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from engine.accounting.records import Records
from engine.errors import UserError
from engine.market.data import Ints
from engine.observation.encoding import Float32s, ObservationSpec
from rl_training.environments.episodes import Episodes, StateArrays, TrainingMarket
from rl_training.environments.stepping import Flags
from rl_training.random_state import pack_generator, unpack_generator
from rl_training.settings import EpisodeSettings, RewardSettings

Step = tuple[Float32s, Float32s, Flags, list[dict[str, Any]]]


class PortfolioVecEnv(VecEnv):
    """Portfolios that are stepped together, whatever markets they are in: what learners and checkpoints ask of them."""

    spec: ObservationSpec
    """What every portfolio is shown, whatever the phase of its clock."""

    @abstractmethod
    def action_masks(self) -> Flags:
        """Which actions would not be refused for want of an opportunity, slot or position, ``[B, actions]``."""

    @abstractmethod
    def records(self, b: int) -> Records:
        """Records of portfolio b's episode; after an automatic reset, until the next step, of the finished one."""

    @abstractmethod
    def state(self) -> StateArrays:
        """Books, windows and generators as arrays, for ``restore``."""

    @abstractmethod
    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Continue where ``state()`` was taken. Raises ``UserError`` when it is of other environments."""

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The same attribute for every portfolio."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:  # noqa: ARG002  # refused
        """Refused: portfolios have no attributes of their own."""
        raise UserError(f"{attr_name} cannot be set; make another environment")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """``action_masks``, per portfolio; there is no other."""
        if method_name != "action_masks" or method_args or method_kwargs:
            raise AttributeError(f"the environments have no method {method_name} with such arguments")
        masks = self.action_masks()
        return [masks[b] for b in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002  # by nothing
        """No portfolio is wrapped."""
        return [False for _ in self._get_indices(indices)]


class FundingVecEnv(PortfolioVecEnv):
    """B portfolios on random windows of a market.

    Episodes are cut at their length (``TimeLimit.truncated``, to be bootstrapped) or closed there like a backtest
    with ``episode.close_at_end`` (then they terminate). ``reset`` takes the windows from ``set_options``
    (``first`` and ``last`` rows) if any are set; every other window is drawn from the generator.
    ``recording_hours`` above 0 keeps records for ``records(b)``. The arrays that a step returns are new ones; of the
    infos only those of finished episodes are.
    """

    def __init__(
        self,
        market: TrainingMarket,
        portfolios: int,
        rng: np.random.Generator,
        *,
        episode: EpisodeSettings = EpisodeSettings(),  # noqa: B008  # frozen
        reward: RewardSettings = RewardSettings(),  # noqa: B008  # frozen
        recording_hours: int = 0,
    ) -> None:
        self.render_mode = None
        self.episodes = Episodes(market, portfolios, episode, reward, recording_hours=recording_hours)
        self._rng = rng
        self._size, self.spec = market.spec.size, market.spec
        self._infos: list[dict[str, Any]] = [{} for _ in range(portfolios)]
        self._actions: Any = None
        super().__init__(portfolios, market.observation_space(), market.action_space())

    def reset(self) -> Float32s:
        """Begin an episode in every portfolio; observations ``[B, size]``."""
        # stable-baselines3 sets one seed for each environment; here all share one generator, seeded by all of them.
        if self._seeds[0] is not None:
            self._rng = np.random.default_rng([seed for seed in self._seeds if seed is not None])
        observations = np.empty((self.num_envs, self._size), np.float32)
        self.episodes.start(*self._windows(), np.arange(self.num_envs), observations)
        self._reset_seeds()
        self._reset_options()
        return observations

    def _windows(self) -> tuple[Ints, Ints]:
        if any(self._options):
            windows = np.array([self.episodes.market.window(options) for options in self._options])
            return np.ascontiguousarray(windows[:, 0]), np.ascontiguousarray(windows[:, 1])
        return self.episodes.market.draw(self._rng, self.episodes.length_hours, self.num_envs)

    def step_async(self, actions: Any) -> None:
        """Keep the actions ``[B]`` for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> Step:
        """Observations, rewards, dones and infos after the actions; finished episodes have begun anew."""
        count = self.num_envs
        observations = np.empty((count, self._size), np.float32)
        rewards, dones = np.empty(count, np.float32), np.empty(count, np.bool_)
        if self.episodes.step(self._actions, observations, rewards, dones):
            return observations, rewards, dones, self._begin_anew(observations, dones)
        return observations, rewards, dones, self._infos

    def _begin_anew(self, observations: Float32s, dones: Flags) -> list[dict[str, Any]]:
        """Infos of finished episodes; their rows of ``observations`` become the first of the next episode."""
        which = np.flatnonzero(dones)
        episodes, portfolios = self.episodes, self.episodes.loop.books.portfolios
        # A copy: the first observations of the next episodes are written over these rows below.
        ended = observations[which]
        columns = (portfolios["equity"], portfolios["refused"], episodes.buffers.returns, episodes.lengths)
        rows = zip(*(column[which].tolist() for column in columns), strict=True)
        # The empty dicts are shared by all steps; only the entries of finished episodes are replaced.
        infos = list(self._infos)
        for b, observation, (equity, refused, reward, length) in zip(which.tolist(), ended, rows, strict=True):
            infos[b] = {
                "terminal_observation": observation,
                # A cut episode would have gone on, so PPO adds the value of its last state; a closed one holds nothing.
                "TimeLimit.truncated": not episodes.close_at_end,
                "equity": equity,
                "invalid_actions": refused,
                "episode": {"r": reward, "l": length},
            }
        self.episodes.start_random(self._rng, which, observations)
        return infos

    def action_masks(self) -> Flags:
        return self.episodes.masks()

    def records(self, b: int) -> Records:
        return self.episodes.records(b)

    def state(self) -> StateArrays:
        return self.episodes.state() | {"generator": pack_generator(self._rng)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.episodes.restore(state)
        self._rng = unpack_generator(state["generator"])
