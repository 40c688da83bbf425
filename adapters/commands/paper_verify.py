"""``arb paper-verify``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="paper-verify")
@click.option("--state", type=click.Path(path_type=Path), default=Path("runs/paper"), show_default=True)
@click.option("--model", "models", multiple=True, help="Where the bundle is now, if it was moved; repeatable.")
def command(state: Path, models: tuple[str, ...]) -> int:
    """Replay a state's recorded observations through the backtester: books first, then the strategy's decisions.

    Exit code 1, with the first difference, when anything differs.

    \b
    Example:
      arb paper-verify --state runs/paper
    """
    from adapters.paper.integrity import damage_of
    from adapters.paper.journal import Journal
    from adapters.paper.setup import check_unchanged, prepare_player, settings_of
    from adapters.paper.verify import NOT_REPLAYED, verify

    # What the replay compares is not checked at the opening: a difference says more than a wrong digest.
    with Journal.open_for_reading(state, checked=NOT_REPLAYED) as journal:
        meta = journal.meta
        player = prepare_player(
            meta["strategy"]["name"], settings_of(meta), models or meta["model_paths"], meta["seed"]
        )
        # Another scaler or other weights would decide differently and look like a fault of the journal.
        check_unchanged(state, meta, {"models": player.identity["models"]})
        verdict = verify(journal, player)
        difference = verdict.difference or damage_of(journal, thorough=True)
    counted = f"{verdict.hours} hours, {verdict.decisions} decisions, {verdict.ledger_entries} ledger entries"
    if difference is None:
        click.echo(f"{counted}: the backtester agrees to the last bit")
        return 0
    click.echo(f"{counted}: DIFFERENT\n{difference}")
    return 1
