"""``arb audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapters.commands.progress import progress_bar
from adapters.commands.seeds import SEED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.configuration.settings import ArbSettings
    from adapters.research.audit.audit import AuditResult
    from adapters.research.audit.file_watch import FileWatch
    from engine.observation.view import Strategy


@click.command(name="audit")
@click.option("--strategy", "name", required=True, help="A name of `arb strategies`, or module:Class.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Data set.")
@click.option("--cuts", default=50, show_default=True, type=click.IntRange(min=1), help="Random hours to try.")
@click.option("--hours", default=72, show_default=True, type=click.IntRange(2), help="Decisions before each of them.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--model", "models", multiple=True, type=click.Path(path_type=Path), help="Bundle or zip; repeatable.")
@click.option("--allow-other-costs", is_flag=True, help="Play a model under other fees than it was trained with.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the hours, the noise and the strategy.")
def command(
    name: str,
    data: Path,
    cuts: int,
    hours: int,
    config: Path | None,
    overrides: tuple[str, ...],
    models: tuple[Path, ...],
    allow_other_costs: bool,
    seed: int,
) -> int:
    """Find out whether a strategy, or the data it gets, looks into the future.

    Everything after random hours is replaced by noise (prices, funding, delisting notices, recorded opportunities),
    or left out; observations, masks, decisions and ledger up to each hour must stay the same. What the strategy opens
    is watched too: the data set and the caches at any time, any file, process or connection while it decides. Exit
    code 1 when something leaks or is opened.

    \b
    Examples:
      arb audit --strategy carry --data data/sample
      arb audit --strategy my_rules:MyRule --data data/sample --cuts 200
    """
    from adapters.configuration.settings import load_settings
    from adapters.research.audit.file_watch import FileWatch
    from adapters.storage.array_store import cache_root

    settings = load_settings(config, overrides)
    with FileWatch([data, cache_root()]) as watch:
        result = _audited(name, data, settings, models, watch, cuts, hours, seed, allow_other_costs=allow_other_costs)
    return _tell(name, data, result, watch)


def _audited(
    name: str, data: Path, settings: ArbSettings, models: Sequence[Path], watch: FileWatch, cuts: int, hours: int,
    seed: int, *, allow_other_costs: bool,
) -> AuditResult:  # fmt: skip
    import numpy as np

    from adapters.configuration.strategy_registry import build_strategy, check_names, load_strategy_class
    from adapters.datasets.load import load_dataset
    from adapters.research.audit.audit import BEFORE, audit
    from adapters.research.markets import filtered
    from adapters.storage.bundles import deployed_models, load_policy
    from strategies.plugin import Context

    check_names([name, *settings.strategies])
    watch.at(BEFORE)
    strategy_class = load_strategy_class(name)
    watch.pause()
    paths = (models or deployed_models()) if strategy_class.policies else ()
    policies = tuple(load_policy(path, settings, allow_other_costs=allow_other_costs) for path in paths)

    def make() -> Strategy:
        return build_strategy(name, settings.strategies.get(name, {}), Context(np.random.default_rng(seed), policies))

    watch.at(BEFORE)
    make()  # a mistake in the name or the parameters is told before anything is loaded
    watch.pause()
    market = filtered(load_dataset(data, settings.gate).market, settings.filters)
    with progress_bar() as bar:
        return audit(
            market, settings, make, policies[0].spec if policies else None, np.random.default_rng(seed),
            cuts=cuts, hours=hours, watch=watch, progress=lambda done: bar(name, done, cuts) if bar else None,
        )  # fmt: skip


def _tell(name: str, data: Path, result: AuditResult, watch: FileWatch) -> int:
    """Print what was found; the exit code."""
    from adapters.research.audit.audit import touches_in_words

    opened, notes = touches_in_words(name, result.touches)
    for line in (*map(str, result.findings), *opened, *notes):
        click.echo(line)
    if not watch.sees_compiled_code:
        click.echo("note: this system does not tell which files compiled code opens; only their bytes were counted")
    faults = [f"LEAKS at {result.leaking_cuts} of them"] if result.findings else []
    faults += ["it OPENS what no audit can change"] if opened else []
    click.echo(
        f"{name} on {data}: {result.cuts} random hours, {result.hours} h before each, {result.orders} orders: "
        f"{', '.join(faults) or 'nothing leaks'}"
    )
    return 1 if faults else 0
