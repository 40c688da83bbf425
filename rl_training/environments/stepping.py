"""One step of B portfolios from actions to observations, composed of the engine's functions in one compiled call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.accounting.books import ORDER, Books
from engine.accounting.codes import ENTER
from engine.accounting.hour import next_hour
from engine.accounting.marking import plus_unrealised
from engine.accounting.tape import TapeArrays
from engine.compiled import hourly
from engine.market.data import Floats, Ints
from engine.observation.actions import action_mask, decode_action, is_action
from engine.observation.encoding import Float32s, encode
from rl_training.environments.candidates import Candidates

BAD_ACTION = -1
Flags = NDArray[np.bool_]


class Clock(NamedTuple):
    """Hours of B portfolios: the row that each has opened, and the last of its window.

    Rows that are ``offset`` and a multiple of ``every`` are decided at; in between everything is held.
    """

    rows: Ints
    last_rows: Ints
    every: int
    offset: int


class StepBuffers(NamedTuple):
    """What a step leaves for the next one, of each portfolio: what its observation showed, and what its action became.

    Written in place, so that a step allocates nothing.
    """

    visible: Ints  # [B, O] pairs, -1: none
    orders: NDArray[np.void]  # [B, 1]
    gains: Floats  # [B] USD
    decided: Ints  # [B] rows at which the actions were chosen
    refused: Ints  # [B] orders refused before this step
    returns: Floats  # [B] sum of rewards of the episode so far


def blank_buffers(portfolios: int, opportunities: int) -> StepBuffers:
    """Before the first observation: nothing is shown."""
    return StepBuffers(
        np.full((portfolios, opportunities), -1, np.int64),
        np.zeros((portfolios, 1), ORDER),
        np.zeros(portfolios),
        np.zeros(portfolios, np.int64),
        np.zeros(portfolios, np.int64),
        np.zeros(portfolios),
    )


@hourly
def observe(
    tape: TapeArrays, books: Books, candidates: Candidates, rows: Ints, which: Ints, visible: Ints, out: Float32s
) -> None:
    """Observations of the portfolios in ``which`` into ``out`` ``[B, size]``."""
    for b in which:
        t = rows[b]
        encode(tape, books, b, t, t, candidates.ranked, visible[b], out[b])


@hourly
def hold(tape: TapeArrays, books: Books, b: int, clock: Clock, close_at_end: bool, nothing: NDArray[np.void]) -> float:
    """Hold portfolio b until the next row that is decided at, at most to the last; returns the gain in USD."""
    gain = 0.0
    while clock.rows[b] < clock.last_rows[b] and (clock.rows[b] - clock.offset) % clock.every != 0:
        gain += next_hour(tape, books, b, clock.rows, clock.last_rows, close_at_end, nothing)
    return gain


@hourly
def wait(tape: TapeArrays, books: Books, clock: Clock, close_at_end: bool, buffers: StepBuffers, which: Ints) -> None:
    """Hold the portfolios in ``which``, whose windows have just begun, until their first decision."""
    for b in which:
        hold(tape, books, b, clock, close_at_end, buffers.orders[b, :0])


@hourly
def mask(books: Books, visible: Ints, out: Flags) -> None:
    """Action masks of all portfolios into ``out`` ``[B, actions]``."""
    for b in range(out.shape[0]):
        action_mask(books, b, visible[b], out[b])


@hourly
def _shaping(candidates: Candidates, t: int, order: Any, was_refused: bool, terms: Floats) -> float:
    """Reward besides P&L of an order given at row t."""
    if was_refused:
        return float(-terms[1])
    if order.kind != ENTER or terms[2] == terms[3] == 0.0:
        return 0.0
    for k in range(candidates.ranked.pairs.shape[1]):
        if candidates.ranked.pairs[t, k] == order.target:
            return float(terms[2] if candidates.quality[t, k] else -terms[3])
    return 0.0


@hourly
def step(
    tape: TapeArrays,
    books: Books,
    candidates: Candidates,
    clock: Clock,
    close_at_end: bool,
    terms: Floats,
    buffers: StepBuffers,
    actions: Ints,
    observations: Float32s,
    rewards: Float32s,
    dones: Flags,
) -> int:
    """Carry out ``actions`` ``[B]``, go on to the next hour that is decided at, observe it; how many are done.

    ``terms`` are those of ``rewards``. ``BAD_ACTION``, with nothing done, when an action does not exist.
    """
    count = actions.shape[0]
    slots, opportunities = books.slots.shape[1], buffers.visible.shape[1]
    # All are checked before one is carried out: half a step cannot be taken back.
    for b in range(count):
        if not is_action(actions[b], opportunities, slots):
            return BAD_ACTION
    for b in range(count):
        decode_action(actions[b], buffers.visible[b], buffers.orders[b, 0])
        # The book counts over the whole episode; whether this order was refused is the difference over the step.
        buffers.refused[b] = books.portfolios[b].refused
        buffers.decided[b] = clock.rows[b]
    only_closed = terms[4] > 0.0
    for b in range(count):
        # Equity less what is unrealised: what is left counts price P&L when it is realised.
        open_before = plus_unrealised(tape, books, b, clock.rows[b], 0.0) if only_closed else 0.0
        gain = next_hour(tape, books, b, clock.rows, clock.last_rows, close_at_end, buffers.orders[b])
        gain += hold(tape, books, b, clock, close_at_end, buffers.orders[b, :0])
        open_after = plus_unrealised(tape, books, b, clock.rows[b], 0.0) if only_closed else 0.0
        buffers.gains[b] = gain - (open_after - open_before)
    done = 0
    for b in range(count):
        t = clock.rows[b]
        was_refused = books.portfolios[b].refused > buffers.refused[b]
        # The hour has moved on: the action was chosen from the candidates of an earlier row.
        shaping = _shaping(candidates, buffers.decided[b], buffers.orders[b, 0], was_refused, terms)
        rewards[b] = buffers.gains[b] * terms[0] + shaping
        # In float64 and not from the float32 rewards, whose rounding would add up over an episode.
        buffers.returns[b] += buffers.gains[b] * terms[0] + shaping
        dones[b] = t >= clock.last_rows[b]
        done += dones[b]
        encode(tape, books, b, t, t, candidates.ranked, buffers.visible[b], observations[b])
    return done
