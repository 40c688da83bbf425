"""``arb explain-decision``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar


@click.command(name="explain-decision")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Data set.")
@click.option("--at", required=True, type=hour, help="The hour of the decision, like 2025-02-21T08:00Z.")
@click.option("--from", "start", type=hour, help="Play from this hour. [default: 30 days before, or the data's first]")
@click.option("--model", "models", multiple=True, type=click.Path(path_type=Path), help="Bundle or zip; repeatable.")
@click.option("--phase", type=click.IntRange(min=0), help="Decide at another phase of the policy's clock.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--allow-other-costs", is_flag=True, help="Play a model under other fees than it was trained with.")
@click.option("--json", "as_object", is_flag=True, help="One JSON object instead of tables.")
def command(as_object: bool, **options: Any) -> None:
    """Say what a trained policy saw at an hour, and why it decided as it did.

    The policy (default: the shipped one) plays from --from on, so that it has the positions that it would have had.
    Shown are its portfolio, every action with logit and probability (of several networks the mean logits), what it saw
    of every candidate and held pair, and what these are worth to the rule `week`: V, the lower bound of a week's
    funding, less the round trips that an entry must pay. JSON has what the network was given, too.

    \b
    Examples:
      arb explain-decision --data data/sample --at 2025-07-16T08:00Z
      arb explain-decision --data data/sample --at 2025-07-16T08:00Z --set latency_hours=1 --json
    """
    from adapters.reporting.explanation_table import print_decision
    from adapters.research.explanation_run import ExplainRequest, as_json, explain

    with progress_bar() as bar:
        decisions = explain(ExplainRequest(**options), bar)
    if as_object:
        click.echo(json.dumps(as_json(decisions), indent=2, allow_nan=False))
        return
    for one in decisions:
        print_decision(one)
