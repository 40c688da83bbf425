"""Who copied whom: the family tree of a population."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rl_training.pbt.population import Assignment


def copies(history: Sequence[Sequence[Assignment]]) -> list[dict[str, Any]]:
    """Every copy in order. ``iteration`` is the one after which it was made; hyperparameters are the explored ones.

    ``history[i]`` holds the assignments of iteration ``i + 1``.
    """
    return [
        {
            "iteration": before,
            "agent": assignment.agent,
            "source": assignment.source,
            "hyperparameters": assignment.hyperparameters,
        }
        for before, assignments in enumerate(history)
        for assignment in assignments
        if assignment.source is not None
    ]


def ancestry(history: Sequence[Sequence[Assignment]], agent: int) -> list[int]:
    """Whose weights an agent carried in each iteration, first to last."""
    carried = [agent]
    # The first iteration copies nobody.
    for assignments in reversed(history[1:]):
        sources = {assignment.agent: assignment.source for assignment in assignments}
        source = sources[carried[-1]]
        carried.append(carried[-1] if source is None else source)
    return carried[::-1]
