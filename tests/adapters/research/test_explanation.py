"""An explanation is of what a backtest does at the hour."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from support_environment import FIRST, LAST, builder, random_policy
from support_structured import SPEC, structured_policy

from adapters.research.explanation import Decision, explained
from adapters.research.players import Player, policy_player
from adapters.research.playing import play
from engine.observation.encoding import ObservationSpec
from engine.observation.view import Enter, Exit, Order, View
from engine.settings import EngineSettings
from engine.windows import Window, time_of
from engine.worlds import World
from strategies.policy import Policy, committee
from strategies.week import WeekParameters, week_values

FLAT = ObservationSpec(positions=2)
POLICIES = {"flat": random_policy(4, FLAT), "structured": structured_policy(2)}
WEEK = WeekParameters()
WINDOW = Window(FIRST, LAST)


@cache
def world(**changes: Any) -> World[EngineSettings]:
    return builder(max_positions=2, **changes)


class Heard:
    """Plays a policy over the window and keeps what it ordered at every hour, in words, and what the view said."""

    def __init__(self, policy: Policy, where: World[EngineSettings]) -> None:
        self.policy, self.words, self.worths = policy, dict[int, str](), dict[int, Any]()
        self.pending = set[int]()
        play(Player("heard", self._make), where, WINDOW)

    def _make(self, where: Any, rows: Window) -> Any:
        ready = policy_player(self.policy).make(where, rows)
        self._strategy = ready.strategy
        self.decision_clock = self.policy.spec.clock
        return ready._replace(strategy=self)

    def decide(self, view: View) -> Sequence[Order]:
        orders = self._strategy.decide(view)
        row = view.hour - int(world().tape.market.hours[0])
        self.words[row] = said(orders, view)
        self.worths[row] = week_values(view, WEEK)
        if view.pending:
            self.pending.add(row)
        return orders


def said(orders: Sequence[Order], view: View) -> str:
    if not orders:
        return "hold"
    (order,) = orders
    if isinstance(order, Exit):
        return f"exit {order.slot + 1}"
    assert isinstance(order, Enter)
    return "enter {} {} {}".format(*view.pair_name(order.pair)) if order.pair >= 0 else "enter nothing"


@cache
def heard(kind: str, latency: int = 0) -> Heard:
    return Heard(POLICIES[kind], world(latency_hours=latency))


@cache
def decision(kind: str, row: int, latency: int = 0) -> Decision:
    return explained(POLICIES[kind], world(latency_hours=latency), Window(FIRST, row + 1), WEEK)


def chosen_in_words(found: Decision) -> str:
    action = found.chosen
    if action.action == 0:
        return "hold"
    places = len(found.actions) - 1 - len(found.slots)
    if action.action > places:
        return f"exit {action.action - places}"
    pairs = [one.pair for one in found.candidates if one.place == action.action]
    return f"enter {pairs[0].symbol} {pairs[0].long_exchange} {pairs[0].short_exchange}" if pairs else "enter nothing"


@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize("latency", [0, 2])
def test_an_explanation_is_of_what_the_backtest_does(kind: str, latency: int) -> None:
    run = heard(kind, latency)
    rows = list(run.words)[:-1:5] + [row for row, words in run.words.items() if words != "hold" and row < LAST][:12]
    for row in rows:
        assert chosen_in_words(decision(kind, row, latency)) == run.words[row], row
    kinds = {run.words[row].split()[0] for row in rows}
    assert "enter" in kinds
    assert len(kinds) > 1


@pytest.mark.parametrize("kind", POLICIES)
def test_the_hour_and_the_beginning_are_named(kind: str) -> None:
    row = next(iter(heard(kind).words)) + 40
    hours = world().tape.market.hours
    found = decision(kind, row)
    assert found.at == f"{time_of(int(hours[row])):%Y-%m-%dT%H:%MZ}"
    assert found.played_from == f"{time_of(int(hours[FIRST])):%Y-%m-%dT%H:%MZ}"
    assert found.clock == ("every hour" if kind == "flat" else "every 4 h, phase 0")


@pytest.mark.parametrize("kind", POLICIES)
def test_probabilities_are_over_what_may_be_chosen(kind: str) -> None:
    forbidden = impossible = 0
    for row in list(heard(kind).words)[:-1:7]:
        found = decision(kind, row)
        allowed = [one for one in found.actions if one.allowed]
        scores = np.exp([one.logit for one in allowed])
        assert [one.probability for one in allowed] == pytest.approx((scores / scores.sum()).tolist(), rel=1e-5)
        assert all(one.probability == 0 for one in found.actions if not one.allowed)
        assert found.chosen == max(allowed, key=lambda one: one.logit)
        assert sum(one.chosen for one in found.actions) == 1
        free = any(slot.state == "free" for slot in found.slots)
        shown = {one.place for one in found.candidates}
        exits = [slot.state == "open" and not slot.leaving for slot in found.slots]
        places = range(1, len(found.actions) - len(found.slots))
        assert [one.possible for one in found.actions] == [True, *(free and k in shown for k in places), *exits]
        forbidden += len(found.actions) - len(allowed)
        impossible += sum(not one.possible for one in found.actions)
    assert impossible > 10
    # Version 1 shows no mask, so that it may choose what is refused.
    assert forbidden == (0 if kind == "flat" else impossible)


def test_actions_and_slots_are_said_in_words() -> None:
    found = next(
        one
        for row in list(heard("structured").words)[10:-1]
        if len((one := decision("structured", row)).slots[0].values)
    )
    pair = found.slots[0].pair
    assert pair is not None
    exits = found.actions[-2].words
    assert (
        exits
        == f"exit slot 1: {pair.symbol.removesuffix('USDT')} long {pair.long_exchange}, short {pair.short_exchange}"
    )
    assert found.actions[0].words == "hold"
    assert found.actions[1].words == f"enter 1: {found.candidates[0].pair.words}"
    assert found.actions[-1].words == (
        "exit slot 2: it is free" if found.slots[1].pair is None else found.actions[-1].words
    )


@pytest.mark.parametrize("kind", POLICIES)
def test_pairs_are_worth_what_they_are_to_week(kind: str) -> None:
    pairs = world().tape.pair_name
    names = {pairs(k): k for k in range(len(world().tape.pairs))}
    compared = 0
    for row in list(heard(kind).words)[:-1:9]:
        found, worth = decision(kind, row), heard(kind).worths[row]
        assert found.enter_margin == 1.5
        held = [one.pair for one in found.slots if one.pair is not None]
        for one in [candidate.pair for candidate in found.candidates] + held:
            k = names[(one.symbol, one.long_exchange, one.short_exchange)]
            assert one.lower_bound_bps == pytest.approx(float(worth.worth[k]), nan_ok=True)
            assert one.round_trip_bps == pytest.approx(float(worth.cost[k]))
            assert one.margin_bps == pytest.approx(worth.worth[k] - 1.5 * worth.cost[k], nan_ok=True)
            week = world().at(row)[0][k]
            assert one.net_funding_168h_bps == pytest.approx(week[-1], nan_ok=True)
            assert one.net_funding_24h_bps == pytest.approx(week[-3], nan_ok=True)
            compared += 1
    assert compared > 20


def test_the_bound_of_the_rule_is_that_of_the_observation() -> None:
    compared = 0
    for row in list(heard("structured").words)[:-1:4]:
        for one in decision("structured", row).candidates:
            values = {shown.name: shown.value for shown in one.values}
            assert values["week_lower_bound"] == pytest.approx(one.pair.margin_bps, nan_ok=True, abs=1e-6)
            assert values["round_trip"] == pytest.approx(one.pair.round_trip_bps)
            compared += not np.isnan(one.pair.margin_bps)
    assert compared > 10


def test_an_entry_that_waits_holds_a_pending_slot() -> None:
    run = heard("structured", 2)
    # Filled two hours later and decided every four: a clock of its own sees it.
    hourly = structured_policy(2, SPEC.model_copy(update={"decide_every_hours": 1}))
    late = Heard(hourly, world(latency_hours=2))
    row = min(late.pending)
    found = explained(hourly, world(latency_hours=2), Window(FIRST, row + 1), WEEK)
    (pending,) = [one for one in found.slots if one.state == "pending"]
    assert pending.pair is not None
    assert pending.values == ()
    assert run.words


def test_several_networks_show_their_mean_logits() -> None:
    together = committee("both", [structured_policy(2), structured_policy(3)])
    row = list(heard("structured").words)[-3]
    found = explained(together, world(), Window(row, row + 1), WEEK)
    assert found.members == 2
    alone = [explained(structured_policy(k), world(), Window(row, row + 1), WEEK) for k in (2, 3)]
    means = [np.mean([one.actions[k].logit for one in alone]) for k in range(len(found.actions))]
    assert [one.logit for one in found.actions] == pytest.approx(means, rel=1e-5, abs=1e-6)
