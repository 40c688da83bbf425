"""Who decides: a rule or a trained model by name, a policy, a vote of several, or what knows the future.

A player is not a strategy but how to make one: each run gets a strategy that has not played yet. What knows the
future is made from the window that it is played on, plays in a world of its own, and is marked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from adapters.configuration.settings import ArbSettings
from adapters.configuration.strategy_registry import (
    PHASE,
    build_strategy,
    hours_between_decisions,
    load_strategy_class,
    needs_future,
    parse_parameters,
)
from adapters.storage.bundles import check_policy, deployed_models, read_model
from engine.errors import UserError
from engine.observation.view import Strategy
from engine.windows import Window
from engine.worlds import AnyWorld, World
from strategies.ensemble import Ensemble
from strategies.plugin import Context, Future, NoParameters, StrategyPlugin
from strategies.policy import Policy
from strategies.ppo import Ppo

NO_MARKS: Mapping[str, Any] = MappingProxyType({})
Seed = int | Sequence[int]


class Ready(NamedTuple):
    """A strategy that has not played, the world it plays in, and ``marks`` for manifests (none: it is honest)."""

    strategy: Strategy
    world: AnyWorld
    marks: Mapping[str, Any] = NO_MARKS


@dataclass(frozen=True, eq=False)
class Player:
    """A name, and how to make the player ready for a world and rows of it.

    Looks at a window are counted beside ``model`` (rules have none), in a run of several agents by ``look_name``.
    ``phases`` are the same rule at every phase of its clock, none where it has no clock.
    """

    name: str
    make: Callable[[AnyWorld, Window], Ready]
    knows_future: bool = False
    model: Path | None = None
    look_name: str | None = None
    phases: Mapping[int, Player] = field(default_factory=dict)


def make_player(
    name: str, parameters: Mapping[str, Any], *, seed: Seed = 0, policies: Sequence[Policy] = (),
    may_know_future: bool = False,
) -> Player:  # fmt: skip
    """A strategy by name, with the same random numbers whenever it is made.

    A mistake in the name or the parameters is told now, before anything is played. Raises ``UserError`` like
    ``build_strategy``, also for what knows the future where that may not play.
    """
    strategy_class = load_strategy_class(name)

    def context(future: Future | None = None) -> Context:
        return Context(np.random.default_rng(seed), tuple(policies), future)

    if may_know_future and needs_future(strategy_class):
        # The strategy itself needs a window's future to be made; its parameters can be checked before.
        parse_parameters(name, strategy_class, parameters)
        return Player(
            name,
            lambda world, window: _foreknowing(
                build_strategy(name, parameters, context(Future(world.tape, window.first, window.last))), world
            ),
            knows_future=True,
        )

    def at(values: Mapping[str, Any], own: Sequence[Policy] = policies) -> Callable[[AnyWorld, Window], Ready]:
        def built() -> StrategyPlugin:
            return build_strategy(name, values, Context(np.random.default_rng(seed), tuple(own)))

        built()
        return lambda world, _: Ready(built(), world)

    if strategy_class.policies:
        return Player(name, at(parameters), phases=_phases_of_policies(name, policies, partial(at, parameters)))
    every = hours_between_decisions(parse_parameters(name, strategy_class, parameters))
    phases = {phase: Player(name, at({**parameters, PHASE: phase})) for phase in range(every)}
    return Player(name, at(parameters), phases=phases)


def _phases_of_policies(
    name: str, policies: Sequence[Policy], at: Callable[[Sequence[Policy]], Callable[[AnyWorld, Window], Ready]]
) -> dict[int, Player]:
    """Of policies that decide at some hours only, all at the same ones; none where they decide every hour."""
    every = {policy.spec.decide_every_hours for policy in policies}
    if len(every) != 1 or every == {1}:
        return {}
    return {phase: Player(name, at([policy.at_phase(phase) for policy in policies])) for phase in range(every.pop())}


def _foreknowing(strategy: Any, world: AnyWorld) -> Ready:
    # The plan holds for a fixed size without stop-loss; under the world's own rules it would be another run.
    rules = {key: getattr(strategy.tape.settings, key) for key in ("position_size_usd", "max_position_loss_pct")}
    own = World(strategy.tape, world.settings.model_copy(update=rules), world.tables)
    plan = strategy.plan
    marks = {"knows_future": True, "persistent": plan.persistent, "bound_usd": plan.bound_usd}
    # With several slots it is never exact, and that is known.
    if own.settings.max_positions == 1 and not plan.is_exact:
        marks["is_exact"] = False
    return Ready(strategy, own, marks)


def policy_player(
    policy: Policy, *, name: str | None = None, model: Path | None = None, look_name: str | None = None
) -> Player:
    """A policy that decides alone."""

    def deciding(one: Policy) -> Callable[[AnyWorld, Window], Ready]:
        return lambda world, _: Ready(Ppo(NoParameters(), Context(np.random.default_rng(0), (one,))), world)

    called = policy.name if name is None else name
    phases = _phases_of_policies(called, [policy], lambda own: deciding(own[0]))
    return Player(called, deciding(policy), model=model, look_name=look_name, phases=phases)


def voting_player(
    policies: Sequence[Policy], name: str, *, model: Path | None = None, look_name: str | None = None
) -> Player:
    """The majority vote of policies."""

    def make(world: AnyWorld, _: Window) -> Ready:
        return Ready(Ensemble(NoParameters(), Context(np.random.default_rng(0), tuple(policies))), world)

    return Player(name, make, model=model, look_name=look_name)


def players_named(
    names: Sequence[str], settings: ArbSettings, seed: int, policies: Sequence[Policy], *, may_know_future: bool = False
) -> list[Player]:
    """The strategies of a command, each with the parameters in force and random numbers of its own."""
    return [
        # A stream for each place: two random strategies in one command would otherwise decide alike.
        make_player(
            name, settings.strategies.get(name, {}), seed=[seed, place], policies=policies,
            may_know_future=may_know_future,
        )
        for place, name in enumerate(names)
    ]  # fmt: skip


class Models(NamedTuple):
    """Trained models that fit a run, where they lie, and the run's settings with their slots (``with_slots_of``)."""

    settings: ArbSettings
    policies: tuple[Policy, ...]
    paths: tuple[Path, ...]


def models_for(
    names: Sequence[str], settings: ArbSettings, models: Sequence[Path], *, allow_other_costs: bool
) -> Models:
    """The trained models that strategies need; without ``models`` those that are shipped.

    Raises ``UserError`` for models that none of the strategies plays, ``BundleError`` like ``load_policy``.
    """
    needed = any(load_strategy_class(name).policies for name in names)
    if models and not needed:
        raise UserError("--model is given, but none of the strategies plays a trained model")
    paths = tuple(models or deployed_models()) if needed else ()
    return fitting(paths, settings, allow_other_costs=allow_other_costs)


def fitting(paths: Sequence[Path], settings: ArbSettings, *, allow_other_costs: bool) -> Models:
    """Trained models by where they lie. Raises ``BundleError`` like ``load_policy``."""
    policies = tuple(read_model(path).policy for path in paths)
    settings = with_slots_of(settings, policies)
    for path, policy in zip(paths, policies, strict=True):
        check_policy(policy, settings, path, allow_other_costs=allow_other_costs)
    return Models(settings, policies, tuple(paths))


def with_slots_of(settings: ArbSettings, policies: Sequence[Policy]) -> ArbSettings:
    """The settings with as many slots as the first policy has, unless they state a number themselves.

    A policy cannot play with another number, and who plays beside it is to have the same.
    """
    if not policies or "max_positions" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"max_positions": policies[0].spec.positions})
