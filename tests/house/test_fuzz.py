"""A little of every fuzzing campaign (``make fuzz`` runs them for minutes); the runner sees what may go wrong."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing.campaign import OUTCOMES, PEACEFUL, Campaign, campaigns, run

CASES, SEED = 60, 0
FEWER = {"missing funding": 15, "raw tables": 30, "saved runs": 30, "journals": 30, "imported files": 30}
"""Their cases take long; ``make fuzz`` does more of them."""
NEVER_REFUSED = {"missing funding"}
"""What they make is right as it stands; what is done with it is compared."""


@pytest.mark.parametrize("campaign", campaigns(), ids=lambda campaign: campaign.name)
def test_what_is_mutated_is_refused_or_right(campaign: Campaign) -> None:
    cases = FEWER.get(campaign.name, CASES)
    tally = run(campaign, cases, SEED)
    assert tally.failures == [], "\n\n".join(map(str, tally.failures[:3]))
    assert tally.cases == cases
    assert set(tally.counts) <= set(PEACEFUL)
    assert tally.counts["refused"] or campaign.name in NEVER_REFUSED, "nothing was ever refused: does it mutate at all?"


def test_there_are_campaigns_of_our_kinds() -> None:
    assert {"settings", "journals", "strategy answers"} <= {one.name for one in campaigns()}


def outside(folder: Path) -> str:
    (folder.parent / "beside").write_text("x")
    return "accepted"


def where_it_stands(_: Path) -> str:
    Path("runs").mkdir()
    return "accepted"


def far_away(_: Path) -> str:
    (Path(__file__).parent / "never.tmp").open("w").close()
    return "refused"


def renames(folder: Path) -> str:
    (folder / "a").write_text("x")
    (folder / "a").rename(folder.parent.parent / "b")
    return "refused"


def removes_a_tree(folder: Path) -> str:
    (folder / "a").mkdir()
    (folder / "a" / "b").write_text("x")
    shutil.rmtree(folder / "a")
    return "accepted"


def wrong(_: Path) -> str:
    raise AssertionError("an absurd number was believed")


def defect(_: Path) -> str:
    raise KeyError("x")


def ends(_: Path) -> str:
    raise SystemExit(0)


def hangs(_: Path) -> str:
    time.sleep(60)
    return "accepted"


def spins(_: Path) -> str:
    while True:
        with contextlib.suppress(Exception):  # whatever swallows errors does not swallow the end of its time
            sum(range(1000))


def warns(_: Path) -> str:
    import warnings

    warnings.warn("odd", stacklevel=1)
    return "accepted"


@pytest.mark.parametrize(
    ("case", "outcome", "words"),
    [
        (outside, "outside", "beside"),
        (where_it_stands, "outside", "runs"),
        (far_away, "outside", "never.tmp"),
        (renames, "outside", "/b"),
        (wrong, "wrong", "an absurd number was believed"),
        (defect, "traceback", "KeyError"),
        (ends, "traceback", "SystemExit"),
        (hangs, "hang", "not done within 0.3 s"),
        (spins, "hang", "not done within 0.3 s"),
        (warns, "traceback", "odd"),
        (lambda _: "fine", "traceback", "it answered 'fine'"),
    ],
)
def test_the_runner_sees(case: Callable[[Path], str], outcome: str, words: str) -> None:
    before = Path.cwd()
    tally = run(
        Campaign("made up", lambda _, folder: case(folder)), 1, 7, first=3, limit_seconds=0.3, warm_up_seconds=0
    )
    (Path(__file__).parent / "never.tmp").unlink(missing_ok=True)
    assert dict(tally.counts) == {outcome: 1}
    (failure,) = tally.failures
    assert words in failure.detail
    assert str(failure).startswith(f'{outcome}: python benchmarks/fuzz.py --campaign "made up" --seed 7 --case 3')
    assert Path.cwd() == before
    assert outcome in OUTCOMES


def test_what_is_removed_below_a_case_of_its_own_is_not_outside() -> None:
    tally = run(Campaign("made up", lambda _, folder: removes_a_tree(folder)), 1, 7)
    assert (dict(tally.counts), tally.failures) == ({"accepted": 1}, [])


def test_a_case_depends_on_its_seed_and_number_alone() -> None:
    def drawn(seed: int, first: int, cases: int) -> list[int]:
        found: list[int] = []

        def case(rng: np.random.Generator, folder: Path) -> str:
            (folder / "mine").write_text("x")
            found.append(int(rng.integers(10**9)))
            return "accepted" if found[-1] % 2 else "refused"

        tally: Any = run(Campaign("drawn", case), cases, seed, first=first)
        assert (tally.failures, tally.cases) == ([], cases)
        return found

    assert drawn(1, 0, 5)[3:] == drawn(1, 3, 2)
    assert drawn(1, 0, 5) != drawn(2, 0, 5)


def test_a_run_ends_when_its_time_is_over() -> None:
    tally = run(Campaign("idle", lambda *_: "accepted"), 10**9, 0, until=time.monotonic() + 0.2)
    assert 0 < tally.cases < 10**6
