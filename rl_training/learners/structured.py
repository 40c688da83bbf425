"""A policy class of stable-baselines3 that sees candidates and slots as sets (docs/design.md section 6).

    PPO(StructuredPolicy, environment, policy_kwargs=structured_kwargs(spec))

trains, saves, loads and predicts in plain stable-baselines3. Every candidate goes through the same weights, and so does
every slot, so that what is learned of one place holds for all of them. ``strategies.structured`` has the same network
on plain arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

from engine.errors import SettingsError
from engine.observation.encoding import ObservationSpec
from strategies.structured import WIDTH

MASKED = -1e8
"""Logit of an action that the observation forbids: finite, or entropies would not be."""
FIRST_BIAS = -4.0
"""Of enter and exit: one that starts at 0 trades a quarter of the time, and learns only to stop."""
OUTPUT_GAIN = 0.01
CHUNK = 4096
"""Observations whose logits are taken at once, where there are many."""


class Layout(NamedTuple):
    """What an observation of version 2 consists of: how many values of what, slots and opportunities."""

    portfolio: int
    slot: int
    opportunity: int
    slots: int
    opportunities: int

    @classmethod
    def of(cls, spec: ObservationSpec) -> Layout:
        """Raises ``SettingsError`` for version 1, which shows no mask."""
        if spec.version == 1:
            raise SettingsError("the structured network needs observation.version=2")
        widths = spec.widths
        return cls(widths.portfolio, widths.slot, widths.opportunity, spec.positions, spec.opportunities)

    def parts(self, observations: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Context ``[B, values]``, slots ``[B, P, values]``, candidates ``[B, O, values]``, mask ``[B, actions]``."""
        first = self.portfolio + self.slots * self.slot
        mask = first + self.opportunities * self.opportunity
        return (
            observations[:, : self.portfolio],
            observations[:, self.portfolio : first].reshape(-1, self.slots, self.slot),
            observations[:, first:mask].reshape(-1, self.opportunities, self.opportunity),
            observations[:, mask:],
        )

    @property
    def actions(self) -> int:
        """Hold, enter 1..O, exit 1..P."""
        return 1 + self.opportunities + self.slots

    @property
    def size(self) -> int:
        """Length of the observation."""
        return self.portfolio + self.slots * self.slot + self.opportunities * self.opportunity + self.actions


def structured_kwargs(spec: ObservationSpec, **more: Any) -> dict[str, Any]:
    """``policy_kwargs`` of a ``StructuredPolicy``. Raises ``SettingsError`` for observations of version 1."""
    # Plain numbers: a zip keeps them as text.
    return {"layout": Layout.of(spec)._asdict(), **more}


