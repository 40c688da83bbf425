"""What commands that go on with an earlier run have in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import click


def goes_on(
    resume: Path | None, ctx: click.Context, needed: Collection[str], *, kept: Collection[str] = ("--workers",)
) -> TypeGuard[Path]:
    """Whether a run is to go on, and nothing is asked that would change it; else all that a new one needs is given.

    Raises ``UsageError`` for an option that is missing, or that only a new run has; ``kept`` are those of both.
    """
    if resume is not None:
        _refuse_other_options(ctx, ("--resume", *kept))
        return True
    _require(ctx.params, *needed)
    return False


def _require(options: Mapping[str, Any], *names: str) -> None:
    """What a new run needs and a resumed one has. Raises ``UsageError`` naming the first option that is missing."""
    for name in names:
        if options[name.removeprefix("--").replace("-", "_")] is None:
            raise click.UsageError(f"Missing option '{name}' (or give --resume).")


def _refuse_other_options(ctx: click.Context, allowed: Collection[str]) -> None:
    """A resumed run keeps its data, windows, seed and settings. Raises ``UsageError`` for an option beside those."""
    default = click.core.ParameterSource.DEFAULT
    # By where a value comes from: a default that was typed contradicts a run that began with another value.
    given = [p.opts[0] for p in ctx.command.params if ctx.get_parameter_source(p.name or "") is not default]
    others = sorted(set(given) - set(allowed))
    if others:
        raise click.UsageError(f"--resume keeps what the run began with; leave out {', '.join(others)}")
