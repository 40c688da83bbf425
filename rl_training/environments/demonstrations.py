"""What a rule would do, as a policy would have to say it: observations and the teacher's action in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from engine.market.data import Floats, Ints
from engine.observation.actions import FIRST_ENTRY, HOLD
from engine.observation.answers import ask
from engine.observation.encoding import Float32s
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Enter, Exit, Order, Strategy, View
from rl_training.environments.episodes import Episodes, TrainingMarket
from rl_training.settings import EpisodeSettings, RewardSettings


class Demonstrations(NamedTuple):
    """N decisions of a teacher. ``unshown`` are those whose trades the observation had no place for: they are holds."""

    observations: Float32s  # [N, size]
    actions: Ints  # [N]
    unshown: int

    @classmethod
    def joined(cls, parts: Sequence[Demonstrations]) -> Demonstrations:
        """All of them, in their order."""
        observations, actions, unshown = zip(*parts, strict=True)
        return cls(np.concatenate(observations), np.concatenate(actions), sum(unshown))


def single_action(orders: Sequence[Order], visible: Ints, mask: Any) -> int:
    """The one action that stands for a rule's orders: the first exit, else the first entry that is shown, else hold.

    The rest comes at the next decision, when the rule is asked anew: exits before entries, and of the entries the best
    one, which rules give first. ``visible`` ``[O]`` are the pairs shown, ``mask`` ``[1 + O + P]`` what is allowed.
    """
    exits = [FIRST_ENTRY + len(visible) + order.slot for order in orders if isinstance(order, Exit)]
    shown = {int(pair): FIRST_ENTRY + place for place, pair in enumerate(visible) if pair >= 0}
    entries = [shown[order.pair] for order in orders if isinstance(order, Enter) and order.pair in shown]
    return next((action for action in (*exits, *entries) if mask[action]), HOLD)


def at_phase(market: TrainingMarket, phase: int) -> TrainingMarket:
    """The same hours decided at another phase of the clock; what is shown at an hour does not depend on it.

    Raises ``SettingsError`` for a phase that the clock does not have.
    """
    return replace(market, spec=market.spec.at_phase(phase))


def demonstrations(
    teacher: Strategy,
    builder: OpportunityBuilder,
    market: TrainingMarket,
    rng: np.random.Generator,
    *,
    portfolios: int,
    decisions: int,
    episode_hours: int,
    random_share: float = 0.02,
) -> Demonstrations:
    """``portfolios x decisions`` decisions of a teacher in random windows of a market, which ``builder`` is made of.

    What is carried out is the teacher's action or, with probability ``random_share``, any entry that is allowed (or
    none), so that states beside the teacher's path are seen; what is kept is always the teacher's. A teacher that
    decides at some hours only must have the clock of the observation: else it holds.
    """
    episodes = Episodes(market, portfolios, EpisodeSettings(length_hours=episode_hours), RewardSettings())
    hours, everyone = _Remembered(builder), np.arange(portfolios)
    seen = np.empty((decisions, portfolios, market.spec.size), np.float32)
    labels = np.empty((decisions, portfolios), np.int64)
    now, unshown = np.empty((portfolios, market.spec.size), np.float32), 0
    rewards, dones = np.empty(portfolios, np.float32), np.zeros(portfolios, np.bool_)
    episodes.start_random(rng, everyone, now)
    for decision in range(decisions):
        masks, seen[decision] = episodes.masks(), now
        for b in range(portfolios):
            orders = ask(teacher, View(episodes.loop, hours, b))
            labels[decision, b] = action = single_action(orders, episodes.buffers.visible[b], masks[b])
            unshown += bool(orders) and action == HOLD
        # Entries alone: what is held then is not what the teacher would hold, and it has to say when to leave it. After
        # an exit of its own accord it would stand where it stands most of the time anyway.
        drawn = (rng.random(masks.shape) * masks)[:, : FIRST_ENTRY + market.spec.opportunities].argmax(axis=1)
        carried_out = np.where(rng.random(portfolios) < random_share, drawn, labels[decision])
        if episodes.step(carried_out, now, rewards, dones):
            episodes.start_random(rng, np.flatnonzero(dones), now)
    return Demonstrations(seen.reshape(-1, market.spec.size), labels.reshape(-1), unshown)


class _Remembered(OpportunityBuilder):
    """A builder that makes each hour once: many portfolios come by the same ones."""

    def __init__(self, builder: OpportunityBuilder) -> None:
        super().__init__(builder.tape, builder.tables)
        self._hours: dict[int, tuple[Floats, Any]] = {}
        self._requests: dict[int, Floats] = {}

    def at(self, t: int) -> tuple[Floats, Any]:
        if t not in self._hours:
            self._hours[t] = super().at(t)
        return self._hours[t]

    def on_request(self, t: int) -> Floats:
        if t not in self._requests:
            self._requests[t] = super().on_request(t)
        return self._requests[t]
