"""Why a trained policy decided as it did at an hour: what it saw, its logits, and what every pair was worth.

The policy plays from a first hour on, so that it has at the hour the positions that it would have had. Nothing is
computed twice: observation, mask, logits and lower bound come from the functions that the run itself uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.research.players import Player, Ready, policy_player
from adapters.research.playing import Progress, play
from engine.market.data import Ints
from engine.observation.clock import clock_of
from engine.observation.encoding import Float32s
from engine.observation.readable import Observed, Shown, read_observation
from engine.observation.view import Order, Position, Strategy, View
from engine.windows import Window, time_of
from engine.worlds import AnyWorld
from strategies.policy import Policy, allowed_logits, best_action, logits, probabilities
from strategies.week import Values, WeekParameters, week_values

MINUTES = "%Y-%m-%dT%H:%MZ"
FREE, PENDING, OPEN = "free", "pending", "open"


@dataclass(frozen=True)
class PairWorth:
    """A pair by the rule ``week`` with the parameters in force; bps of a leg, net funding a day; nan where unknown.

    ``lower_bound_bps`` is V, what a week promises less caution; ``margin_bps`` is V less so many round trips as must be
    paid to enter.
    """

    symbol: str
    long_exchange: str
    short_exchange: str
    net_funding_24h_bps: float
    net_funding_168h_bps: float
    round_trip_bps: float
    lower_bound_bps: float
    margin_bps: float

    @property
    def words(self) -> str:
        """The pair for people."""
        return f"{self.symbol.removesuffix('USDT')} long {self.long_exchange}, short {self.short_exchange}"


@dataclass(frozen=True)
class Candidate:
    """A pair that was shown, by its place from 1, with what the policy saw of it."""

    place: int
    pair: PairWorth
    values: tuple[Shown, ...]


@dataclass(frozen=True)
class Slot:
    """A slot from 1, ``free``, ``pending`` or ``open``; what belongs to a position is None where there is none.

    P&L and funding so far in basis points of a leg.
    """

    slot: int
    state: str
    pair: PairWorth | None = None
    hours_held: int | None = None
    notional_usd: float | None = None
    pnl_bps: float | None = None
    funding_bps: float | None = None
    leaving: bool | None = None
    values: tuple[Shown, ...] = ()


@dataclass(frozen=True)
class Action:
    """An action in words; ``logit`` as the network gave it, for a committee the mean.

    ``possible``: it would not be refused at once. ``allowed``: the policy could choose it, which with observations of
    version 1, that show no mask, is so of every action. ``probability`` is over the allowed ones.
    """

    action: int
    words: str
    possible: bool
    allowed: bool
    logit: float
    probability: float
    chosen: bool


@dataclass(frozen=True)
class Decision:
    """A policy at an hour; times as text. ``enter_margin``: how many round trips ``margin_bps`` takes off."""

    model: str
    kind: str
    members: int
    observation_version: int
    clock: str
    played_from: str
    at: str
    capital_usd: float
    equity_usd: float
    free_slots: int
    portfolio: tuple[Shown, ...]
    slots: tuple[Slot, ...]
    candidates: tuple[Candidate, ...]
    actions: tuple[Action, ...]
    enter_margin: float

    @property
    def chosen(self) -> Action:
        """What it did."""
        return next(one for one in self.actions if one.chosen)


class _Watched:
    """A strategy whose view is looked at when it has answered at an hour."""

    def __init__(self, strategy: Strategy, hour: int, look: Callable[[View], None]) -> None:
        self._strategy, self._hour, self._look = strategy, hour, look
        self.decision_clock = clock_of(strategy)

    def decide(self, view: View) -> Sequence[Order]:
        orders = self._strategy.decide(view)
        if view.hour == self._hour:
            self._look(view)
        return orders


def explained(
    policy: Policy, world: AnyWorld, window: Window, week: WeekParameters, *, progress: Progress = lambda _: None
) -> Decision:
    """What a policy decides at the last hour but one of rows ``window``, an hour of its clock, after playing from the
    first one.

    Raises ``UserError`` like ``View.observe``, and ``NotFiniteError`` like ``best_action``.
    """
    found: list[Decision] = []
    row = window.last - 1
    start = f"{time_of(int(world.tape.market.hours[window.first])):{MINUTES}}"
    alone = policy_player(policy)

    def look(view: View) -> None:
        found.append(_decision(policy, world, row, view, start, week))

    def make(where: AnyWorld, rows: Window) -> Ready:
        ready = alone.make(where, rows)
        return ready._replace(strategy=_Watched(ready.strategy, int(where.tape.market.hours[row]), look))

    # At the last hour of a window nothing is decided, so one more is played.
    play(Player(alone.name, make), world, window, progress=progress)
    return found[0]


def _decision(policy: Policy, world: AnyWorld, row: int, view: View, start: str, week: WeekParameters) -> Decision:
    encoding = policy.encoding
    observation, visible = view.observe(encoding, policy.spec)
    open_ones = {one.slot: one for one in view.positions}
    held = {slot: one.pair for slot, one in open_ones.items()}
    seen = read_observation(encoding, observation, visible, held, (world, row))
    worth = _Worths(view, week_values(view, week), week.enter_margin)
    slots = tuple(_slot(s, open_ones.get(s), view.pending.get(s), worth, seen) for s in range(view.max_positions))
    candidates = tuple(
        Candidate(k + 1, worth.of(int(pair)), seen.places[k]) for k, pair in enumerate(visible) if pair >= 0
    )
    return Decision(
        model=policy.name, kind=policy.kind, members=policy.members, observation_version=policy.spec.version,
        clock=str(policy.spec.clock), played_from=start, at=f"{view.time:{MINUTES}}",
        capital_usd=world.settings.initial_capital_usd, equity_usd=view.equity_usd, free_slots=view.free_slots,
        portfolio=seen.portfolio, slots=slots, candidates=candidates,
        actions=_actions(policy, observation, view.possible(visible), _words(visible, slots, worth)),
        enter_margin=week.enter_margin,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Worths:
    """What every pair of an hour is worth."""

    view: View
    values: Values
    enter_margin: float

    def of(self, pair: int) -> PairWorth:
        """Of one pair."""
        day, week = (float(self.view.feature(f"net_funding_{hours}h_bps")[pair]) for hours in (24, 168))
        cost, bound = float(self.values.cost[pair]), float(self.values.worth[pair])
        symbol, long, short = self.view.pair_name(pair)
        return PairWorth(symbol, long, short, day, week, cost, bound, bound - self.enter_margin * cost)


def _slot(s: int, one: Position | None, waiting: int | None, worth: _Worths, seen: Observed) -> Slot:
    if one is None:
        return Slot(s + 1, FREE) if waiting is None else Slot(s + 1, PENDING, worth.of(waiting))
    bps = 1e4 / one.notional_usd
    return Slot(
        s + 1, OPEN, worth.of(one.pair), one.hours_held, one.notional_usd, bps * one.pnl_usd, bps * one.funding_usd,
        one.leaving, seen.slots[s],
    )  # fmt: skip


def _words(visible: Ints, slots: Sequence[Slot], worth: _Worths) -> list[str]:
    """Every action in words."""
    entries = [
        f"enter {k + 1}: {worth.of(int(pair)).words}" if pair >= 0 else f"enter {k + 1}: nothing is shown there"
        for k, pair in enumerate(visible)
    ]
    exits = [f"exit slot {one.slot}: {one.pair.words if one.pair else 'it is free'}" for one in slots]
    return ["hold", *entries, *exits]


def _actions(
    policy: Policy, observation: Float32s, possible: Sequence[bool], words: Sequence[str]
) -> tuple[Action, ...]:
    plain, allowed = logits(policy, observation), allowed_logits(policy, observation)
    chances, chosen = probabilities(allowed), best_action(policy, observation)
    return tuple(
        Action(
            k, said, bool(possible[k]), bool(np.isfinite(allowed[k])), float(plain[k]), float(chances[k]),
            k == chosen,
        )
        for k, said in enumerate(words)
    )  # fmt: skip
