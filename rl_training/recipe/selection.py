"""Which policy of a recipe is shipped: the tuned one, or the imitation that it began as. Never by validation."""

from __future__ import annotations

from typing import Literal, NamedTuple

Choice = Literal["tuned", "imitation"]


class Comparison(NamedTuple):
    """% per 7 days of the tuned policy and of its start, under the same conditions."""

    what: str
    tuned: float
    imitation: float


class Selection(NamedTuple):
    """What is shipped, with what it was decided by."""

    choice: Choice
    held_back: tuple[Comparison, ...]
    fold: Comparison

    @property
    def reason(self) -> str:
        """In words."""
        worlds = ", ".join(f"{one.what} {one.tuned:+.4f} against {one.imitation:+.4f}" for one in self.held_back)
        fold = f"{self.fold.what} {self.fold.tuned:+.3f} against {self.fold.imitation:+.3f}"
        verdict = "the tuned policy is shipped" if self.choice == "tuned" else "the imitation is shipped"
        return f"{verdict}: held-back worlds {worlds}; {fold} (tuned against imitation, % per 7 days)"


def select(held_back: tuple[Comparison, ...], fold: Comparison) -> Selection:
    """The tuned policy, if it is above its start in held-back worlds at every latency, and not below it in the fold."""
    above = all(one.tuned > one.imitation for one in held_back)
    return Selection("tuned" if above and fold.tuned >= fold.imitation else "imitation", held_back, fold)
