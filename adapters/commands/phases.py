"""The option that names phases of a rule with a clock."""

from __future__ import annotations

import click

from engine.errors import shown


def phases(text: str) -> tuple[int, ...]:
    """Phases like 0,4: the ``type`` of a click option."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 4 for part in parts):
        raise click.BadParameter(f"{shown(text)} is no list of phases; write it like 0,4")
    return tuple(sorted({int(part) for part in parts}))


PHASES = click.option(
    "--phases", type=phases, help="Judge a rule with a clock by these phases, like 0,4. [default: all]"
)
