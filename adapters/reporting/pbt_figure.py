"""``pbt.html``: fitness, hyperparameters and copies of a run over its iterations, in one file without links."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import pairwise
from math import log10
from pathlib import Path

from adapters.reporting.figures import cell
from adapters.reporting.pbt_console import in_words
from adapters.research.pbt.job import PBTJob
from adapters.research.pbt.loop import Iteration
from adapters.research.pbt.reward_check import check_in_words, pairs_of, reward_check
from adapters.research.pbt.state_folder import AgentResult
from adapters.storage.atomic import replacing_file
from rl_training.pbt.lineage import ancestry
from rl_training.pbt.settings import Range

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 900, 90, 20, 26, 30
PLOT_HEIGHT, LANE_HEIGHT = 170, 30
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")
WORST, BEST = (214, 96, 77), (44, 123, 182)

Place = Callable[[float], float]

STYLE = """
body{font:14px/1.45 system-ui,sans-serif;max-width:940px;margin:2em auto;color:#222}
svg{display:block;margin:0 0 6px} text{font-size:12px;fill:#444} .name{font-weight:600;fill:#222}
.line{fill:none;stroke-width:1.6} .copy{stroke-width:1.4} .kin{stroke-width:5;stroke-opacity:.35}
.agent{transition:opacity .1s} .dim{opacity:.1} button{margin:0 4px 8px 0;cursor:pointer}
"""
SCRIPT = """
document.querySelectorAll('button').forEach(function(button){
  button.onmouseenter=function(){document.querySelectorAll('.agent').forEach(function(mark){
    mark.classList.toggle('dim',!mark.classList.contains(button.id));});};
  button.onmouseleave=function(){document.querySelectorAll('.dim').forEach(function(mark){
    mark.classList.remove('dim');});};
});
"""


def write_figure(path: Path, job: PBTJob, iterations: Sequence[Iteration]) -> None:
    """Draw the iterations so far; the file appears whole or not at all."""
    with replacing_file(path) as aside:
        aside.write_text(page(job, iterations), encoding="utf-8")


def page(job: PBTJob, iterations: Sequence[Iteration]) -> str:
    """The whole document."""
    last = iterations[-1]
    winner = last.results[last.ranking[0]]
    title = f"{job.dataset.name}, seed {job.seed}"
    head = (
        f"{len(last.results)} agents, iteration {last.number} of {job.schedule.iterations}, {winner.steps:,} steps "
        f"each. Validation {job.validate_from:%Y-%m-%d} to {job.validate_to:%Y-%m-%d}. Best agent {winner.agent}: "
        f"fitness {cell('fitness', winner.fitness)}, {in_words(winner.hyperparameters)}."
    )
    plots = [_plot("fitness", iterations, lambda result: result.fitness)]
    for name, dimension in job.settings.pbt.search.dimensions().items():
        is_log = isinstance(dimension, Range) and dimension.scale == "log"
        plots.append(_plot(name, iterations, _hyperparameter(name), log=is_log))
    buttons = "".join(
        f'<button id="a{agent}" style="border:2px solid {colour(agent)}">agent {agent}</button>'
        for agent in last.results
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>PBT {escape(title)}</title>'
        f"<style>{STYLE}</style><h1>Population based training</h1><p>{escape(title)}. {escape(head)}</p>"
        f"<p>{buttons}</p><h2>Copies</h2><p>A lane is an agent, a dot its score (blue best, red worst of the "
        f"iteration, hollow failed); a slanted line is a copy; the broad band is the descent of the best agent.</p>"
        f"{_tree(iterations)}<h2>Reward and P&amp;L</h2><p>{escape(check_in_words(reward_check(iterations)))}. A dot "
        f"is an agent of an iteration, its shade the iteration (light first).</p>{reward_scatter(iterations)}"
        f"<h2>Fitness and hyperparameters</h2>{''.join(plots)}<script>{SCRIPT}</script></html>\n"
    )


def _hyperparameter(name: str) -> Callable[[AgentResult], float | None]:
    return lambda result: result.hyperparameters[name]


def colour(agent: int) -> str:
    """The same in every part of the figure."""
    return COLOURS[agent % len(COLOURS)]


def _across(iterations: Sequence[Iteration]) -> Place:
    span = max(len(iterations) - 1, 1)
    return lambda iteration: LEFT + (WIDTH - LEFT - RIGHT) * (iteration - 1) / span


def reward_scatter(iterations: Sequence[Iteration]) -> str:
    """P&L over reward on validation; nothing when no agent has both."""
    every = [(k, pair) for k, one in enumerate(iterations, start=1) for pair in pairs_of(one.results.values())]
    if not every:
        return ""
    rewards, pnl = [pair[0] for _, pair in every], [pair[1] for _, pair in every]
    up = _upward(min(pnl), max(pnl), log=False)
    span = (max(rewards) - min(rewards)) or 1.0
    height, bottom = TOP + PLOT_HEIGHT + BOTTOM, TOP + PLOT_HEIGHT + 20
    marks = [f'<text class="name" x="{LEFT}" y="16">P&amp;L % over reward</text>']
    marks += [
        f'<text x="{LEFT - 8}" y="{up(tick) + 4:.1f}" text-anchor="end">{tick:.4g}</text>'
        for tick in sorted({min(pnl), max(pnl)})
    ]
    marks += [
        f'<text x="{x}" y="{bottom}" text-anchor="{anchor}">{tick:.4g}</text>'
        for x, anchor, tick in ((LEFT, "start", min(rewards)), (WIDTH - RIGHT, "end", max(rewards)))
    ]
    for k, (reward, gained) in every:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (reward - min(rewards)) / span
        shade = 0.25 + 0.75 * k / len(iterations)
        marks.append(
            f'<circle cx="{x:.1f}" cy="{up(gained):.1f}" r="4" fill="#1f77b4" fill-opacity="{shade:.2f}">'
            f"<title>iteration {k}: reward {reward:+.3f}, P&amp;L {gained:+.3f} %</title></circle>"
        )
    return _svg(height, marks)


def _tree(iterations: Sequence[Iteration]) -> str:
    across = _across(iterations)
    agents = sorted(iterations[0].results)
    lane = {agent: TOP + LANE_HEIGHT * (k + 0.5) for k, agent in enumerate(agents)}
    height = TOP + LANE_HEIGHT * len(agents) + BOTTOM
    kin = ancestry([iteration.assignments for iteration in iterations], iterations[-1].ranking[0])
    path = " ".join(f"{across(k):.1f},{lane[agent]:.1f}" for k, agent in enumerate(kin, start=1))
    marks = [f'<polyline class="line kin" stroke="#f0b400" points="{path}"/>']
    marks += [f'<text x="10" y="{lane[agent] + 4:.1f}">agent {agent}</text>' for agent in agents]
    for before, after in pairwise(iterations):
        for one in after.assignments:
            source = one.agent if one.source is None else one.source
            marks.append(
                f'<line class="agent a{one.agent} a{source} copy" stroke="{colour(source)}" '
                f'x1="{across(before.number):.1f}" y1="{lane[source]:.1f}" '
                f'x2="{across(after.number):.1f}" y2="{lane[one.agent]:.1f}"/>'
            )
    for iteration in iterations:
        for rank, agent in enumerate(iteration.ranking):
            marks.append(_dot(iteration.results[agent], rank / max(len(agents) - 1, 1), across, lane[agent]))
    return _svg(height, [*marks, *_iteration_axis(iterations, across, height)])


def _dot(result: AgentResult, worse: float, across: Place, y: float) -> str:
    shade = ",".join(str(round(best + (worst - best) * worse)) for best, worst in zip(BEST, WORST, strict=True))
    fill = "#fff" if result.failure else f"rgb({shade})"
    return (
        f'<circle class="agent a{result.agent}" cx="{across(result.iteration):.1f}" cy="{y:.1f}" r="5" fill="{fill}" '
        f'stroke="rgb({shade})">{_hint(result)}</circle>'
    )


def _hint(result: AgentResult) -> str:
    text = (
        f"agent {result.agent}, iteration {result.iteration}: fitness {cell('fitness', result.fitness)}, "
        f"P&L {cell('pnl_pct', result.metrics.get('pnl_pct'), exact=True)} %, {in_words(result.hyperparameters)}"
    )
    return f"<title>{escape(text if result.failure is None else f'{text}; failed: {result.failure}')}</title>"


def _plot(
    name: str, iterations: Sequence[Iteration], value: Callable[[AgentResult], float | None], *, log: bool = False
) -> str:
    results = [result for iteration in iterations for result in iteration.results.values()]
    known = [found for result in results if (found := value(result)) is not None]
    across, height = _across(iterations), TOP + PLOT_HEIGHT + BOTTOM
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    up = _upward(low, high, log=log)
    marks = [f'<text class="name" x="{LEFT}" y="16">{escape(name)}</text>']
    marks += [
        f'<text x="{LEFT - 8}" y="{up(tick) + 4:.1f}" text-anchor="end">{tick:.4g}</text>'
        for tick in sorted({low, high})
    ]
    for agent in iterations[0].results:
        own = [
            (iteration.number, value(iteration.results[agent]), iteration.results[agent]) for iteration in iterations
        ]
        points = [(across(k), up(found), result) for k, found, result in own if found is not None]
        marks.append(_polyline(agent, [(x, y) for x, y, _ in points]))
        marks += [
            f'<circle class="agent a{agent}" cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour(agent)}">{_hint(result)}'
            "</circle>"
            for x, y, result in points
        ]
    return _svg(height, [*marks, *_iteration_axis(iterations, across, height)])


def _upward(low: float, high: float, *, log: bool) -> Place:
    scale: Place = log10 if log else float
    span = (scale(high) - scale(low)) or 1.0
    return lambda value: TOP + PLOT_HEIGHT * (1 - (scale(value) - scale(low)) / span)


def _polyline(agent: int, points: Iterable[tuple[float, float]]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="agent a{agent} line" stroke="{colour(agent)}" points="{path}"/>'


def _iteration_axis(iterations: Sequence[Iteration], across: Place, height: int) -> list[str]:
    every = -(-len(iterations) // 13)
    shown = [iteration.number for iteration in iterations][::every]
    return [f'<text x="{across(k):.1f}" y="{height - 8}" text-anchor="middle">{k}</text>' for k in shown]


def _svg(height: int, marks: Iterable[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">{"".join(marks)}</svg>'
