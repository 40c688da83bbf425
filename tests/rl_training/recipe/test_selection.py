"""What is shipped is decided by worlds and hours that nothing was trained in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rl_training.recipe.selection import Comparison, select
from rl_training.recipe.settings import RecipeSettings

PNL = st.floats(-2, 2)
FOLDS = [
    dict(zip(("name", "train_to", "judge_from", "judge_to"), one, strict=True))
    for one in (
        ("jan", "2024-12-31T23:00Z", "2025-01-01T00:00Z", "2025-01-31T23:00Z"),
        ("val", "2025-01-31T23:00Z", "2025-02-03T00:00Z", "2025-03-31T23:00Z"),
    )
]


@given(PNL, PNL, PNL, PNL, PNL, PNL)
def test_the_tuned_policy_must_be_above_its_start_at_both_latencies_and_not_below_it_in_the_fold(
    now: float, its: float, late: float, its_late: float, fold: float, its_fold: float
) -> None:
    found = select(
        (Comparison("at once", now, its), Comparison("late", late, its_late)), Comparison("f", fold, its_fold)
    )
    assert (found.choice == "tuned") == (now > its and late > its_late and not fold < its_fold)


def test_ties_in_the_worlds_ship_the_imitation_and_ties_in_the_fold_do_not() -> None:
    equal, better = Comparison("w", 0.1, 0.1), Comparison("w", 0.2, 0.1)
    assert select((better, equal), better).choice == "imitation"
    assert select((better, better), equal).choice == "tuned"


def test_the_reason_names_what_was_compared() -> None:
    reason = select((Comparison("at once", 0.25, 0.125),), Comparison("fold jan", 0.5, 0.75)).reason
    assert "imitation is shipped" in reason
    assert "at once +0.2500 against +0.1250" in reason
    assert "fold jan +0.500 against +0.750" in reason


def recipe(**changes: Any) -> RecipeSettings:
    return RecipeSettings(**({"folds": FOLDS, "ships": "val", "decides": "jan"} | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ships": "feb"}, "there is no fold feb"),
        ({"decides": "feb"}, "there is no fold feb"),
        ({"ships": "jan", "decides": "val"}, "that the shipped one is trained on"),
        ({"seeds": (1, 1)}, "the same seed twice"),
        ({"folds": [FOLDS[0], FOLDS[0]], "ships": "jan"}, "two folds have one name"),
        ({"folds": [{**FOLDS[0], "judge_from": "2024-12-31T23:00Z"}, FOLDS[1]]}, "must follow one another"),
    ],
)
def test_a_recipe_that_would_look_at_what_it_ships_by_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        recipe(**changes)


def test_the_fold_that_decides_ends_before_the_shipped_one_is_judged() -> None:
    made = recipe()
    assert made.fold("jan").judge_to <= made.fold("val").train_to < made.fold("val").judge_from
