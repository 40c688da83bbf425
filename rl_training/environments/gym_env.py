"""One portfolio as a gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from engine.accounting.records import Records
from engine.errors import UserError
from engine.observation.encoding import Float32s
from rl_training.environments.episodes import Episodes, TrainingMarket
from rl_training.environments.registration import register_environments
from rl_training.environments.stepping import Flags
from rl_training.settings import EpisodeSettings, RewardSettings

Info = dict[str, Any]


class FundingArbitrageEnv(gymnasium.Env[Float32s, np.int64]):
    """One portfolio on random windows of a market; observations and actions are those of docs/design.md section 6.

    ``reset(options={"first": row, "last": row})`` names the window. An episode is truncated at its length, or closed
    there like a backtest and terminated with ``episode.close_at_end``. An action that is refused does nothing; the
    info counts them. ``recording_hours`` above 0 keeps records for ``records()``.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  # gymnasium declares it as an instance variable

    def __init__(
        self,
        market: TrainingMarket,
        *,
        episode: EpisodeSettings = EpisodeSettings(),  # noqa: B008  # frozen
        reward: RewardSettings = RewardSettings(),  # noqa: B008  # frozen
        recording_hours: int = 0,
        render_mode: None = None,
    ) -> None:
        self.render_mode = render_mode
        self.observation_space: spaces.Space[Float32s] = market.observation_space()
        self.action_space = market.action_space()
        self.episodes = Episodes(market, 1, episode, reward, recording_hours=recording_hours)
        self._size = market.spec.size  # counted once: a step takes little longer than counting it
        self._only = np.zeros(1, np.int64)
        self._action = np.zeros(1, np.int64)
        # Over from the start: a step before the first reset is refused instead of playing a window that nobody set.
        self._reward, self._done = np.empty(1, np.float32), np.ones(1, np.bool_)
        # Views that stay valid: the books keep their arrays.
        self._equity = self.episodes.loop.books.portfolios["equity"]
        self._refused = self.episodes.loop.books.portfolios["refused"]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Float32s, Info]:
        """Begin an episode; ``options`` may name its rows ``first`` and ``last``."""
        super().reset(seed=seed)
        market = self.episodes.market
        if options:
            first, last = market.window(options)
            window = (np.array([first]), np.array([last]))
        else:
            window = market.draw(self.np_random, self.episodes.length_hours, 1)
        observation = np.empty((1, self._size), np.float32)
        self.episodes.start(*window, self._only, observation)
        self._done[0] = False
        return observation[0], {**self._info(), "first": int(window[0][0]), "last": int(window[1][0])}

    def step(self, action: Any) -> tuple[Float32s, float, bool, bool, Info]:
        """Carry out an action. Raises ``UserError`` when it does not exist or the episode is over."""
        if self._done[0]:
            raise UserError("the episode is over; call reset() before the next step")
        self._action[0] = action
        # A new array each time: the caller may still hold the one before, as a replay buffer does.
        observation = np.empty((1, self._size), np.float32)
        over = self.episodes.step(self._action, observation, self._reward, self._done) > 0
        closed = self.episodes.close_at_end
        return observation[0], float(self._reward[0]), over and closed, over and not closed, self._info()

    def _info(self) -> Info:
        return {"equity": float(self._equity[0]), "invalid_actions": int(self._refused[0])}

    def action_masks(self) -> Flags:
        """Which actions would not be refused for want of an opportunity, slot or position, ``[actions]``."""
        masks: Flags = self.episodes.masks()[0]
        return masks

    def records(self) -> Records:
        """What the episode has recorded so far."""
        return self.episodes.records(0)


register_environments()
