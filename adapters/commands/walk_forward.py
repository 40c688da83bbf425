"""``arb walk-forward``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from adapters.commands.resuming import refuse_other_options
from adapters.commands.seeds import SEED
from adapters.commands.strategy_names import strategy_names
from adapters.datasets.windows import EMBARGO_HOURS

MOST_WORKERS = 8
DONE = ("manifest.json", "comparison.csv")
"""A folder that has one of them is a finished run."""
Value = TypeVar("Value")
DAYS = click.IntRange(min=1)


@click.command(name="walk-forward")
@click.option("--strategy", "names", help="Names, comma-separated, or module:Class.")
@click.option("--data", type=click.Path(path_type=Path), help="Data set.")
@click.option("--train-days", type=DAYS, help="Length of training windows; rules do not use them.")
@click.option("--validate-days", type=DAYS, help="Length of validation windows, on which everything is chosen.")
@click.option("--test-days", type=DAYS, help="Length of test windows; they follow each other without gap.")
@click.option("--embargo-hours", type=click.IntRange(min=0), default=EMBARGO_HOURS, show_default=True,
              help="Hours between training and validation, and between validation and test.")  # fmt: skip
@click.option("--anchored", is_flag=True, help="Training windows all begin at the start and grow.")
@click.option("--from", "start", type=hour, help="First hour, like 2025-02-03T00:00Z; default: of the data.")
@click.option("--to", "end", type=hour, help="Last hour, inclusive; default: before the data set's test window.")
@click.option("--timesteps", type=click.IntRange(min=1), help="Steps of each agent; default: training.timesteps.")
@click.option("--population", type=click.IntRange(min=1), help="Agents a fold; default 1, more: population based.")
@click.option("--grid", "grid_file", type=click.Path(path_type=Path), help="Grids; default: configs/tuning.yaml.")
@click.option("--points", type=click.IntRange(min=1), help="Try only that many points a fold, drawn with --seed.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--workers", type=click.IntRange(min=1), help=f"Processes; default: one a core, at most {MOST_WORKERS}.")
@click.option("--report/--no-report", default=True, show_default=True, help="Write report.html and what it needs.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of everything random.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder; default: runs/walk-forward-TIME.")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with the run that was to become this folder.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    workers: int | None,
    out: Path | None,
    resume: Path | None,
    **asked: Any,
) -> None:
    """Choose on earlier hours, test on the hours that follow, and move on through the data.

    In each fold, rules that have a grid are tuned on the validation window, and ppo is trained on the training window
    and scored on the validation window. Only when everything is chosen are the test windows played, once, one after
    the other as one account. A last test window that would not be whole is left out.

    The folder gets the files of a backtest over the test windows, folds.csv, folds.json, tried.csv (every point that
    was tried) and the models of the folds; one folder a strategy when there are several.

    \b
    Examples:
      arb walk-forward --strategy carry,hold --data data/sample --train-days 10 --validate-days 7 --test-days 7
      arb walk-forward --strategy ppo --data data/sample --train-days 20 --validate-days 7 --test-days 7 \\
          --timesteps 20000 --anchored --out runs/forward
      arb walk-forward --resume runs/forward
    """
    from adapters.research.walk_forward.plan import remove_work, unfinished

    started = datetime.now(UTC)
    if resume is not None:
        refuse_other_options(ctx, ("--resume", "--workers"))
        out = resume
        if any((out / name).exists() for name in DONE):
            _say_if(remove_work(unfinished(out)))
            click.echo(f"{out} is finished already")
            return
    else:
        out = out or Path("runs") / f"walk-forward-{started:%Y%m%dT%H%M%SZ}"
        _begin(out, _Asked(**asked), started)
    try:
        _run(out, workers or min(os.cpu_count() or 1, MOST_WORKERS), started)
    except KeyboardInterrupt:
        click.echo(f"go on with: arb walk-forward --resume {out}", err=True)
        raise


@dataclass(frozen=True)
class _Asked:
    """Options of a new walk-forward."""

    names: str | None
    data: Path | None
    train_days: int | None
    validate_days: int | None
    test_days: int | None
    embargo_hours: int
    anchored: bool
    start: datetime | None
    end: datetime | None
    timesteps: int | None
    population: int | None
    grid_file: Path | None
    points: int | None
    config: Path | None
    overrides: tuple[str, ...]
    report: bool
    seed: int


def _begin(out: Path, asked: _Asked, started: datetime) -> None:
    from adapters.datasets.load import load_dataset
    from adapters.research.walk_forward.plan import begin, new_plan, settings_of
    from engine.analysis.folds import FoldLengths

    names = strategy_names(_given("--strategy", asked.names))
    lengths = FoldLengths(
        train_days=_given("--train-days", asked.train_days),
        validate_days=_given("--validate-days", asked.validate_days),
        test_days=_given("--test-days", asked.test_days),
        embargo_hours=asked.embargo_hours,
        anchored=asked.anchored,
    )
    data = _given("--data", asked.data)
    settings = settings_of(names, asked.config, asked.overrides, timesteps=asked.timesteps, population=asked.population)
    plan = new_plan(
        load_dataset(data, settings.gate), names, settings, lengths, asked.start, asked.end, grid_file=asked.grid_file,
        points=asked.points, population=asked.population or 1, seed=asked.seed,
        report=asked.report, started=started,
    )  # fmt: skip
    begin(out, plan)


def _given(option: str, value: Value | None) -> Value:
    if value is None:
        raise click.UsageError(f"Missing option '{option}' (or give --resume).")
    return value


def _run(out: Path, workers: int, started: datetime) -> None:
    """Read the plan, do what is missing of it, and put the results in their place."""
    from adapters.datasets.load import load_dataset
    from adapters.reporting.page.terminal import print_stories
    from adapters.reporting.page.write import write_reports
    from adapters.reporting.results_table import output_console
    from adapters.reporting.walk_forward_story import print_walk_forward, remarks
    from adapters.research.walk_forward.files import play_beside, write_account, write_for_report
    from adapters.research.walk_forward.judgement import judge
    from adapters.research.walk_forward.plan import read_plan, remove_work, unfinished
    from adapters.research.walk_forward.run import walk_forward
    from adapters.storage.atomic import new_directory
    from adapters.storage.folder_lock import only_one
    from adapters.storage.run_files import folder_name, write_comparison

    plan, work = read_plan(out), unfinished(out)
    dataset = load_dataset(plan.dataset, plan.settings.gate)
    with only_one(work):
        with progress_bar() as bar:
            show = bar or (lambda *_: None)
            accounts, builder = walk_forward(work, plan, dataset, workers, show, partial(click.echo, err=True))
            references = play_beside(builder, accounts, show) if plan.report else []
        judged = [judge(account, plan) for account in accounts]
        with new_directory(out) as aside:
            for account, judgement in zip(accounts, judged, strict=True):
                place = aside if len(accounts) == 1 else aside / folder_name(account.strategy)
                write_account(place, account, judgement, plan, dataset, builder, started)
                if plan.report:
                    write_for_report(place, account, references, builder)
            stories = write_reports(aside, [folder_name(name) for name in plan.strategies]) if plan.report else []
            if len(accounts) > 1:
                write_comparison(aside / "comparison.csv", {one.strategy: one.metrics for one in accounts})
        _say_if(remove_work(work))
    print_walk_forward(plan, dataset, accounts, judged)
    console = output_console()
    print_stories(stories, console=console)
    console.print("\n".join([*remarks(plan, dataset, accounts), f"written to {out}"]), soft_wrap=True, markup=False)


def _say_if(why: str | None) -> None:
    if why is not None:
        click.echo(why, err=True)
