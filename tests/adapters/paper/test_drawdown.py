"""When a drawdown is told: where the limit is crossed, and again only after half of it has come back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.paper.drawdown import is_crossed_at_last
from adapters.paper.settings import NotifySettings, load_config
from engine.errors import SettingsError
from engine.settings import parse_settings

LIMIT = 5.0
PATHS = st.lists(st.sampled_from([0.0, 2.0, 2.4, 2.5, 3.0, 4.9, 5.0, 5.1, 9.0]), max_size=30)


def told_at(path: list[float]) -> list[int]:
    """Every hour is asked anew, as after a restart at each of them."""
    return [i for i in range(len(path)) if is_crossed_at_last(path[: i + 1], LIMIT)]


@pytest.mark.parametrize(
    ("path", "hours"),
    [
        ([], []),
        ([5.0, 4.0], []),
        ([5.1], [0]),
        ([1.0, 6.0, 7.0, 6.0], [1]),
        # Back below the limit is not recovered: it may go up and down there for weeks.
        ([6.0, 4.0, 6.0, 2.5, 6.0], [0]),
        ([6.0, 2.4, 6.0, 0.0, 5.0, 5.1], [0, 2, 5]),
    ],
)
def test_it_is_told_where_it_is_crossed(path: list[float], hours: list[int]) -> None:
    assert told_at(path) == hours


@given(PATHS)
def test_every_message_stands_above_the_limit_and_after_a_recovery(path: list[float]) -> None:
    told = told_at(path)
    assert all(path[hour] > LIMIT for hour in told)
    for earlier, later in pairwise(told):
        assert min(path[earlier:later]) < LIMIT / 2
    for hour, drawdown in enumerate(path):
        if drawdown > LIMIT:
            # Whoever reads the messages knows of it: since the last one it has not recovered.
            last = max(known for known in told if known <= hour)
            assert min(path[last : hour + 1]) >= LIMIT / 2


def test_nobody_gets_new_messages_who_did_not_choose_them() -> None:
    shipped = load_config(None).paper.notify
    assert shipped == NotifySettings()
    assert shipped.events == ("entry", "exit", "degraded", "recovered")


@pytest.mark.parametrize("limit", [0, -1, 100, "much", float("nan")])
def test_a_limit_that_nothing_can_cross_is_refused(limit: object) -> None:
    with pytest.raises(SettingsError, match="drawdown_pct"):
        parse_settings(NotifySettings, {"drawdown_pct": limit}, origin="test")
