"""How environments are shared out over courses: as evenly as it goes, and by kind where that is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SettingsError
from rl_training.recipe.courses import shares

KINDS = st.lists(st.booleans(), min_size=1, max_size=20)


@given(count=st.integers(0, 300), kinds=KINDS)
def test_without_a_share_every_course_gets_as_many(count: int, kinds: list[bool]) -> None:
    found = shares(count, kinds)
    assert sum(found) == count
    assert max(found) - min(found) <= 1
    assert found == sorted(found, reverse=True)


@given(count=st.integers(1, 300), kinds=KINDS, share=st.floats(0, 1))
def test_a_share_is_of_the_environments_whatever_the_number_of_courses(
    count: int, kinds: list[bool], share: float
) -> None:
    wanted = {True: round(count * share), False: count - round(count * share)}
    if any(total and kind not in kinds for kind, total in wanted.items()):
        with pytest.raises(SettingsError, match="no world has one"):
            shares(count, kinds, share)
        return
    found = shares(count, kinds, share)
    for kind, total in wanted.items():
        own = [part for part, other in zip(found, kinds, strict=True) if other == kind]
        assert sum(own) == total
        assert not own or max(own) - min(own) <= 1


def test_the_share_moves_environments_from_one_kind_to_the_other() -> None:
    kinds = [False, False, True, True]
    assert shares(8, kinds) == [2, 2, 2, 2]
    assert shares(8, kinds, 0.75) == [1, 1, 3, 3]
    assert shares(8, kinds, 0.0) == [4, 4, 0, 0]
