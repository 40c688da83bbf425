"""What came of `arb make-policy`, for people: % per 7 days by fold, player and scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapters.research.phases import PNL, WORST
from adapters.research.policy.run import read_results


def policy_lines(folder: Path) -> Iterator[str]:
    """A table a fold: mean over phases, the worst in brackets."""
    for fold, players in read_results(folder)["folds"].items():
        yield f"fold {fold}: % of capital per 7 days, mean over the phases of the clock (worst)"
        heads = list(next(iter(players.values())))
        yield f"  {'':10}" + "".join(f"{head:>19}" for head in heads)
        for name, by_scenario in players.items():
            yield f"  {name:10}" + "".join(f"{cell(by_scenario[head]):>19}" for head in heads)


def cell(mean: Mapping[str, Any]) -> str:
    """Mean and worst of one scenario."""
    worst = mean.get(WORST + PNL)
    return f"{mean[PNL]:+.3f}" + ("" if worst is None else f" ({worst:+.3f})")
