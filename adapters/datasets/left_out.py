"""What of the raw tables does not go into a data set: one line for each leg and reason, or an error if all must."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.errors import DataError

MOST_WRONG_ROWS = 0.05
"""A leg of which a larger share of rows cannot be used is not to be trusted in the rest."""

Leg = tuple[str, str]
"""(coin as a symbol, exchange)."""


@dataclass(frozen=True)
class Place:
    """Where something is wrong: the file, the contract as it is named there, and the first hour."""

    file: str
    contract: str = ""
    hour: str = ""


@dataclass(frozen=True)
class Omission:
    """Something that is left out, and why; ``rows`` in words where it is not everything of the leg in that file."""

    leg: Leg
    why: str
    place: Place
    rows: str = ""

    def as_error(self, more: str = "") -> DataError:
        """The exception for it."""
        coin = f"{self.place.contract} on {self.leg[1]}" if self.place.contract else self.leg[0]
        return DataError(f"{self.why}{more}", file=self.place.file, coin=coin, hour=self.place.hour or None)

    def __str__(self) -> str:
        first = ", ".join(part for part in (self.place.contract, self.place.hour) if part)
        place = "; ".join(part for part in (self.rows, f"first {first}" if self.rows and first else first) if part)
        return f"{self.why} ({place})" if place else self.why


@dataclass
class LeftOut:
    """Collects what is left out. With ``strict`` nothing may be: the first thing is a ``DataError``."""

    strict: bool = True
    _whole: dict[Leg, Omission] = field(default_factory=dict)
    _parts: list[Omission] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)

    def leg(self, leg: Leg, why: str, place: Place) -> None:
        """A whole leg stays out."""
        self._add(Omission(leg, why, place), whole=True)

    def rows(self, leg: Leg, why: str, place: Place, *, wrong: int, of: int) -> None:
        """Some rows of a leg stay out; the whole leg where they are too many."""
        omission = Omission(leg, why, place, f"{wrong:,} of {of:,} rows")
        self._add(omission, whole=wrong > of * MOST_WRONG_ROWS)

    def note(self, line: str) -> None:
        """Something to know that leaves nothing out."""
        self._notes.append(line)

    @property
    def legs(self) -> frozenset[Leg]:
        """The legs that stay out as a whole."""
        return frozenset(self._whole)

    def lines(self) -> list[str]:
        """One line for each leg that is left out, then for each part of one, then the notes."""
        whole = [f"left out: {leg[0]} on {leg[1]}: {self._whole[leg]}" for leg in sorted(self._whole)]
        # Of a leg that is out as a whole nobody needs to know the rows.
        parts = [each for each in self._parts if each.leg not in self._whole]
        told = [f"left out of {each.leg[0]} on {each.leg[1]}: {each}" for each in parts]
        return [*whole, *told, *self._notes]

    def refuse_nothing_left(self, left: int, origin: str) -> None:
        """Raise ``DataError`` when nothing is left, with the reason of the first leg that is not."""
        if left:
            return
        if not self._whole:
            raise DataError("no leg is left: none of the coins there is wanted", file=origin)
        raise next(iter(self._whole.values())).as_error(f"; no leg is left ({len(self._whole)} left out)")

    def _add(self, omission: Omission, *, whole: bool) -> None:
        if self.strict:
            raise omission.as_error()
        if whole:
            self._whole.setdefault(omission.leg, omission)
        else:
            self._parts.append(omission)
