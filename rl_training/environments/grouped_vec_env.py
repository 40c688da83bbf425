"""Portfolios in several markets as one stable-baselines3 ``VecEnv``: a group of them in each market."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.accounting.records import Records
from engine.errors import UserError
from engine.observation.encoding import Float32s
from rl_training.environments.episodes import StateArrays, TrainingMarket
from rl_training.environments.stepping import Flags
from rl_training.environments.vec_env import FundingVecEnv, PortfolioVecEnv, Step
from rl_training.settings import EpisodeSettings, RewardSettings


class GroupedVecEnv(PortfolioVecEnv):
    """Groups of (market, portfolios), numbered one after the other; each lives as in a ``FundingVecEnv`` of its own.

    The first group draws from ``rng``, every other one from a generator spawned by it, so that one group alone is a
    ``FundingVecEnv`` bit for bit, and more groups change nothing in those before them. Raises ``UserError`` unless all
    markets are observed alike.
    """

    def __init__(
        self,
        groups: Sequence[tuple[TrainingMarket, int]],
        rng: np.random.Generator,
        *,
        episode: EpisodeSettings = EpisodeSettings(),  # noqa: B008  # frozen
        reward: RewardSettings = RewardSettings(),  # noqa: B008  # frozen
        recording_hours: int = 0,
    ) -> None:
        if not groups or min(count for _, count in groups) < 1:
            raise UserError("there is no market to put environments into, or one without any")
        # Layouts of equal size would step together without an error, on numbers that mean something else. At which
        # phase of the clock it is decided changes nothing of what is seen.
        if len({market.spec.at_phase(0).hash() for market, _ in groups}) > 1:
            raise UserError("the markets are of different observations; one policy cannot see them all")
        self.render_mode, self.spec = None, groups[0][0].spec
        self.groups = [
            FundingVecEnv(market, count, own, episode=episode, reward=reward, recording_hours=recording_hours)
            for (market, count), own in zip(groups, [rng, *rng.spawn(len(groups) - 1)], strict=True)
        ]
        ends = np.cumsum([0, *(count for _, count in groups)]).tolist()
        self._parts = [slice(start, stop) for start, stop in pairwise(ends)]
        self._actions: Any = None
        super().__init__(ends[-1], groups[0][0].observation_space(), groups[0][0].action_space())

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """One seed for each environment, counted up from ``seed``; the windows of a group follow from its own."""
        seeds = super().seed(seed)
        for group, part in zip(self.groups, self._parts, strict=True):
            group.seed(seeds[part.start])
        return seeds

    def reset(self) -> Float32s:
        """Begin an episode in every portfolio; observations ``[B, size]``."""
        for group, part in zip(self.groups, self._parts, strict=True):
            group.set_options(self._options[part])
        observations = np.concatenate([group.reset() for group in self.groups])
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: Any) -> None:
        """Keep the actions ``[B]`` for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> Step:
        """Observations, rewards, dones and infos after the actions; finished episodes have begun anew."""
        actions = self._checked(self._actions)
        steps = [group.step(actions[part]) for group, part in zip(self.groups, self._parts, strict=True)]
        observations, rewards, dones = (np.concatenate([step[k] for step in steps]) for k in range(3))
        return observations, rewards, dones, [info for step in steps for info in step[3]]

    def _checked(self, actions: Any) -> NDArray[np.int64]:
        """The actions as numbers. All are checked before a group is stepped: half a step cannot be taken back."""
        numbers = np.ascontiguousarray(actions, np.int64)
        if len(numbers) != self.num_envs:
            raise UserError(f"{len(numbers)} actions were given for {self.num_envs} environments")
        most = self.groups[0].episodes.market.spec.actions - 1
        if numbers.min() < 0 or numbers.max() > most:
            raise UserError(f"there is an action outside 0..{most} in {numbers.tolist()}")
        return numbers

    def action_masks(self) -> Flags:
        masks: Flags = np.concatenate([group.action_masks() for group in self.groups])
        return masks

    def records(self, b: int) -> Records:
        for group, part in zip(self.groups, self._parts, strict=True):
            if part.start <= b < part.stop:
                return group.records(b - part.start)
        raise UserError(f"there is no portfolio {b}; there are {self.num_envs}, counted from 0")

    def state(self) -> StateArrays:
        return {
            f"group_{k}/{name}": array for k, group in enumerate(self.groups) for name, array in group.state().items()
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        parts = [_of_group(state, k) for k in range(len(self.groups))]
        before = [group.state() for group in self.groups]
        if sum(map(len, parts)) != len(state):
            raise UserError("the saved state is of other environments: it has more groups than there are here")
        try:
            for group, part in zip(self.groups, parts, strict=True):
                group.restore(part)
        except UserError:
            # The groups before the one that does not fit have taken theirs.
            for group, part in zip(self.groups, before, strict=True):
                group.restore(part)
            raise


def _of_group(state: Mapping[str, NDArray[Any]], k: int) -> StateArrays:
    begin = f"group_{k}/"
    return {name[len(begin) :]: array for name, array in state.items() if name.startswith(begin)}
