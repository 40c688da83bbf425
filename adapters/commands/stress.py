"""``arb stress``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from adapters.commands.seeds import SEED

if TYPE_CHECKING:
    from adapters.configuration.settings import ArbSettings
    from adapters.research.stress.study import Study
    from strategies.policy import Policy


@click.command(name="stress")
@click.option("--strategy", "names", required=True, help="Names, comma-separated, or module:Class.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Data set.")
@click.option("--from", "start", type=hour, help="First hour, like 2025-02-03T00:00Z; default: of the data.")
@click.option("--to", "end", type=hour, help="Last hour, inclusive; default: of the data.")
@click.option("--window", help="A named window of the data set (train, validation, test) instead of --from and --to.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--scenarios", type=click.Path(path_type=Path), help="Scenarios as YAML over configs/stress.yaml.")
@click.option("--model", "models", multiple=True, type=click.Path(path_type=Path), help="Bundle or zip; repeatable.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of strategies and of the hours of outages.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for results; default: runs/stress-TIME.")
def command(
    names: str,
    data: Path,
    start: datetime | None,
    end: datetime | None,
    window: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
    scenarios: Path | None,
    models: tuple[Path, ...],
    seed: int,
    out: Path | None,
) -> None:
    """Find out what a strategy survives: dearer costs, late fills, failing legs, outages, size and leverage.

    Every scenario is a backtest of its own with the strategy made anew. The folder gets stress.csv (one row a run),
    stress.json (the same with break-even, capacity and every setting), stress.html (for a browser) and manifest.json.
    A trained model is played as it is, whatever the costs.

    \b
    Examples:
      arb stress --strategy carry --data data/sample
      arb stress --strategy ppo,carry --data data/sample --window validation --out runs/stress
    """
    from adapters.commands.strategy_names import strategy_names
    from adapters.configuration.settings import load_settings
    from adapters.configuration.strategy_registry import check_names
    from adapters.datasets.load import load_dataset
    from adapters.reporting.stress_page import FILE, stress_page
    from adapters.research.manifest import build_manifest
    from adapters.research.markets import prepare_dataset, window_of
    from adapters.research.players import make_player
    from adapters.research.stress.bench import Bench
    from adapters.research.stress.files import COMMAND, stress_only, write_stress
    from adapters.research.stress.settings import load_stress
    from adapters.research.stress.study import study
    from adapters.storage.atomic import new_directory
    from adapters.storage.giving_way import check_place
    from adapters.storage.run_files import write_json

    started = datetime.now(UTC)
    chosen = strategy_names(names)
    settings, stress = load_settings(config, overrides), load_stress(scenarios)
    check_names(settings.strategies)
    policies, paths = _policies(chosen, settings, models)
    players = tuple(
        make_player(name, settings.strategies.get(name, {}), seed=[seed, place], policies=policies)
        for place, name in enumerate(chosen)
    )
    folder = out or Path("runs") / f"stress-{started:%Y%m%dT%H%M%SZ}"
    check_place(folder, stress_only)
    dataset = load_dataset(data, settings.gate)
    hours = window_of(dataset, start, end, window)
    bench = Bench(prepare_dataset(dataset, settings), hours, players, seed)
    market = bench.base.tape.market
    with new_directory(folder, instead_of=stress_only) as aside:
        with progress_bar() as bar:
            studies = study(bench, stress, lambda done, total: bar(names, done, total) if bar else None)
        more = {"strategies": chosen, "models": [str(path) for path in paths]}
        manifest = build_manifest(settings, dataset, written_by=COMMAND, seed=seed, started=started, **more)
        write_stress(aside, studies, market, stress, manifest)
        write_json(aside / "manifest.json", manifest)
        span = f"{dataset.info.name}: {hours.hours_in(market.hours)}, {hours.hours} h"
        title = f"Stress test of {', '.join(chosen)}"
        page = stress_page(studies, stress, title=title, under=span, models=[policy.name for policy in policies])
        (aside / FILE).write_text(page, encoding="utf-8")
    _print(studies, span)
    if policies:
        click.echo("models play as they were trained, also at other costs and sizes; none was trained anew")
    click.echo(f"written to {folder}")


def _policies(
    names: list[str], settings: ArbSettings, models: tuple[Path, ...]
) -> tuple[tuple[Policy, ...], tuple[Path, ...]]:
    """The trained models that the strategies need, with where they lie; other costs are the point of the test."""
    from adapters.configuration.strategy_registry import load_strategy_class
    from adapters.storage.bundles import deployed_models, load_policy
    from engine.errors import UserError

    needed = any(load_strategy_class(name).policies for name in names)
    if models and not needed:
        raise UserError("--model is given, but none of the strategies plays a trained model")
    paths = (models or deployed_models()) if needed else ()
    return tuple(load_policy(path, settings, allow_other_costs=True) for path in paths), tuple(paths)


def _print(studies: list[Study], title: str) -> None:
    from adapters.reporting.results_table import output_console
    from adapters.reporting.stress_table import print_study

    for number, one in enumerate(studies):
        print_study(one, title=title if number == 0 else "", console=output_console())
        click.echo()
