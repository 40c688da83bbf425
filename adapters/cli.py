"""Entry point of the ``arb`` command. Sub-commands are imported only when they are called."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from engine.errors import ArbError, UserError

COMMANDS = {
    "backtest": ("adapters.commands.backtest", "Replay a data set through strategies and write results."),
    "data": ("adapters.commands.data", "Build, check, split and download data sets."),
    "evaluate": ("adapters.commands.evaluate", "Score trained models on a window."),
    "strategies": ("adapters.commands.strategies", "List the strategies and their parameters."),
    "train": ("adapters.commands.train", "Train one PPO agent."),
    "tune": ("adapters.commands.tune", "Search the parameters of a rule on the validation window."),
}


class LazyGroup(click.Group):
    """A group that knows the names and one-line helps of its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="arb")
def arb() -> None:
    """Backtest, train and paper-trade strategies on funding-rate differences between exchanges.

    \b
    Examples:
      arb backtest --strategy ppo,carry,hold --data data/sample
      arb data validate data/sample
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. Exit code 2: the user's mistake, told in one line; 130: interrupted."""
    try:
        outcome: Any = arb.main(args=arguments, prog_name="arb", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except ArbError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    sys.exit(outcome if isinstance(outcome, int) else 0)


if __name__ == "__main__":
    main()
