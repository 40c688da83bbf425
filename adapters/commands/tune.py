"""``arb tune``."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from adapters.commands.seeds import SEED

if TYPE_CHECKING:
    from adapters.datasets.load import Dataset

MOST_WORKERS = 8


@click.command(name="tune")
@click.option("--strategy", "name", required=True, help="Rule to search: a name of `arb strategies` or module:Class.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Data set.")
@click.option("--from", "start", type=hour, help="First hour; default: of the validation window.")
@click.option("--to", "end", type=hour, help="Last hour, inclusive; default: of the validation window.")
@click.option(
    "--grid", "grid_file", type=click.Path(path_type=Path), help="Grids as YAML; default: configs/tuning.yaml."
)
@click.option("--points", "most", type=click.IntRange(min=1), help="Try only that many points, drawn with --seed.")
@click.option("--late/--no-late", default=True, show_default=True, help="Measure every point one hour late as well.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--workers", type=click.IntRange(min=1), help=f"Processes; default: one a core, at most {MOST_WORKERS}.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the draw of points and of the strategy.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for results; default: runs/tune-NAME-TIME.")
def command(
    name: str,
    data: Path,
    start: datetime | None,
    end: datetime | None,
    grid_file: Path | None,
    most: int | None,
    late: bool,
    config: Path | None,
    overrides: tuple[str, ...],
    workers: int | None,
    seed: int,
    out: Path | None,
) -> None:
    """Search the parameters of a rule on the validation window and record every point tried.

    Points are ranked by P&L in % minus half of the maximum drawdown in %. The folder gets tuning.csv (every point),
    trials.parquet (their hourly returns), best.yaml (for --config) and manifest.json.

    \b
    Examples:
      arb tune --strategy carry --data data/sample
      arb tune --strategy carry --data data/sample --set max_positions=1 --points 50 --seed 7
      arb backtest --strategy carry --data data/sample --config runs/tune-carry/best.yaml
    """
    from adapters.configuration.settings import load_settings
    from adapters.configuration.strategy_registry import check_names, load_strategy_class
    from adapters.configuration.tuning_grids import SHIPPED_GRIDS, points_of, read_grid
    from adapters.datasets.load import load_dataset
    from adapters.reporting.tuning_table import after_all_points, cautions, table
    from adapters.research.tuning import TuningJob, ranked, search
    from adapters.research.tuning_files import (
        record_of_points,
        summary_of_points,
        write_best,
        write_manifest,
        write_trials,
    )
    from adapters.storage.atomic import new_directory
    from adapters.storage.giving_way import check_place
    from adapters.storage.run_files import folder_name
    from adapters.storage.trials import FILE as TRIALS
    from adapters.storage.trials import write_trials as write_record
    from engine.errors import UserError

    started = datetime.now(UTC)
    folder = out or Path("runs") / f"tune-{folder_name(name)}-{started:%Y%m%dT%H%M%SZ}"
    check_place(folder)
    settings = load_settings(config, overrides)
    check_names(settings.strategies)
    strategy_class = load_strategy_class(name)
    if strategy_class.policies:
        raise UserError(f"{name} plays trained models; only rules are tuned (see `arb train`)")
    grid = read_grid(grid_file or SHIPPED_GRIDS, name)
    base = settings.strategies.get(name, {})
    points = points_of(grid, base, name, strategy_class, most=most, seed=seed)
    dataset = load_dataset(data, settings.gate)
    first, last = window_to_search(dataset, start, end)
    job = TuningJob(
        dataset=data, fingerprint=dataset.fingerprint, strategy=name, start=first, end=last,
        settings=settings, seed=seed, late=late,
    )  # fmt: skip
    with new_directory(folder) as aside:
        with progress_bar() as bar:
            trials = search(
                job,
                points,
                workers or min(os.cpu_count() or 1, MOST_WORKERS),
                lambda done: bar(name, done, len(points)) if bar else None,
            )
        best = ranked(trials)[0]
        write_trials(aside, trials)
        record = record_of_points(job, trials)
        tried = summary_of_points(job, record)
        write_record(aside / TRIALS, record)
        write_best(aside, job, best, tried)
        write_manifest(aside, job, trials, grid, tried, command=shlex.join(["arb", *sys.argv[1:]]), started=started)
    hours = int((last - first).total_seconds() // 3600) + 1
    click.echo(f"{name} on {data}, {first:%Y-%m-%dT%H:%MZ} to {last:%Y-%m-%dT%H:%MZ} ({hours} h): {len(trials)} points")
    worth = after_all_points(best, settings.significance, tried)
    left = f"{folder}: tuning.csv, {TRIALS}, best.yaml, manifest.json"
    for line in [*table(trials, grid), *cautions(best, len(trials)), *worth, left]:
        click.echo(line)


def window_to_search(dataset: Dataset, start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """The hours to search; what is not stated is taken from the validation window.

    Raises ``UserError`` for an empty window and for one that touches the test window, which no search may see.
    """
    from engine.errors import UserError

    if start is None or end is None:
        first, last = dataset.window("validation")
        start, end = start or first, end or last
    if start >= end:
        raise UserError(f"the window {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ} is empty")
    test = dataset.windows.get("test")
    if test is not None and start <= test[1] and test[0] <= end:
        raise UserError(
            f"the search would see the test window ({test[0]:%Y-%m-%dT%H:%MZ} to {test[1]:%Y-%m-%dT%H:%MZ}); "
            "parameters are chosen on other hours"
        )
    return start, end
