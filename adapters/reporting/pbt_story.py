"""What `arb train-pbt` tells and shows of a run, from its introduction to its winner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from adapters.reporting.figures import cell
from adapters.reporting.pbt_console import Narrator, ShowProgress, in_words
from adapters.reporting.pbt_figure import write_figure
from adapters.reporting.pbt_tensorboard import Scalars
from adapters.research.pbt.campaign import Campaign
from adapters.research.pbt.rules import rules_on_validation
from adapters.research.pbt.tried import winner_after_all
from adapters.storage.pbt_names import agent_zip
from adapters.storage.run_names import PBT_PAGE
from engine.analysis.assumed_funding import assumed_words
from engine.analysis.metrics import Metrics
from engine.errors import ArbError
from rl_training.pbt.results import Iteration
from rl_training.pbt.reward_check import check_in_words, reward_check


def introduce(narrator: Narrator, running: Campaign, warnings: Sequence[str]) -> None:
    """What is about to be done, on which hours, and where."""
    job = running.job
    schedule, pbt = job.schedule, job.settings.pbt
    narrator.say(
        f"{pbt.population} agents x {job.environment_steps:,} steps ({schedule.timesteps:,} asked; rollouts of "
        f"{schedule.rollout_steps:,} are whole), {schedule.iterations} iterations, {running.workers} workers, "
        f"seed {job.seed}"
    )
    narrator.say(
        f"{job.dataset}: training {job.train_from:%Y-%m-%dT%H:%MZ} to {job.train_to:%Y-%m-%dT%H:%MZ}, "
        f"validation {job.validate_from:%Y-%m-%dT%H:%MZ} to {job.validate_to:%Y-%m-%dT%H:%MZ}"
    )
    narrator.say(f"in {running.folder}")
    for warning in warnings:
        narrator.say(f"warning: {warning}")


def told(running: Campaign, bar: ShowProgress | None, started: datetime, warnings: Sequence[str]) -> None:
    """Train to the end, with all that is said and shown meanwhile, and in ``pbt_training_log.txt``."""
    job = running.job
    narrator = Narrator(running.folder / "pbt_training_log.txt", job.schedule, job.settings.pbt.population, bar)
    introduce(narrator, running, warnings)
    try:
        with shown(running) as show:
            iterations = running.train(narrator, show)
    except (KeyboardInterrupt, ArbError) as stop:
        tell_stop(narrator, running, stop)
        raise
    metrics = running.finish(iterations, started=started, worker_deaths=narrator.deaths)
    tell_winner(narrator, running, iterations, metrics, (datetime.now(UTC) - started).total_seconds())


@contextmanager
def shown(running: Campaign) -> Iterator[Callable[[Sequence[Iteration]], None]]:
    """What to call after each iteration: it adds to ``tensorboard/`` and draws ``pbt.html`` anew."""
    with Scalars(running.folder / "tensorboard", running.job.settings.pbt.population) as scalars:

        def show(iterations: Sequence[Iteration]) -> None:
            scalars.add(iterations[-1])
            ended = iterations[-1].number == running.job.schedule.iterations
            # The rules do not change from one iteration to the next: they are played once, when there is a winner.
            rules = rules_on_validation(running.job) if ended else {}
            write_figure(running.folder / PBT_PAGE, running.job, iterations, rules)

        yield show


def tell_stop(narrator: Narrator, running: Campaign, stop: BaseException) -> None:
    """Why a run stops here, and how it goes on."""
    again = f"go on with: arb train-pbt --resume {running.folder}"
    if isinstance(stop, KeyboardInterrupt):
        narrator.say(f"interrupted; {again}")
    else:
        narrator.say(f"stopped: {stop}")
        narrator.say(again)


def tell_winner(
    narrator: Narrator,
    running: Campaign,
    iterations: Sequence[Iteration],
    metrics: Mapping[str, Metrics],
    seconds: float,
) -> None:
    """The winner, what it earned at once and one hour late, how much of it may be luck, and where it lies."""
    folder, last = running.folder, iterations[-1]
    winner = last.results[last.ranking[0]]
    late = cell("pnl_pct", metrics["validation_1h_late"]["pnl_pct"], exact=True)
    at_once = cell("pnl_pct", winner.metrics["pnl_pct"], exact=True)
    assumed = assumed_words(metrics["validation"])
    narrator.say()
    best = f"fitness {cell('fitness', winner.fitness)}; {in_words(winner.hyperparameters)}"
    narrator.say(f"Winner: agent {winner.agent}, {best}")
    narrator.say(
        f"P&L {at_once} % on validation, {late} % with fills one hour late"
        f"{f', {assumed}' if assumed else ''}; "
        f"{seconds:.0f} s"
    )
    narrator.say(f"{folder / agent_zip(winner.agent)}")
    narrator.say(f"{folder / 'bundle'}: for --model of `arb backtest`; `arb deploy {folder}` ships it")
    narrator.say(winner_after_all(folder, running.job, iterations))
    narrator.say(check_in_words(reward_check(iterations)))
