"""What ``arb evaluate`` prints: scores, the best trades, what looks too good, and how much may be luck."""

from __future__ import annotations

from textwrap import wrap

import click

from adapters.reporting.evaluation_table import print_scores, print_top_trades
from adapters.reporting.significance_table import print_significance
from adapters.research.evaluation import rank_correlation
from adapters.research.evaluation_run import AT_ONCE, Evaluation
from adapters.research.evaluation_trades import top_trades
from adapters.research.evaluation_trials import verdict
from adapters.research.phases import phase_lines


def print_evaluation(found: Evaluation) -> None:
    """Everything about a finished evaluation."""
    rows, runs, (start, end) = found.rows, found.runs, found.times
    print_scores(rows, title=f"{found.dataset.info.name}: {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}")
    # Looks are counted of models alone, so a row without one is a rule.
    trained = [name for name, row in rows.items() if row["look"] is not None]
    correlation = rank_correlation([episode for name in trained for episode in runs[name][AT_ONCE]])
    if correlation is not None:
        click.echo(f"rank correlation of reward and P&L over episodes: {correlation:.3f}")
    best = max(trained, key=lambda name: float(rows[name]["pnl_pct"]))
    print_top_trades(top_trades(runs[best][AT_ONCE], found.world.tape), list(rows).index(best) + 1)
    for line in [*phase_lines(found.phases), *found.suspicions]:
        click.echo(line)
    if found.record:
        print_significance({str(number): one for number, one in enumerate(found.judged.values(), 1)})
        if len(rows) > 1:
            settings = found.world.settings.significance
            click.echo("\n".join(wrap(verdict(found.record, settings, found.dataset.fingerprint), 99)))