class Encoders(nn.Module):
    """Embeddings of candidates and of slots, and what they say together."""

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.candidate = _encoder(layout.opportunity + layout.portfolio, width)
        self.slot = _encoder(layout.slot + layout.portfolio, width)
        self.pooled = layout.portfolio + 4 * width

    def forward(self, context: Tensor, slots: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings ``[B, O, width]`` and ``[B, P, width]``, and the pooled ``[B, pooled]``."""
        offered, held = (
            encoder(torch.cat([things, context.unsqueeze(1).expand(-1, things.shape[1], -1)], dim=2))
            for encoder, things in ((self.candidate, candidates), (self.slot, slots))
        )
        pooled = [context, offered.amax(dim=1), offered.mean(dim=1), held.sum(dim=1), held.amax(dim=1)]
        return offered, held, torch.cat(pooled, dim=1)


def _encoder(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())


class Scores(nn.Module):
    """One number for each of a set, from its embedding and the pooled values; where ``own`` is 0, from these alone."""

    def __init__(self, own: int, pooled: int, width: int) -> None:
        super().__init__()
        self.own = own
        self.hidden = nn.Linear(own + pooled, width)
        self.output = nn.Linear(width, 1)

    def forward(self, pooled: Tensor, embeddings: Tensor | None = None) -> Tensor:
        """``[B, K]``."""
        # The pooled part is the same for all of a set, so it is reckoned once: a third of the work.
        shared = nn.functional.linear(pooled, self.hidden.weight[:, self.own :], self.hidden.bias).unsqueeze(1)
        if embeddings is not None:
            shared = shared + nn.functional.linear(embeddings, self.hidden.weight[:, : self.own])
        scores: Tensor = self.output(torch.tanh(shared))
        return scores.squeeze(2)


class Actor(nn.Module):
    """Observations to one logit per action."""

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.encoders = Encoders(layout, width)
        self.enter, self.exit = (Scores(width, self.encoders.pooled, width) for _ in range(2))
        self.hold = Scores(0, self.encoders.pooled, width)

    @property
    def outputs(self) -> tuple[nn.Linear, nn.Linear, nn.Linear]:
        """Layers that end in the logits."""
        return self.enter.output, self.exit.output, self.hold.output

    def forward(self, context: Tensor, slots: Tensor, candidates: Tensor) -> Tensor:
        offered, held, pooled = self.encoders(context, slots, candidates)
        return torch.cat([self.hold(pooled), self.enter(pooled, offered), self.exit(pooled, held)], dim=1)


class Critic(nn.Module):
    """Observations to the last hidden layer of their value."""

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.encoders = Encoders(layout, width)
        self.hidden = nn.Sequential(nn.Linear(self.encoders.pooled, width), nn.Tanh())

    def forward(self, context: Tensor, slots: Tensor, candidates: Tensor) -> Tensor:
        hidden: Tensor = self.hidden(self.encoders(context, slots, candidates)[2])
        return hidden


def in_parts(logits: Callable[[Tensor], Tensor], observations: Tensor) -> Tensor:
    """Logits of many observations, so many at a time that memory is no matter, without gradients."""
    with torch.no_grad():
        parts = observations.split(CHUNK)  # type: ignore[no-untyped-call]  # torch's own
        return torch.cat([logits(part) for part in parts])


class StructuredExtractor(nn.Module):
    """What stable-baselines3 calls the extractor: here it gives masked logits, and the last layer of the value."""

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.layout = layout
        self.latent_dim_pi, self.latent_dim_vf = layout.actions, width
        self.actor, self.critic = Actor(layout, width), Critic(layout, width)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        return self.forward_actor(observations), self.forward_critic(observations)

    def forward_actor(self, observations: Tensor) -> Tensor:
        """Logits ``[B, actions]``, ``MASKED`` where the observation forbids the action; never so of hold."""
        return self.masked_logits(self.actor, observations)

    def masked_logits(self, actor: Actor, observations: Tensor) -> Tensor:
        """``forward_actor`` by any actor of this layout."""
        *parts, mask = self.layout.parts(observations)
        logits: Tensor = actor(*parts)
        forbidden = mask <= 0
        forbidden[:, 0] = False
        return logits.masked_fill(forbidden, MASKED)

    def forward_critic(self, observations: Tensor) -> Tensor:
        *parts, _ = self.layout.parts(observations)
        hidden: Tensor = self.critic(*parts)
        return hidden


class StructuredPolicy(ActorCriticPolicy):
    """Actor and critic over observations of version 2; ``layout`` is that of ``structured_kwargs``.

    Raises ``SettingsError`` where spaces and layout do not belong together.
    """

    def __init__(
        self, observation_space: Any, action_space: Any, lr_schedule: Any, *, layout: Mapping[str, int],
        width: int = WIDTH, **more: Any,
    ) -> None:  # fmt: skip
        self.layout, self.width = Layout(**layout), width
        size, actions = self.layout.size, self.layout.actions
        if not isinstance(action_space, spaces.Discrete) or action_space.n != actions:
            raise SettingsError(f"the structured network has {actions} actions, the environment {action_space}")
        if observation_space.shape != (size,):
            raise SettingsError(f"the structured network sees {size} values, the environment {observation_space.shape}")
        super().__init__(observation_space, action_space, lr_schedule, **more)

    @property
    def network(self) -> StructuredExtractor:
        """What stable-baselines3 calls ``mlp_extractor``, by its own class."""
        return cast("StructuredExtractor", self.mlp_extractor)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), "layout": self.layout._asdict(), "width": self.width}

    def _build(self, lr_schedule: Any) -> None:
        extractor = StructuredExtractor(self.layout, self.width)
        # stable-baselines3 names its own class, and asks no more of it than what is here.
        self.mlp_extractor = extractor  # type: ignore[assignment]
        self.action_net = nn.Identity()
        self.value_net = nn.Linear(self.width, 1)
        extractor.apply(partial(self.init_weights, gain=float(np.sqrt(2))))
        self.value_net.apply(partial(self.init_weights, gain=1))
        for layer in extractor.actor.outputs:
            self.init_weights(layer, OUTPUT_GAIN)
        for scores in (extractor.actor.enter, extractor.actor.exit):
            nn.init.constant_(scores.output.bias, FIRST_BIAS)
        adam: Any = self.optimizer_class
        self.optimizer = adam(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)
