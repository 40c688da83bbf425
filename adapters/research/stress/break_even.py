"""How far costs may rise before a strategy that adapts to them loses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Probe = Callable[[float], tuple[float, int]]
"""Cost multiple to (P&L in USD, trades) of a whole run."""

LOSES, STOPS_TRADING, BEYOND, NEVER_EARNS = "loses", "stops trading", "beyond", "never earns"


@dataclass(frozen=True)
class BreakEven:
    """The first break-even found: the run earns at ``earns_at`` and no longer at ``ends_at`` (cost multiples).

    ``kind`` says how it ends: it loses, it stops trading, it still earns at the highest multiple tried (``beyond``,
    ``ends_at`` None), or it does not even earn free of costs (both None). ``probed`` are all (P&L, trades) by multiple.
    Decisions change with costs, so that P&L need not fall steadily; between the multiples probed it may cross zero
    more often.
    """

    kind: str
    earns_at: float | None
    ends_at: float | None
    probed: Mapping[float, tuple[float, int]] = field(default_factory=dict)


def find_break_even(probe: Probe, multiples: Sequence[float], *, highest: float, tolerance: float) -> BreakEven:
    """Walk up from x1 (from x0 when x1 loses) through ``multiples``, then by doubling; bisect the first crossing."""
    probed: dict[float, tuple[float, int]] = {}

    def earns(multiple: float) -> bool:
        if multiple not in probed:
            probed[multiple] = probe(multiple)
        return probed[multiple][0] > 0

    # Costs of zero are only asked for where the run loses as it is.
    low = 1.0 if earns(1.0) else 0.0
    if not earns(low):
        return BreakEven(NEVER_EARNS, None, None, probed)
    for high in _upwards(low, multiples, highest):
        if earns(high):
            low = high
            continue
        while high - low > tolerance:
            middle = (low + high) / 2
            low, high = (middle, high) if earns(middle) else (low, middle)
        return BreakEven(LOSES if probed[high][1] else STOPS_TRADING, low, high, probed)
    return BreakEven(BEYOND, low, None, probed)


def _upwards(low: float, multiples: Sequence[float], highest: float) -> list[float]:
    steps = sorted({multiple for multiple in (1.0, *multiples) if low < multiple <= highest})
    while (steps[-1] if steps else low) < highest:
        steps.append(min(2 * (steps[-1] if steps else low), highest))
    return steps
