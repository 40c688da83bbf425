"""Settings of training: typed, validated, frozen. Only pydantic is imported here, so that reading them is cheap."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.settings import MOST_HOURS, NotNegative, Positive, Settings

MOST_STEPS = 10**12
MOST_AT_ONCE = 10**7
"""Steps of a rollout or a batch: far beyond what fits into memory."""


class RewardSettings(Settings):
    """Reward of a step: equity change in % of initial capital times the scale, plus optional shaping.

    Its definition: docs/design.md section 6.
    """

    pnl_reward_scale: Positive = 3.0
    price_pnl: Literal["marked", "closed"] = "marked"
    """When price P&L counts: hour by hour at the marks, or at the hour at which a position is closed. Both add up to
    the same once everything is closed; the second leaves out how marks bounce in between."""
    quality_entry_bonus: NotNegative = 0.0
    quality_entry_penalty: NotNegative = 0.0
    invalid_action_penalty: NotNegative = 0.0


class EpisodeSettings(Settings):
    """Training episodes: random windows of the training range of this length, cut and bootstrapped at their end."""

    length_hours: Annotated[int, Field(ge=2, le=MOST_HOURS)] = 72
    close_at_end: bool = False


class PPOSettings(Settings):
    """PPO as stable-baselines3 names it. ``n_steps`` counts over all environments of an agent."""

    learning_rate: Positive = 3e-4
    n_steps: Annotated[int, Field(ge=2, le=MOST_AT_ONCE)] = 2048
    batch_size: Annotated[int, Field(ge=2, le=MOST_AT_ONCE)] = 256
    n_epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.99
    gae_lambda: Annotated[float, Field(ge=0, le=1)] = 0.95
    clip_range: Positive = 0.2
    ent_coef: NotNegative = 0.01
    vf_coef: NotNegative = 0.5
    max_grad_norm: Positive = 0.5
    net_arch: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = (256, 256, 128)


class ImitationSettings(Settings):
    """Learning from a rule: how many demonstrations, and how the network is fitted to them."""

    n_envs: Annotated[int, Field(ge=1, le=1024)] = 64
    decisions: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = 300
    episode_hours: Annotated[int, Field(ge=2, le=MOST_HOURS)] = 504
    random_share: Annotated[float, Field(ge=0, le=1)] = 0.02
    n_epochs: Annotated[int, Field(ge=1, le=10_000)] = 12
    batch_size: Annotated[int, Field(ge=2, le=MOST_AT_ONCE)] = 256
    learning_rate: Positive = 2e-3
    trade_weight: Positive = 3.0


class AnchorSettings(Settings):
    """PPO that begins as an imitation and is held near it (the learner ``anchored``)."""

    softening: Positive = 4.0
    """The logits of the imitation are divided by this first: they are so sharp that PPO could not move them."""
    kl_coef: NotNegative = 0.01
    """Of KL(imitation || policy), nats, in the loss."""
    value_updates: Annotated[int, Field(ge=0, le=10_000)] = 4
    """Updates at the beginning that fit the value alone."""
    target_kl: Positive | None = 0.02
    """An update ends early when the policy has moved 1.5 times this; null: never."""
    augmented_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """Of the environments, in worlds with an augmented market; null: as many as such worlds."""


class TrainingSettings(Settings):
    """One training run of one agent."""

    timesteps: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 500_000
    n_envs: Annotated[int, Field(ge=1, le=1024)] = 16
    episode: EpisodeSettings = EpisodeSettings()
    reward: RewardSettings = RewardSettings()
    ppo: PPOSettings = PPOSettings()
    imitation: ImitationSettings = ImitationSettings()
    anchor: AnchorSettings = AnchorSettings()
