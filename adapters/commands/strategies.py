"""``arb strategies``."""

from __future__ import annotations

import click


@click.command(name="strategies")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def command(names: tuple[str, ...]) -> None:
    """List the strategies with their parameters: the shipped value, its range and what it means.

    A strategy of your own is named by module:Class or ./file.py:Class, here and everywhere else.

    \b
    Examples:
      arb strategies
      arb strategies carry my_rules:MyRule
      arb backtest --strategy carry --set strategies.carry.horizon_hours=72
    """
    from adapters.configuration.settings import load_settings
    from adapters.configuration.strategy_registry import check_names, strategy_classes
    from adapters.reporting.strategy_list import describe

    check_names(names)
    shipped = load_settings().strategies
    for name in names or strategy_classes():
        for line in describe(name, shipped.get(name, {}), must_load=bool(names)):
            click.echo(line)
