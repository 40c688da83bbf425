"""Windows of a walk-forward, and the chain of its test runs as one account."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.accounting.books import HOUR, LEDGER, NOTE, TRADE
from engine.accounting.records import NO_RECORDS, Records
from engine.analysis.folds import Fold, FoldLengths, folds_of, shrunk
from engine.analysis.joined_runs import chain
from engine.errors import UserError
from engine.windows import Window

START = 482_000
DAYS = st.integers(1, 40)


def lengths(train: int, validate: int, test: int, embargo: int, *, anchored: bool = False) -> FoldLengths:
    return FoldLengths(
        train_days=train, validate_days=validate, test_days=test, embargo_hours=embargo, anchored=anchored
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Window, FoldLengths]:
    """A stretch of data, long enough for at least one fold, and lengths."""
    asked = lengths(draw(DAYS), draw(DAYS), draw(DAYS), draw(st.integers(0, 200)), anchored=draw(st.booleans()))
    more = draw(st.integers(0, 24 * asked.test_days * 6))
    return Window(START, START + asked.hours + more - 1), asked


@given(cases())
def test_windows_never_overlap_and_the_embargo_lies_between_them(case: tuple[Window, FoldLengths]) -> None:
    hours, asked = case
    for fold in folds_of(hours, asked):
        assert fold.validation.first - fold.train.last == asked.embargo_hours + 1
        assert fold.test.first - fold.validation.last == asked.embargo_hours + 1
        assert fold.validation.hours == 24 * asked.validate_days
        assert fold.test.hours == 24 * asked.test_days
        assert fold.train.first >= hours.first
        assert fold.test.last <= hours.last


@given(cases())
def test_test_windows_tile_and_no_whole_one_is_left_out(case: tuple[Window, FoldLengths]) -> None:
    hours, asked = case
    folds = folds_of(hours, asked)
    assert [fold.number for fold in folds] == list(range(1, len(folds) + 1))
    assert all(following.test.first == fold.test.last + 1 for fold, following in pairwise(folds))
    assert hours.last - folds[-1].test.last < 24 * asked.test_days
    assert folds[0].train.first == hours.first


@given(cases())
def test_training_rolls_or_stays_anchored(case: tuple[Window, FoldLengths]) -> None:
    hours, asked = case
    for fold in folds_of(hours, asked):
        if asked.anchored:
            assert fold.train.first == hours.first
            assert fold.train.hours == 24 * (asked.train_days + (fold.number - 1) * asked.test_days)
        else:
            assert fold.train.hours == 24 * asked.train_days


def test_folds_by_hand() -> None:
    folds = folds_of(Window(1000, 1000 + 24 * 12 - 1), lengths(3, 2, 2, 12))
    assert folds == [
        Fold(1, Window(1000, 1071), Window(1084, 1131), Window(1144, 1191)),
        Fold(2, Window(1048, 1119), Window(1132, 1179), Window(1192, 1239)),
        Fold(3, Window(1096, 1167), Window(1180, 1227), Window(1240, 1287)),
    ]
    assert len(folds_of(Window(1000, 1000 + 24 * 12 - 2), lengths(3, 2, 2, 12))) == 2


@given(cases(), st.integers(1, 24 * 60))
def test_data_that_is_too_short_is_told_with_lengths_that_fit(case: tuple[Window, FoldLengths], missing: int) -> None:
    _, asked = case
    short = Window(START, START + asked.hours - missing - 1)
    assume(short.hours > 0)
    with pytest.raises(UserError, match=f"needs {asked.hours} h") as caught:
        folds_of(short, asked)
    offered = re.search(r"--train-days (\d+) --validate-days (\d+) --test-days (\d+) would fit", str(caught.value))
    if offered is None:
        assert short.hours - 2 * asked.embargo_hours < 3 * 24
        assert "longer stretch of data" in str(caught.value)
        return
    train, validate, test = map(int, offered.groups())
    assert folds_of(short, lengths(train, validate, test, asked.embargo_hours))


@given(DAYS, DAYS, DAYS, st.integers(3, 130))
def test_shrunk_lengths_are_days_and_no_more_than_there_are(train: int, validate: int, test: int, most: int) -> None:
    assume(most < train + validate + test)
    fewer = shrunk((train, validate, test), most)
    assert min(fewer) >= 1
    assert sum(fewer) <= most


def run_of(first: int, hours: int, ids: tuple[int, ...] = (), **counters: int) -> Records:
    """Hours from ``first`` on; each id has two ledger entries and a trade."""
    rows, ledger, trades = np.zeros(hours, HOUR), np.zeros(2 * len(ids), LEDGER), np.zeros(len(ids), TRADE)
    rows["hour"] = np.arange(first, first + hours)
    ledger["position_id"], trades["position_id"] = np.repeat(ids, 2), ids
    return Records(ledger, trades, np.zeros(1, NOTE), rows, **counters)


def test_a_chain_numbers_positions_on_and_adds_the_counters() -> None:
    runs = [
        run_of(10, 5, (1, 2), missing_settlements=1, fills_at_last_trade=2, stale_hours=3),
        run_of(15, 5),
        run_of(20, 5, (2, 1), missing_settlements=10, fills_at_last_trade=20, stale_hours=30),
    ]
    whole = chain(runs)
    assert whole.trades["position_id"].tolist() == [1, 2, 4, 3]
    assert whole.ledger["position_id"].tolist() == [1, 1, 2, 2, 4, 4, 3, 3]
    assert whole.hours["hour"].tolist() == list(range(10, 25))
    assert len(whole.notes) == 3
    assert (whole.missing_settlements, whole.fills_at_last_trade, whole.stale_hours) == (11, 22, 33)
    assert runs[2].trades["position_id"].tolist() == [2, 1], "the runs themselves stay as they are"


def test_a_chain_of_one_or_none() -> None:
    assert chain([run_of(3, 2, (1,))]).trades["position_id"].tolist() == [1]
    assert chain([]) is NO_RECORDS


def test_runs_that_overlap_are_no_chain() -> None:
    with pytest.raises(UserError, match="overlap"):
        chain([run_of(3, 2), run_of(4, 2)])
