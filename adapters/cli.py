"""Entry point of the ``arb`` command. Sub-commands are imported only when they are called."""

from __future__ import annotations

import io
import os
import sys
import traceback
from contextlib import suppress
from typing import Any

import click

from adapters.commands.lazy_group import LazyGroup
from adapters.storage.causes import cause
from engine.errors import ArbError, UserError, WorkerError, shown

LONGEST_LINE, LONGEST_WORD = 600, 200
"""Characters of a message and of a word in it; lists and paths may be longer."""

COMMANDS = {
    "audit": ("adapters.commands.audit", "Find out whether a strategy looks into the future."),
    "backtest": ("adapters.commands.backtest", "Replay a data set through strategies and write results."),
    "compare": ("adapters.commands.compare", "Two runs over the same hours: where their P&L differs, and why."),
    "data": ("adapters.commands.data", "Build, check, split and download data sets."),
    "deploy": ("adapters.commands.deploy", "Make the winner of a run the shipped model, or roll back."),
    "evaluate": ("adapters.commands.evaluate", "Score trained models on a window."),
    "explain-decision": (
        "adapters.commands.explain_decision",
        "What a trained policy saw at an hour, and why it did so.",
    ),
    "paper-export": ("adapters.commands.paper_export", "Write the files of a backtest from a paper trading state."),
    "paper-status": ("adapters.commands.paper_status", "Equity, positions and health of a paper trading state."),
    "paper-trade": ("adapters.commands.paper_trade", "Trade on paper, hour by hour, on live exchange data."),
    "paper-verify": ("adapters.commands.paper_verify", "Replay a paper trading state through the backtester."),
    "report": ("adapters.commands.report", "Write the report of a run anew, or compare several."),
    "scan": (
        "adapters.commands.scan",
        "Funding now: per coin the best pair, what it costs and when that is paid back.",
    ),
    "serve": ("adapters.commands.serve", "Show paper trading as a page and an API, read-only."),
    "runs": ("adapters.commands.runs", "List the folders of runs with their numbers."),
    "strategies": ("adapters.commands.strategies", "List the strategies and their parameters."),
    "stress": ("adapters.commands.stress", "What a strategy survives: costs, delays, outages, size, leverage."),
    "train": ("adapters.commands.train", "Train one PPO agent."),
    "make-policy": ("adapters.commands.make_policy", "Make a policy by a recipe: imitate a rule, then train on."),
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
    """Run the command line.

    Exit code 2: a mistake of the user's or a trouble of the machine's, told in one line; 130: interrupted; 1: a defect
    of ours, with its traceback.
    """
    words = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may hold what a terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    # Read here, since errors of the parsing itself come before click has given any option.
    verbose = any(word in ("-v", "--verbose") for word in words[:1])
    try:
        _check_words(words)
        # Otherwise click ends the process itself and tells of mistakes in several lines and in its own words.
        outcome: Any = arb.main(args=words, prog_name="arb", standalone_mode=False)
        # A reader that has gone away (head) is noticed now, and not at the end where nothing can be caught.
        sys.stdout.flush()
    except click.ClickException as error:
        _tell(error)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except ArbError as error:
        _explain(error, str(error), verbose)
        # An error of a worker that brings a trace is a defect in it, although it comes as one of our own kind.
        is_told = isinstance(error, UserError) or (isinstance(error, WorkerError) and not error.trace)
        sys.exit(2 if is_told else 1)
    except BrokenPipeError:
        _stop_writing()
        sys.exit(1)
    except Exception as error:
        told = cause(error)
        if told is None:
            raise
        _explain(error, told, verbose)
        _let_go_of_output()
        sys.exit(2)
    sys.exit(outcome if isinstance(outcome, int) else 0)


def _check_words(words: list[str]) -> None:
    """Raise ``UserError`` for what no path and no name can hold."""
    for word in words:
        if "\0" in word or any("\ud800" <= letter <= "\udfff" for letter in word):
            raise UserError(f"{shown(word)} is no text: it holds a NUL or bytes that are not UTF-8")


def _explain(error: Exception, told: str, verbose: bool) -> None:
    """One line; with ``-v`` the traceback before it."""
    if verbose:
        traceback.print_exception(error)
    elif isinstance(error, WorkerError) and error.trace:
        click.echo(error.trace, err=True)
    click.echo(f"error: {shortened(told)}", err=True)


def _let_go_of_output() -> None:
    """What could not be written would be tried again at the end, and would fail in words that are not ours."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _stop_writing()


def _stop_writing() -> None:
    """Whoever read our output has gone; what is still to be written at the end must not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError):
        os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def shortened(text: str) -> str:
    """A message as one line that a terminal shows whole; of a long one, and of a long word, the middle is left out."""
    line = " ".join(word if len(word) <= LONGEST_WORD else f"{word[:97]}...{word[-97:]}" for word in text.split())
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 205]} ... {line[-200:]}"


def _tell(error: click.ClickException) -> None:
    """One line, as for every mistake; a group that was called without a command shows its help."""
    # Older versions of click have no such class, and of an empty tuple nothing is an instance.
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        error.show()
        return
    where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "arb"
    message = shortened(error.format_message()).rstrip(".")
    click.echo(f"error: {message}; see `{where} --help`", err=True)


if __name__ == "__main__":
    main()
