"""The mean over phases of a clock, and who is asked for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_market import wandering_market

from adapters.configuration.settings import ArbSettings, load_settings
from adapters.research.phases import (
    NO_CLOCK,
    PNL,
    WORST,
    at_phases,
    check_phases,
    mean_over_phases,
    over_phases,
    phase_lines,
    play_phases,
    require_clock,
    shared_returns,
    write_phases,
)
from adapters.research.players import Player, make_player
from adapters.research.playing import Played, play
from engine.errors import UserError
from engine.windows import Window
from engine.worlds import AnyWorld, World

EAGER = {"every_hours": 4, "caution": 0, "enter_margin": 0.5, "leave_margin": 0.1, "switch_margin": 1}
WINDOW = Window(60, 299)


@pytest.fixture(scope="module")
def world() -> World[ArbSettings]:
    return World.of(wandering_market(300), load_settings(None, ["min_history_hours=12"]))


@pytest.fixture(scope="module")
def phases(world: World[ArbSettings]) -> dict[int, Played]:
    return {phase: play(one, world, WINDOW) for phase, one in at_phases(make_player("week", EAGER)).items()}


def test_a_player_with_a_clock_is_there_at_each_of_its_phases(world: World[ArbSettings]) -> None:
    player = make_player("week", EAGER | {"phase": 3})
    assert list(at_phases(player)) == [0, 1, 2, 3]
    assert list(at_phases(player, (1, 3))) == [1, 3]
    alone = play(player, world, WINDOW)
    assert alone.records.ledger.tobytes() == play(at_phases(player)[3], world, WINDOW).records.ledger.tobytes()
    with pytest.raises(UserError, match=r"week has the phases 0 to 3; 4 is none of them"):
        at_phases(player, (0, 4))


def test_without_a_clock_there_is_one_run_and_its_metrics_are_as_they_are(world: World[ArbSettings]) -> None:
    player = make_player("carry", {})
    assert at_phases(player, (0, 4)) == {NO_CLOCK: player}
    alone = play(player, world, WINDOW)
    assert over_phases({NO_CLOCK: alone}) == alone.metrics
    assert shared_returns([alone]) is alone.returns


def test_the_mean_and_the_worst_are_of_all_phases(phases: dict[int, Played]) -> None:
    found = over_phases(phases)
    pnl = [one.metrics[PNL] for one in phases.values()]
    assert len(set(pnl)) == 4, "the phases differ, or nothing is tested here"
    assert found[PNL] == pytest.approx(np.mean(pnl))
    assert found[WORST + PNL] == min(pnl)
    assert found["trades"] == np.mean([one.metrics["trades"] for one in phases.values()])
    assert list(found) == [*phases[0].metrics, WORST + PNL]


def test_what_some_phases_do_not_define_is_the_mean_of_the_others() -> None:
    assert mean_over_phases({0: {PNL: 1.0, "sharpe": None}, 1: {PNL: 3.0, "sharpe": 2.0}}) == {
        PNL: 2.0, "sharpe": 2.0, WORST + PNL: 1.0,
    }  # fmt: skip
    assert mean_over_phases({0: {PNL: 1.0, "sharpe": None}})["sharpe"] is None


def test_a_shared_account_ends_at_the_mean_of_the_profits(phases: dict[int, Played]) -> None:
    returns = shared_returns(phases.values())
    assert len(returns) == WINDOW.hours
    grown = 100 * (np.cumprod(1 + returns) - 1)
    assert grown[-1] == pytest.approx(np.mean([one.metrics["pnl_pct"] for one in phases.values()]), abs=1e-9)
    equity = np.mean([one.records.hours["equity"] for one in phases.values()], axis=0)
    assert grown == pytest.approx(100 * (equity / 10_000 - 1), abs=1e-9)


def test_all_phases_are_played_in_all_worlds_and_written(world: World[ArbSettings], tmp_path: Path) -> None:
    played: list[str] = []

    def shown(label: str, player: Player, where: AnyWorld, window: Window) -> Played:
        played.append(label)
        return play(player, where, window)

    players = [make_player("week", EAGER), make_player("hold", {})]
    found = play_phases(players, {0: world, 1: world.late()}, WINDOW, shown)
    assert played == [f"week, phase {phase}" for _ in range(2) for phase in range(4)]
    (line,) = phase_lines(found)
    once, late = over_phases(found["week"][0]), over_phases(found["week"][1])
    assert f"at once {once[PNL]:+.3f} ({once[WORST + PNL]:+.3f}), 1 h late {late[PNL]:+.3f}" in line
    assert "mean over 4 phases" in line
    write_phases(tmp_path / "phases.csv", found)
    rows = (tmp_path / "phases.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[:3] for row in rows[1:]] == [
        ["week", str(late), str(phase)] for late in (0, 1) for phase in range(4)
    ]
    assert play_phases(players[1:], {0: world}, WINDOW, shown) == {}
    require_clock(players)
    with pytest.raises(UserError, match="nobody who plays has a clock"):
        require_clock(players[1:])


@pytest.mark.parametrize(
    ("names", "grid", "chosen", "message"),
    [
        (["week"], {"phase": [0, 4]}, None, "week.phase stands in the grid"),
        (["week"], {"caution": [0]}, (0, 8), "week has the phases 0 to 7; 8 is none of them"),
        (["week"], {"every_hours": [4, 8]}, (0, 4), "week has the phases 0 to 3; 4 is none of them"),
        (["carry"], {}, (0,), "none of the strategies has a clock"),
    ],
)
def test_phases_that_are_not_there_are_refused(names: list[str], grid: Any, chosen: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_phases(names, load_settings(), {"week": grid}, chosen)


def test_phases_that_are_there_are_taken() -> None:
    check_phases(["week", "carry"], load_settings(), {"week": {"every_hours": [12]}}, (0, 11))
    check_phases(["carry"], load_settings(), {}, None)
