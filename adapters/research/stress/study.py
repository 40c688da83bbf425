"""A whole stress test: every scenario for every strategy, break-even and capacity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

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
    """Play everything; one study for each strategy of the bench, in its order. Raises ``SettingsError``."""
    real = bench.builder.tape
    scenarios = scenarios_of(stress, bench.settings, real.market, bench.window, bench.seed)
    for scenario in scenarios:
        scenario.settings(bench.settings)  # one that cannot be set is told before anything is played
    counter = _Counter(progress, len(bench.names) * (1 + len(scenarios)))
    base = {name: bench.play(name, bench.builder) for name in bench.names}
    found: dict[str, list[Outcome]] = {name: [] for name in bench.names}
    for scenario in scenarios:
        world = bench.world(scenario)
        for name in bench.names:
            found[name].append(outcome(name, scenario, bench.play(name, world), world.tape, real))
            counter.finished()
    studies = []
    for name in bench.names:
        worst = worst_outages(stress, real, bench.window, base[name])
        counter.total += len(worst)
        for scenario in worst:
            world = bench.world(scenario)
            found[name].append(outcome(name, scenario, bench.play(name, world), world.tape, real))
            counter.finished()
        break_even = _break_even(bench, name, stress.costs) if stress.costs.multiples else None
        as_it_is = outcome(name, BASE, base[name], real, real)
        studies.append(Study(name, as_it_is, _in_order(found[name]), break_even, _capacity(found[name])))
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


def _break_even(bench: Bench, name: str, stress: CostScenarios) -> BreakEven:
    capital = bench.settings.initial_capital_usd

    def probe(multiple: float) -> tuple[float, int]:
        records = bench.play(name, bench.world(costs(multiple, bench.settings)))
        return float(records.hours["equity"][-1]) - capital, len(records.trades)

    return find_break_even(probe, stress.multiples, highest=stress.highest, tolerance=stress.tolerance)


def _capacity(outcomes: Sequence[Outcome]) -> Capacity:
    return capacity(
        [
            (float(one.scenario.value or 0.0), float(one.metrics["pnl_pct_per_7d"] or 0.0))
            for one in outcomes
            if one.scenario.group == CAPITAL
        ]
    )
