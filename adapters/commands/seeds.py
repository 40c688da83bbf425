"""Seeds on the command line: the ``type`` of a click option."""

from __future__ import annotations

import click

SEED = click.IntRange(0, 2**32 - 1)
"""What every generator that is used takes (``engine.settings.Seed``)."""
