"""Entry point of the ``arb`` command. Sub-commands are imported only when they are called."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import click

from adapters.lazy_group import LazyGroup
from engine.errors import ArbError, UserError

COMMANDS = {
    "audit": ("adapters.commands.audit", "Find out whether a strategy looks into the future."),
    "backtest": ("adapters.commands.backtest", "Replay a data set through strategies and write results."),
    "compare": ("adapters.commands.compare", "Two runs over the same hours: where their P&L differs, and why."),
    "data": ("adapters.commands.data", "Build, check, split and download data sets."),
    "deploy": ("adapters.commands.deploy", "Make the winner of a run the shipped model, or roll back."),
    "evaluate": ("adapters.commands.evaluate", "Score trained models on a window."),
    "paper-export": ("adapters.commands.paper_export", "Write the files of a backtest from a paper trading state."),
    "paper-status": ("adapters.commands.paper_status", "Equity, positions and health of a paper trading state."),
    "paper-trade": ("adapters.commands.paper_trade", "Trade on paper, hour by hour, on live exchange data."),
    "paper-verify": ("adapters.commands.paper_verify", "Replay a paper trading state through the backtester."),
    "report": ("adapters.commands.report", "Write the report of a run anew, or compare several."),
    "strategies": ("adapters.commands.strategies", "List the strategies and their parameters."),
    "stress": ("adapters.commands.stress", "What a strategy survives: costs, delays, outages, size, leverage."),
    "train": ("adapters.commands.train", "Train one PPO agent."),
    "train-pbt": ("adapters.commands.train_pbt", "Train a population of PPO agents (population based training)."),
    "tune": ("adapters.commands.tune", "Search the parameters of a rule on the validation window."),
    "walk-forward": ("adapters.commands.walk_forward", "Choose on earlier hours, test on later ones, and move on."),
}


@click.group(
    cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="arb")
@click.option("-v", "--verbose", is_flag=True, help="Show where an error comes from; give it before the command.")
def arb(verbose: bool) -> None:  # main() reads the flag
    """Backtest, train and paper-trade strategies on funding-rate differences between exchanges.

    \b
    Examples:
      arb backtest --strategy ppo,carry,hold --data data/sample
      arb data validate data/sample
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. Exit code 2: the user's mistake, told in one line; 130: interrupted."""
    words = sys.argv[1:] if arguments is None else arguments
    verbose = any(word in ("-v", "--verbose") for word in words[:1])
    try:
        outcome: Any = arb.main(args=words, prog_name="arb", standalone_mode=False)
    except click.ClickException as error:
        _tell(error)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except UserError as error:
        _explain(error, verbose)
        sys.exit(2)
    except ArbError as error:
        _explain(error, verbose)
        sys.exit(1)
    sys.exit(outcome if isinstance(outcome, int) else 0)


def _explain(error: ArbError, verbose: bool) -> None:
    """One line; with ``-v`` the traceback before it."""
    if verbose:
        traceback.print_exception(error)
    click.echo(f"error: {error}", err=True)


def _tell(error: click.ClickException) -> None:
    """One line, as for every mistake; a group that was called without a command shows its help."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        error.show()
        return
    where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "arb"
    message = error.format_message().rstrip(".")
    click.echo(f"error: {message}; see `{where} --help`", err=True)


if __name__ == "__main__":
    main()
