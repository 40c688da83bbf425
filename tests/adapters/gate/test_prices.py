"""Which prices of one hour are believed, by hand: rows are coins, columns exchanges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from adapters.gate.limits import GateSettings
from adapters.gate.prices import Past, elsewhere, judge, why
from engine.market.data import Floats

NAN = float("nan")
LIMITS = GateSettings()


def refused(
    values: Sequence[Sequence[float]], past: Sequence[Sequence[float]] | None = None, hours: float = 1.0
) -> list[list[int]]:
    """1 for every value that is not believed, after this past, so many hours ago."""
    now = np.array(values, np.float64)
    before = np.full(now.shape, NAN) if past is None else np.array(past, np.float64)
    ages = np.where(np.isnan(before), NAN, hours)
    return judge(now, Past(before, ages, lambda: elsewhere(before)), LIMITS).refused.astype(int).tolist()


def coin(values: Sequence[float], past: Sequence[float] | None = None, hours: float = 1.0) -> list[int]:
    """The same for one coin."""
    return refused([values], None if past is None else [past], hours)[0]


def test_the_median_of_three_tells_which_one_is_wrong() -> None:
    assert coin([100.0, 101.0, 6000.0]) == [0, 0, 1]
    assert coin([100.0, 101.0, 1.0]) == [0, 0, 1]
    assert coin([100.0, 101.0, 119.0]) == [0, 0, 0]
    assert coin([100.0, 101.0, 122.0]) == [0, 0, 1]
    assert coin([100.0, 101.0, 79.0]) == [0, 0, 1]
    assert coin([100.0, 101.0, 99.0, 6000.0, 1.0]) == [0, 0, 0, 1, 1]


def test_where_most_disagree_the_own_past_tells() -> None:
    past = [100.0, 100.0, 100.0, 100.0]
    assert coin([100.0, 200.0, 400.0, 800.0], past) == [0, 1, 1, 1]
    assert coin([100.0, 101.0, 200.0, 201.0], past) == [0, 0, 1, 1]
    assert coin([100.0, 200.0, 400.0, 800.0]) == [1, 1, 1, 1]


def test_of_two_the_one_that_left_its_own_past_is_wrong() -> None:
    assert coin([100.0, 130.0], [100.0, 100.0]) == [0, 1]
    assert coin([100.0, 6000.0], [101.0, 100.0]) == [0, 1]
    assert coin([0.01, 100.0], [100.0, 100.0]) == [1, 0]
    assert coin([100.0, 119.0], [100.0, 100.0]) == [0, 0]


def test_of_two_that_are_equally_likely_none_is_believed() -> None:
    assert coin([100.0, 130.0]) == [1, 1]
    assert coin([100.0, 130.0], [100.0, 130.0]) == [1, 1]  # they disagreed before
    assert coin([87.0, 113.0], [100.0, 100.0]) == [1, 1]  # both moved, away from each other
    assert coin([1.0, 6000.0], [100.0, 100.0]) == [1, 1]


def test_a_leg_without_a_past_is_measured_by_that_of_its_coin() -> None:
    assert coin([100.0, 130.0], [100.0, NAN]) == [0, 1]
    assert coin([130.0, NAN], [NAN, 125.0]) == [0, 0]
    assert coin([6000.0, NAN], [NAN, 100.0]) == [1, 0]


def test_a_real_extreme_is_one_that_every_exchange_shows() -> None:
    assert coin([24.0, 25.0], [100.0, 100.0]) == [0, 0]
    assert coin([900.0, 910.0, 920.0], [100.0, 100.0, 100.0]) == [0, 0, 0]


def test_alone_a_price_may_double_or_halve_within_an_hour_and_more_with_time() -> None:
    alone = [NAN, 100.0]
    assert coin([NAN, 199.0], alone) == coin([NAN, 51.0], alone) == coin([NAN, 250.0], alone, hours=2) == [0, 0]
    assert coin([NAN, 201.0], alone) == coin([NAN, 49.0], alone) == coin([NAN, 6000.0], alone, hours=30) == [0, 1]
    assert coin([NAN, 6000.0], alone, hours=36) == [0, 0]
    assert coin([NAN, 6000.0]) == [0, 0]  # nothing to compare with


def test_a_whole_exchange_is_not_believed_though_each_value_alone_would_be() -> None:
    usual = [[100.0, 100.1, 99.9], [10.0, 10.01, 9.99], [1.0, 1.001, 0.999]]
    moved = [[100.0, 110.1, 99.9], [10.0, 11.01, 9.99], [1.0, 1.101, 0.999]]
    assert refused(usual, usual) == [[0, 0, 0]] * 3
    assert refused(moved, usual) == [[0, 1, 0]] * 3
    assert refused(usual, moved) == [[0, 0, 0]] * 3


def test_an_exchange_that_always_was_a_little_away_has_not_moved() -> None:
    away = [[100.0, 110.1, 99.9], [10.0, 11.01, 9.99], [1.0, 1.101, 0.999]]
    assert refused(away) == refused(away, away) == [[0, 0, 0]] * 3
    further = [[100.0, 113.0, 99.9], [10.0, 11.3, 9.99], [1.0, 1.13, 0.999]]
    assert refused(further, away) == [[0, 1, 0]] * 3


def test_of_two_exchanges_the_one_that_moved_as_a_whole_is_wrong() -> None:
    usual, moved = [[100.0, 100.1], [10.0, 10.01]], [[100.0, 110.0], [10.0, 11.0]]
    assert refused(moved, usual) == [[0, 1]] * 2
    assert refused(moved, moved) == [[0, 0]] * 2
    assert refused([[95.0, 105.0], [9.5, 10.5]], usual) == [[1, 1]] * 2  # both moved


def test_single_coins_that_are_away_make_no_exchange_wrong() -> None:
    prices = [[100.0, 100.1], [10.0, 10.01], [1.0, 1.07]]
    assert refused(prices, prices) == [[0, 0]] * 3


def test_two_wrong_exchanges_among_four_are_both_found() -> None:
    usual = [[100.0] * 4, [10.0] * 4]
    moved = [[100.0, 100.1, 110.0, 85.0], [10.0, 10.01, 11.0, 8.5]]
    assert refused(moved, usual) == [[0, 0, 1, 1]] * 2


def test_nothing_known_is_nothing_refused() -> None:
    assert refused([[NAN, NAN], [NAN, 1.0]]) == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("values", "past", "leg", "text"),
    [
        ([[100.0, 6000.0]], [[100.0, 100.0]], 1, "more than 20 % apart from the other exchanges (100 elsewhere)"),
        ([[NAN, 6000.0]], [[NAN, 100.0]], 1, "moved by more than 100 % an hour, which no other exchange confirms"),
        (
            [[100.0, 110.0], [10.0, 11.0]],
            [[100.0, 100.0], [10.0, 10.0]],
            1,
            "nearly all values of the exchange moved more than 2 % off the others",
        ),
    ],
)
def test_the_reason_is_told(values: list[list[float]], past: list[list[float]], leg: int, text: str) -> None:
    now: Floats = np.array(values)
    before = np.array(past)
    judged = judge(now, Past(before, np.ones_like(now), lambda: elsewhere(before)), LIMITS)
    assert why(LIMITS, now, 0, leg, judged) == text
