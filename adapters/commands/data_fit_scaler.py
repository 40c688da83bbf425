"""``arb data fit-scaler``."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from adapters.commands.hours import hour


@click.command(name="fit-scaler")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--from", "start", type=hour, help="First hour; default: of the training window.")
@click.option("--to", "end", type=hour, help="Last hour, inclusive; default: of the training window.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file; default: print it.")
def command(
    dataset: Path,
    start: datetime | None,
    end: datetime | None,
    config: Path | None,
    overrides: tuple[str, ...],
    out: Path | None,
) -> None:
    """Fit mean and deviation of each feature on the training window of DATASET and show them as JSON.

    `arb train` fits its own scaler in the same way and puts it into the bundle; an old feature_scaler.pkl is never
    loaded.

    \b
    Examples:
      arb data fit-scaler data/sample
      arb data fit-scaler data/sample --out runs/scaler.json
    """
    from adapters.configuration.settings import load_settings
    from adapters.datasets.load import load_dataset
    from adapters.research.scaler_file import is_scaler, scaler_facts
    from adapters.storage.atomic import replacing_file
    from adapters.storage.giving_way import check_file

    if out is not None:
        # Before the data set is read: a refusal must not come after the work is done.
        check_file(out, is_scaler, "what `arb data fit-scaler` wrote")
    settings = load_settings(config, overrides)
    facts = scaler_facts(load_dataset(dataset, settings.gate), settings, start, end)
    text = json.dumps(facts, indent=2) + "\n"
    if out is None:
        click.echo(text, nl=False)
        return
    with replacing_file(out) as aside:
        aside.write_text(text, encoding="utf-8")
    first, last = (datetime.fromisoformat(facts[end]) for end in ("from", "to"))
    click.echo(f"{out}: {len(facts['mean'])} features, {first:%Y-%m-%dT%H:%MZ} to {last:%Y-%m-%dT%H:%MZ}")
