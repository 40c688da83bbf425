"""The baseline that every strategy must beat: cash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from strategies.plugin import Context, NoParameters, Order, Settings, View


class Hold:
    """Stays in cash and never trades."""

    Parameters: ClassVar[type[Settings]] = NoParameters
    policies: ClassVar[int] = 0

    def __init__(self, parameters: Settings, context: Context) -> None:
        """Nothing to set up."""

    def decide(self, view: View) -> Sequence[Order]:  # noqa: ARG002  # the interface passes it, cash ignores it
        return ()
