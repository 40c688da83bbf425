"""A click group whose commands are imported only when they are called."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """Knows the names and one-line helps of its commands without importing them.

    ``lazy`` maps a name to (module, help); the module exports the click command as ``command``. A command whose
    module is not installed is not listed.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        # find_spec only looks for the file; importing would load every command's libraries for one of them.
        self._lazy = {name: entry for name, entry in lazy.items() if importlib.util.find_spec(entry[0])}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return sorted(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in self._lazy:
            return None
        command: click.Command = importlib.import_module(self._lazy[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._lazy[name][1]) for name in self.list_commands(ctx)])
