"""How many rollouts an agent runs in each iteration, so that the total is right to one rollout."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import SettingsError
from rl_training.pbt.settings import PBTSettings
from rl_training.settings import TrainingSettings


@dataclass(frozen=True)
class Schedule:
    """``timesteps`` of an agent in steps of ``interval``, in whole rollouts of ``rollout_steps``.

    What an interval leaves over of a rollout is carried into the next one.
    """

    timesteps: int
    interval: int
    rollout_steps: int

    @property
    def iterations(self) -> int:
        return -(-self.timesteps // self.interval)

    def rollouts_until(self, iteration: int) -> int:
        """Rollouts of an agent up to the end of an iteration, counted from 1."""
        # From the running total: rounding each interval down would lose up to a rollout every time.
        return min(iteration * self.interval, self.timesteps) // self.rollout_steps

    def rollouts(self, iteration: int) -> int:
        """Rollouts of one iteration."""
        return self.rollouts_until(iteration) - self.rollouts_until(iteration - 1)

    def steps(self, iteration: int) -> int:
        """Environment steps that an agent really makes in one iteration."""
        return self.rollouts(iteration) * self.rollout_steps

    def steps_until(self, iteration: int) -> int:
        """Environment steps that an agent has really made by the end of an iteration."""
        return self.rollouts_until(iteration) * self.rollout_steps


def schedule_of(training: TrainingSettings, pbt: PBTSettings) -> Schedule:
    """Raises ``SettingsError`` when an interval is shorter than a rollout."""
    schedule = Schedule(training.timesteps, pbt.perturbation_interval, training.ppo.n_steps)
    if min(schedule.interval, schedule.timesteps) < schedule.rollout_steps:
        raise SettingsError(
            f"pbt.perturbation_interval {schedule.interval} and training.timesteps {schedule.timesteps} must reach "
            f"one rollout, training.ppo.n_steps {schedule.rollout_steps}"
        )
    return schedule
