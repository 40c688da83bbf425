"""What the gate did not believe, as records and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engine.windows import time_of

NAMED = 5
LONGEST_TEXT = 60


@dataclass(frozen=True)
class Refusal:
    """One value that was not believed: whose, of which hour (number since 1970), and the limit that it broke.

    ``value`` is what was given: a number, or a short text where it was none.
    """

    exchange: str
    symbol: str
    hour: int
    field: str
    value: float | str
    limit: str

    @property
    def shown(self) -> str:
        """The value as people read it."""
        return f"{self.value:g}" if isinstance(self.value, float) else repr(self.value)

    def __str__(self) -> str:
        when = f"{time_of(self.hour):%Y-%m-%dT%H:%MZ}"
        return f"{self.symbol} on {self.exchange}, {when}: {self.field} {self.shown} is not believed ({self.limit})"


def as_given(value: object) -> float | str:
    """A value as it can be kept: a finite number as it is, anything else as short text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        # JSON may hold a whole number of any length; a float cannot.
        except OverflowError:
            return "too large a number"
        # inf and nan less themselves are nan: they are kept as text.
        return number if number - number == 0 else str(number)
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 3]}..."


def lines_of(refusals: Sequence[Refusal]) -> list[str]:
    """Counts by exchange and field, and the first few by name; nothing when everything was believed."""
    if not refusals:
        return []
    counts = Counter((each.exchange, each.field) for each in refusals)
    told = ", ".join(f"{exchange} {field} {n}" for (exchange, field), n in sorted(counts.items()))
    lines = [f"{len(refusals)} values are not believed and count as unknown: {told}"]
    lines += [str(each) for each in sorted(refusals, key=lambda each: (each.hour, each.symbol, each.exchange))[:NAMED]]
    if len(refusals) > NAMED:
        lines.append(f"... and {len(refusals) - NAMED} more")
    return lines
