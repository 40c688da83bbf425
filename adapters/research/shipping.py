"""``arb deploy`` from what was asked: the best of a population, or the policy of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from adapters.configuration.settings import load_settings
from adapters.research.card_facts import CardFacts
from adapters.research.contestants import best_of, ranking
from adapters.research.deployment import deploy, previous_of, roll_back
from adapters.research.policy.card_facts import PolicyFacts
from adapters.research.policy.shipping import is_made, ship
from engine.errors import UserError


@dataclass(frozen=True)
class ShippingRequest:
    """The options of ``arb deploy``; what is None was not given."""

    run: Path
    agent: int | None
    ensemble: int | None
    config: Path | None
    tried: Sequence[Path]
    look: tuple[datetime, datetime] | None = None


def shipped(
    asked: ShippingRequest, to: Path, card_of: Callable[[CardFacts], str],
    texts_of: Callable[[PolicyFacts], Mapping[str, str]],
) -> str:  # fmt: skip
    """Ship and return the card. Raises ``UserError`` for options that the run does not have."""
    run = asked.run
    rules = None if asked.config is None else load_settings(asked.config)
    if is_made(run):
        if asked.agent is not None or asked.ensemble is not None:
            raise UserError("a run of `arb make-policy` has one policy; leave out --agent and --ensemble")
        return ship(run, to, texts_of, rules or load_settings(), asked.tried, asked.look)
    if asked.tried or asked.look:
        raise UserError("--trials and --look-from are for runs of `arb make-policy`")
    order = ranking(run)
    best = order[0] if asked.agent is None else asked.agent
    agents = [best] if asked.ensemble is None else best_of(order, asked.ensemble, run)
    return deploy(run, agents, to, card_of, rules=rules)


def rolled_back(to: Path) -> str:
    """Ship again what was shipped before; what to tell. Raises what ``roll_back`` raises."""
    roll_back(to)
    return f"{to} holds what was shipped before; what stood there is in {previous_of(to)}"
