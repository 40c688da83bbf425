"""``arb audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapters.commands.progress import progress_bar
from adapters.commands.seeds import SEED

if TYPE_CHECKING:
    from engine.view import Strategy


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
    or left out; observations, masks, decisions and ledger up to each hour must stay the same. Exit code 1 when
    something leaks.

    \b
    Examples:
      arb audit --strategy carry --data data/sample
      arb audit --strategy my_rules:MyRule --data data/sample --cuts 200
    """
    import numpy as np

    from adapters.audit import audit
    from adapters.bundles import deployed_models, load_policy
    from adapters.configuration import load_settings
    from adapters.datasets.load import load_dataset
    from adapters.strategy_registry import build_strategy, check_names, load_strategy_class
    from engine.market import select
    from strategies.base import Context

    settings = load_settings(config, overrides)
    check_names([name, *settings.strategies])
    paths = (models or deployed_models()) if load_strategy_class(name).policies else ()
    policies = tuple(load_policy(path, settings, allow_other_costs=allow_other_costs) for path in paths)

    def make() -> Strategy:
        return build_strategy(name, settings.strategies.get(name, {}), Context(np.random.default_rng(seed), policies))

    make()  # a mistake in the name or the parameters is told before anything is loaded
    filters = settings.filters
    market = select(load_dataset(data).market, symbols=filters.symbols, exchanges=filters.exchanges)
    with progress_bar() as bar:
        result = audit(
            market, settings, make, policies[0].spec if policies else None, np.random.default_rng(seed),
            cuts=cuts, hours=hours, progress=lambda done: bar(name, done, cuts) if bar else None,
        )  # fmt: skip
    for finding in result.findings:
        click.echo(str(finding))
    verdict = f"LEAKS at {result.leaking_cuts} of them" if result.findings else "nothing leaks"
    click.echo(
        f"{name} on {data}: {result.cuts} random hours, {hours} h before each, {result.orders} orders: {verdict}"
    )
    return 1 if result.findings else 0
