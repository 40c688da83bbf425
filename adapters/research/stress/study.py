"""A whole stress test: every scenario for every strategy, break-even and capacity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from adapters.research.players import Player
from adapters.research.stress.bench import Bench, Outcome, outcome
from adapters.research.stress.break_even import BreakEven, find_break_even
from adapters.research.stress.capacity import Capacity, capacity
from adapters.research.stress.scenarios import BASE, CAPITAL, costs, scenarios_of, worst_outages
from adapters.research.stress.settings import CostScenarios, StressSettings

Progress = Callable[[int, int], None]
"""How many runs are finished, of how many."""


@dataclass(frozen=True, eq=False)
class Study:
    """What one strategy made of everything, and of the run as it is. ``break_even`` None: costs were not varied."""

    strategy: str
    base: Outcome
    outcomes: Sequence[Outcome]
    break_even: BreakEven | None
    capacity: Capacity

    def alike(self) -> Iterator[list[Outcome]]:
        """Outcomes that differ by seed alone, together, from the worst P&L to the best."""
        groups: dict[tuple[str, str], list[Outcome]] = {}
        for one in self.outcomes:
            groups.setdefault((one.scenario.group, one.scenario.label), []).append(one)
        for group in groups.values():
            yield sorted(group, key=pnl_usd)


def pnl_usd(one: Outcome) -> float:
    return float(one.metrics["pnl_usd"] or 0.0)


def study(bench: Bench, stress: StressSettings, progress: Progress = lambda *_: None) -> list[Study]:
    """Play everything; one study for each player of the bench, in its order. Raises ``SettingsError``."""
    real, settings = bench.base.tape, bench.base.settings
    scenarios = scenarios_of(stress, settings, real.market, bench.window, bench.seed)
    for scenario in scenarios:
        scenario.settings(settings)  # one that cannot be set is told before anything is played
    counter = _Counter(progress, len(bench.players) * (1 + len(scenarios)))
    base = [bench.play(player, bench.base) for player in bench.players]
    found: list[list[Outcome]] = [[] for _ in bench.players]
    for scenario in scenarios:
        # Made once for all players.
        world = bench.world(scenario)
        for player, outcomes in zip(bench.players, found, strict=True):
            outcomes.append(outcome(bench.play(player, world), scenario, real))
            counter.finished()
    studies = []
    for player, as_it_is, outcomes in zip(bench.players, base, found, strict=True):
        # These follow from what the strategy held in the run as it is, so that each has its own.
        worst = worst_outages(stress, real, bench.window, as_it_is.records)
        counter.total += len(worst)
        for scenario in worst:
            outcomes.append(outcome(bench.play(player, bench.world(scenario)), scenario, real))
            counter.finished()
        break_even = _break_even(bench, player, stress.costs) if stress.costs.multiples else None
        unchanged = outcome(as_it_is, BASE, real)
        studies.append(Study(player.name, unchanged, _in_order(outcomes), break_even, _capacity(outcomes)))
        counter.finished()
    return studies


class _Counter:
    """Runs that are finished, of how many; a search for a break-even counts as one."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def finished(self) -> None:
        self.done += 1
        self.progress(self.done, self.total)


def _in_order(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Groups together, in the order in which they first appear."""
    groups = list(dict.fromkeys(one.scenario.group for one in outcomes))
    return sorted(outcomes, key=lambda one: groups.index(one.scenario.group))


def _break_even(bench: Bench, player: Player, stress: CostScenarios) -> BreakEven:
    settings = bench.base.settings

    def probe(multiple: float) -> tuple[float, int]:
        records = bench.play(player, bench.world(costs(multiple, settings))).records
        return float(records.hours["equity"][-1]) - settings.initial_capital_usd, len(records.trades)

    return find_break_even(probe, stress.multiples, highest=stress.highest, tolerance=stress.tolerance)


def _capacity(outcomes: Sequence[Outcome]) -> Capacity:
    return capacity(
        [
            (float(one.scenario.value or 0.0), float(one.metrics["pnl_pct_per_7d"] or 0.0))
            for one in outcomes
            if one.scenario.group == CAPITAL
        ]
    )
