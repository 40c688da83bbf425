"""What stands of notices that are given, moved and taken back; the rolling window and the whole record agree."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support_datasets import FIRST, small_market

from engine.market.data import NEVER, MarketData
from engine.market.notices import Notice, last_word, takes_effect, with_notices

said = st.lists(
    st.tuples(st.integers(0, 30), st.one_of(st.integers(0, 40), st.just(NEVER))),
    max_size=6,
    unique_by=lambda one: one[0],
)


def leaves(market: MarketData, hour: int) -> bool:
    """Whether a position must leave at an hour by what the market knows (as the tape says it)."""
    return hour >= max(int(market.delisting_hour[0]) - 1, int(market.delisting_known_hour[0]))


@settings(max_examples=300, deadline=None)
@given(said)
def test_hour_by_hour_is_what_the_whole_record_says(notices: list[tuple[int, int]]) -> None:
    """What is known at an hour never contradicts what is known at the end; ``paper-verify`` rests on it."""
    live = small_market(2, [("BTCUSDT", "bybit")])
    then = {}
    for hour in range(45):
        live = with_notices(live, [Notice(0, end) for seen, end in notices if seen == hour], hour)
        then[hour] = leaves(live, hour)
    end, known = last_word(notices)
    whole = takes_effect(end, known)
    assert then == {hour: hour >= whole for hour in then}


def test_the_last_word_counts_until_it_has_taken_effect() -> None:
    assert last_word([]) == (NEVER, NEVER)
    assert last_word([(3, 20)]) == (20, 3)
    assert last_word([(3, 20), (5, 30)]) == (30, 5)  # postponed
    assert last_word([(3, 20), (5, 10)]) == (10, 5)  # earlier
    assert last_word([(3, 20), (5, NEVER)]) == (NEVER, NEVER)  # taken back
    assert last_word([(3, 20), (20, 30)]) == (20, 3)  # too late: positions left at 19
    assert last_word([(3, 20), (19, 30)]) == (30, 19)  # seen in the hour itself
    assert last_word([(9, 4)]) == (4, 9)  # seen after the end: not usable earlier
    assert takes_effect(4, 9) == 9


def test_a_market_keeps_what_other_legs_know() -> None:
    market = small_market(2)
    again = with_notices(market, [Notice(2, FIRST + 9)], FIRST + 1)
    assert np.flatnonzero(again.delisting_hour != NEVER).tolist() == [2]
    assert (int(again.delisting_hour[2]), int(again.delisting_known_hour[2])) == (FIRST + 9, FIRST + 1)
    assert (market.delisting_hour == NEVER).all()
