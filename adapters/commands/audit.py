"""``arb audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adapters.commands.progress import progress_bar
from adapters.commands.seeds import SEED


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
def command(**options: Any) -> int:
    """Find out whether a strategy, or the data it gets, looks into the future.

    Everything after random hours is replaced by noise (prices, funding, delisting notices, recorded opportunities,
    rules of orders), or left out; observations, masks, decisions and ledger up to each hour must stay the same. What
    the strategy opens is watched too: the data set and the caches at any time, any file, process or connection while
    it decides. Exit code 1 when something leaks or is opened.

    \b
    Examples:
      arb audit --strategy carry --data data/sample
      arb audit --strategy my_rules:MyRule --data data/sample --cuts 200
    """
    from adapters.reporting.audit_console import audit_lines
    from adapters.research.audit.run import AuditRequest, audited

    asked = AuditRequest(**options)
    with progress_bar() as bar:
        result, sees = audited(asked, lambda done: bar(asked.name, done, asked.cuts) if bar else None)
    lines, passes = audit_lines(asked.name, asked.data, result, sees_compiled_code=sees)
    for line in lines:
        click.echo(line)
    return 0 if passes else 1
