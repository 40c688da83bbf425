"""``arb deploy``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from adapters.commands.hours import day_or_hour


@click.command(name="deploy")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--agent", type=click.IntRange(min=0), help="Ship this agent; default: the best on validation.")
@click.option("--ensemble", type=click.IntRange(min=2), help="Ship so many best agents, to vote (--strategy ensemble).")
@click.option("--config", type=click.Path(path_type=Path), help="Settings with the rules' parameters for the card.")
@click.option("--to", type=click.Path(path_type=Path), help="Folder to ship to; default: trained_models/deployed.")
@click.option("--trials", "tried", multiple=True, type=click.Path(path_type=Path),
              help="Another run of `arb make-policy` whose trials count too; may be repeated.")  # fmt: skip
@click.option("--look-from", type=day_or_hour, help="First of later hours that the card of a made policy shows too.")
@click.option("--look-to", type=day_or_hour, help="Last of them; look once, when the choice is frozen.")
@click.option("--roll-back", is_flag=True, help="Ship again what was shipped before; no RUN then.")
def command(
    run: Path | None, agent: int | None, ensemble: int | None, config: Path | None, to: Path | None, roll_back: bool,
    tried: tuple[Path, ...], look_from: datetime | None, look_to: datetime | None,
) -> None:  # fmt: skip
    """Ship the best agent of a RUN of `arb train-pbt`, or the policy of one of `arb make-policy`, with a model card.

    The card holds data, windows, costs, search budget, and validation results beside the rules: filled at once, one
    hour late, and with costs doubled. What was shipped before is kept in deployed.previous.

    \b
    Examples:
      arb deploy trained_models/pbt/pbt_20250301_120000
      arb deploy runs/edge --ensemble 3 --config runs/tune-carry/best.yaml
      arb deploy --roll-back
    """
    from adapters.reporting.model_card import model_card
    from adapters.reporting.policy_card import policy_texts
    from adapters.research.shipping import ShippingRequest, rolled_back, shipped
    from adapters.storage.bundles import DEPLOYED

    folder = to or DEPLOYED
    if roll_back:
        if run is not None or agent is not None or ensemble is not None:
            raise click.UsageError("--roll-back takes no RUN, --agent or --ensemble")
        click.echo(rolled_back(folder))
        return
    if run is None:
        raise click.UsageError("Missing argument 'RUN' (or give --roll-back).")
    if agent is not None and ensemble is not None:
        raise click.UsageError("give either --agent or --ensemble")
    if (look_from is None) != (look_to is None):
        raise click.UsageError("--look-from and --look-to belong together")
    look = None if look_from is None or look_to is None else (look_from, look_to)
    click.echo(shipped(ShippingRequest(run, agent, ensemble, config, tried, look), folder, model_card, policy_texts))
    click.echo(f"written to {folder}")
