"""B portfolios that live through episodes: what the gymnasium and the vectorised environment share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from engine.accounting.loop import HourlyLoop
from engine.accounting.records import Records, join
from engine.accounting.tape import Tape
from engine.compiled import bind
from engine.errors import UserError
from engine.market.data import Ints
from engine.observation.encoding import Float32s, ObservationSpec, Scaler
from engine.observation.opportunities import OpportunityBuilder
from rl_training.environments.candidates import Candidates, candidate_table, check_positions
from rl_training.environments.rewards import reward_terms
from rl_training.environments.stepping import BAD_ACTION, Clock, Flags, blank_buffers, mask, observe, step, wait
from rl_training.settings import EpisodeSettings, RewardSettings

StateArrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class TrainingMarket:
    """The hours that environments may use, with what can be seen there: made once, shared by any number of them."""

    tape: Tape
    spec: ObservationSpec
    candidates: Candidates
    first: int
    last: int

    @classmethod
    def over(
        cls, builder: OpportunityBuilder, spec: ObservationSpec, scaler: Scaler, first: int, last: int
    ) -> TrainingMarket:
        """Rows ``first..last``, both included; nothing after ``last`` is looked at."""
        return cls(builder.tape, spec, candidate_table(builder, spec, scaler, first, last), first, last)

    def observation_space(self) -> Any:
        """A ``Box`` of any finite float32: opportunities are standardised but not clipped."""
        limit = float(np.finfo(np.float32).max)
        return spaces.Box(-limit, limit, (self.spec.size,), np.float32)

    def action_space(self) -> spaces.Discrete:
        """Hold, enter opportunity 1..O, exit position 1..P."""
        return spaces.Discrete(self.spec.actions)

    def draw(self, rng: np.random.Generator, length_hours: int, count: int) -> tuple[Ints, Ints]:
        """First and last rows of random windows in which ``length_hours`` decisions are made, each ``[count]``."""
        # So many decisions need one row more: the last row only shows what became of the last decision.
        latest, clock, offset = self.last - length_hours, self.spec.clock, self.clock_offset
        # Windows begin where it is decided: rows are ``offset`` and a multiple of the hours between decisions.
        least, most = -((offset - self.first) // clock.every_hours), (latest - offset) // clock.every_hours
        if most < least:
            raise UserError(
                f"an episode of {length_hours} h does not fit into {self.last - self.first + 1} h of data; "
                "lower training.episode.length_hours"
            )
        first = offset + clock.every_hours * rng.integers(least, most, size=count, endpoint=True)
        return first, first + length_hours

    def window(self, options: Mapping[str, Any]) -> tuple[int, int]:
        """The rows ``first`` and ``last`` of reset options. Raises ``UserError`` unless they are a window in here."""
        if set(options) != {"first", "last"}:
            raise UserError(f"reset options are the rows 'first' and 'last', not {sorted(options)}")
        first, last = int(options["first"]), int(options["last"])
        if not self.first <= first < last <= self.last:
            raise UserError(f"rows {first} to {last} are no window within rows {self.first} to {self.last}")
        return first, last

    @property
    def clock_offset(self) -> int:
        """The first row that is decided at, counted from row 0."""
        return self.spec.clock.offset(int(self.tape.arrays.legs["first_hour"][0]))


class Episodes:
    """Steps B portfolios of a training market; a step is one compiled call."""

    def __init__(
        self,
        market: TrainingMarket,
        portfolios: int,
        episode: EpisodeSettings,
        reward: RewardSettings,
        *,
        recording_hours: int = 0,
    ) -> None:
        check_positions(market.spec, market.tape)
        self.market, self.length_hours, self.close_at_end = market, episode.length_hours, episode.close_at_end
        every = market.spec.clock.every_hours
        # A step must fit, and the close at its end.
        room = max(recording_hours, 2 * every) if recording_hours else 0
        self.loop = HourlyLoop(market.tape, portfolios, close_at_end=episode.close_at_end, recording_hours=room)
        self.clock = Clock(self.loop.rows, self.loop.last_rows, every, market.clock_offset)
        self.buffers = blank_buffers(portfolios, market.spec.opportunities)
        self.lengths: Ints = np.zeros(portfolios, np.int64)
        self._terms = reward_terms(reward, market.tape.settings.initial_capital_usd)
        self._recording = recording_hours > 0
        self._parts: list[list[Records]] = [[] for _ in range(portfolios)]
        self._finished: list[Records | None] = [None] * portfolios
        self._everyone = np.arange(portfolios)
        self._masks: Flags = np.zeros((portfolios, market.spec.actions), np.bool_)
        self._bind(portfolios)

    def _bind(self, portfolios: int) -> None:
        market, books = self.market, self.loop.books
        self._constant = (market.tape.arrays, books, market.candidates)
        self._rules = (self.clock, self.close_at_end, self._terms, self.buffers)
        observations = np.empty((portfolios, market.spec.size), np.float32)
        rewards, dones = np.empty(portfolios, np.float32), np.empty(portfolios, np.bool_)
        self._step = bind(step, *self._constant, *self._rules, self._everyone, observations, rewards, dones)
        self._observe = bind(
            observe, *self._constant, self.loop.rows, self._everyone, self.buffers.visible, observations
        )
        waiting = (market.tape.arrays, books, self.clock, self.close_at_end, self.buffers)
        self._wait = bind(wait, *waiting, self._everyone)
        self._waiting = waiting
        self._mask = bind(mask, books, self.buffers.visible, self._masks)

    def start(self, first: Ints, last: Ints, which: Ints, out: Float32s) -> None:
        """Begin an episode for each portfolio in ``which`` and write its observation into its row of ``out``.

        It is held until its first decision. Raises ``UserError`` for a window without one.
        """
        every = self.clock.every
        if every > 1 and np.any(first + (self.clock.offset - first) % every >= last):
            raise UserError(f"the window has no hour at which is decided ({self.market.spec.clock}); make it longer")
        self.loop.start(first, last, which)
        # A portfolio that begins anew must not carry the reward of its episode before.
        self.buffers.returns[which] = 0.0
        self.lengths[which] = last - first
        if every > 1:
            self._wait(*self._waiting, which)
            self._record_hours(int((self.loop.rows[which] - first).max()))
        self._observe(*self._constant, self.loop.rows, which, self.buffers.visible, out)

    def start_random(self, rng: np.random.Generator, which: Ints, out: Float32s) -> None:
        """Begin an episode in a random window for each portfolio in ``which``."""
        self.start(*self.market.draw(rng, self.length_hours, len(which)), which, out)

    def step(self, actions: Any, observations: Float32s, rewards: Float32s, dones: Flags) -> int:
        """Carry out ``actions`` ``[B]`` and fill the given arrays; returns how many episodes are over.

        Raises ``UserError`` for an action that does not exist; nothing has happened then.
        """
        # The bound machine code checks nothing: another dtype or layout would be read as garbage.
        numbers = np.ascontiguousarray(actions, np.int64)
        if len(numbers) != len(rewards):
            raise UserError(f"{len(numbers)} actions were given for {len(rewards)} environments")
        over: int = self._step(*self._constant, *self._rules, numbers, observations, rewards, dones)
        if over == BAD_ACTION:
            raise UserError(f"there is an action outside 0..{self.market.spec.actions - 1} in {numbers.tolist()}")
        if self._recording:
            self._record(dones, over)
        return over

    def masks(self) -> Flags:
        """Which actions would not be refused for want of an opportunity, slot or position, ``[B, actions]``."""
        self._mask(self.loop.books, self.buffers.visible, self._masks)
        # Callers may keep masks; the buffer is written again by the next call.
        return self._masks.copy()

    def _record(self, dones: Flags, over: int) -> None:
        self._record_hours(self.clock.every, ended=over > 0)
        for b in np.flatnonzero(dones):
            self._finished[b], self._parts[b] = join(self._parts[b]), []

    def _record_hours(self, hours: int, *, ended: bool = False) -> None:
        self.loop.undrained += hours
        # Draining copies, so it waits until an episode ends or the buffers could not hold another step.
        if not self._recording or (not ended and not self.loop.must_drain(self.clock.every)):
            return
        # All of them: the hours since the last drain are counted once for all portfolios.
        for b in self._everyone:
            self._parts[b].append(self.loop.drain(int(b)))

    def records(self, b: int) -> Records:
        """What portfolio b has recorded: of the episode it is in, or before its first step, of the one before."""
        if not self._recording:
            raise UserError("nothing is recorded; make the environment with recording_hours above 0")
        for other in self._everyone:
            self._parts[other].append(self.loop.drain(int(other)))
        current = join(self._parts[b])
        finished = self._finished[b]
        return finished if finished is not None and not len(current.hours) else current

    def state(self) -> StateArrays:
        """All that continuing needs besides the settings, as arrays; records are not part of it."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Continue where ``state()`` was taken. Raises ``UserError`` when it is of other environments."""
        arrays = self._arrays()
        # Everything is checked before anything is written, so that a state that does not fit leaves this one whole.
        for name, array in arrays.items():
            saved = state.get(name)
            if saved is None or saved.shape != array.shape or saved.dtype != array.dtype:
                raise UserError(f"the saved state is of other environments: {name} does not fit")
        for name, array in arrays.items():
            array[...] = state[name]

    def _arrays(self) -> StateArrays:
        books, buffers = self.loop.books, self.buffers
        return {
            "portfolios": books.portfolios, "slots": books.slots,
            "ghosts": books.awaiting_settlement,  # the name in saved states, which must stay readable
            "wallets": books.wallets,
            "rows": self.loop.rows, "last_rows": self.loop.last_rows,
            "lengths": self.lengths,
            "visible": buffers.visible, "returns": buffers.returns,
        }  # fmt: skip
