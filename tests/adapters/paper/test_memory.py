"""What keeps the memory of a service small."""

from __future__ import annotations

from pathlib import Path

from numpy.testing import assert_array_equal
from support_live import live_settings

from adapters.paper.compile_ahead import PLAYED_HOURS, play_made_up_hours
from adapters.paper.journal import Journal
from adapters.paper.setup import prepare_player
from engine.accounting.books import OrderKind


class Asked:
    """Counts how often it is asked, and fails."""

    def __init__(self) -> None:
        self.times = 0

    def decide(self, _: object) -> list[object]:
        self.times += 1
        raise ZeroDivisionError


def test_made_up_hours_go_through_everything_that_is_compiled(tmp_path: Path) -> None:
    """An entry and an exit, and the strategy asked each time, even one that fails."""
    settings, asked = live_settings(), Asked()
    player = prepare_player("random", settings, (), 3)
    object.__setattr__(player, "strategy", asked)
    session = play_made_up_hours(tmp_path, player, settings)
    assert asked.times == PLAYED_HOURS
    assert session.books is not None
    assert_array_equal(session.books.portfolios["missing_settlements"], [0])
    assert session.books.portfolios["next_id"][0] > 2
    with Journal.open_for_reading(tmp_path) as journal:
        kinds = {kind for made in journal.decisions().values() for kind, _ in made.orders}
        assert kinds == {int(OrderKind.ENTER), int(OrderKind.EXIT)}
        assert len(journal.records("trades")) >= 1
