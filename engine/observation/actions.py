"""What a policy's actions mean (docs/design.md section 6): one numbering, with its names, its orders and its mask.

======================  ==============================================
0                       hold
1 .. O                  enter the opportunity that is shown at that place
O + 1 .. O + P          exit the position in that slot
======================  ==============================================

A bundle stores the names in order and is refused where they are others, so a numbering cannot change unnoticed.
"""

from __future__ import annotations

from typing import Any

from engine.accounting.books import Books
from engine.accounting.codes import ENTER, EXIT, FREE, NO_ORDER, OPEN
from engine.compiled import hourly
from engine.market.data import Ints

HOLD, FIRST_ENTRY = 0, 1


def action_names(opportunities: int, positions: int) -> list[str]:
    """What each action means, in order."""
    entries = [f"enter opportunity {k + 1}" for k in range(opportunities)]
    return ["hold", *entries, *(f"exit position {k + 1}" for k in range(positions))]


def action_count(opportunities: int, positions: int) -> int:
    """How many actions there are."""
    return FIRST_ENTRY + opportunities + positions


@hourly
def is_action(action: int, opportunities: int, positions: int) -> bool:
    """Whether a number is that of an action."""
    return bool(HOLD <= action < FIRST_ENTRY + opportunities + positions)


@hourly
def decode_action(action: int, visible: Ints, order: Any) -> None:
    """Turn an action into an order record; an action on an empty slot becomes an order that is refused, recorded.

    ``visible`` ``[O]`` are the pairs that the observation showed, -1 where it showed none.
    """
    first_exit = FIRST_ENTRY + visible.shape[0]
    if action == HOLD:
        order.kind, order.target = NO_ORDER, 0
    elif action < first_exit:
        order.kind, order.target = ENTER, visible[action - FIRST_ENTRY]
    else:
        order.kind, order.target = EXIT, action - first_exit


@hourly
def action_mask(books: Books, b: int, visible: Ints, out: Any) -> None:
    """Which of the ``1 + O + P`` actions would not be refused for want of an opportunity, slot or position."""
    slots, opportunities = books.slots.shape[1], visible.shape[0]
    out[HOLD] = True
    has_free_slot = False
    for s in range(slots):
        slot = books.slots[b, s]
        has_free_slot = has_free_slot or slot.status == FREE
        # With an exit under way (``due``) another one would be refused.
        out[FIRST_ENTRY + opportunities + s] = slot.status == OPEN and slot.due < 0
    for k in range(opportunities):
        out[FIRST_ENTRY + k] = has_free_slot and visible[k] >= 0
