"""What commands that go on with an earlier run have in common."""

from __future__ import annotations

from collections.abc import Collection

import click


def refuse_other_options(ctx: click.Context, allowed: Collection[str]) -> None:
    """A resumed run keeps its data, windows, seed and settings. Raises ``UsageError`` for an option beside those."""
    default = click.core.ParameterSource.DEFAULT
    given = [p.opts[0] for p in ctx.command.params if ctx.get_parameter_source(p.name or "") is not default]
    others = sorted(set(given) - set(allowed))
    if others:
        raise click.UsageError(f"--resume keeps what the run began with; leave out {', '.join(others)}")
