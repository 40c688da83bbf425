"""An hour that paper trading has passed is looked at as it was then: nothing that came later changes a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support_web import client, go_on, played_state, serving

from adapters.paper.journal import Journal
from adapters.scan.of_state import state_scene
from adapters.scan.scene import Scene
from engine.errors import UserError
from engine.observation.features import FEATURES, ON_REQUEST
from engine.windows import time_of

AT = 60


def features(scene: Scene) -> dict[str, Any]:
    view = scene.view
    return {name: view.feature(name).copy() for name in (*FEATURES, *ON_REQUEST)} | {
        "offered": scene.builder.at(scene.row)[1]
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_numbers_are_those_of_the_time(tmp_path: Path, seed: int) -> None:
    played_state(tmp_path / "state", until=AT, seed=seed)
    then = state_scene(tmp_path / "state")
    wanted = features(then)
    go_on(tmp_path / "state", 120, seed)
    now = state_scene(tmp_path / "state", then.time)
    assert (now.time, now.seen, now.source) == (then.time, then.seen, then.source)
    found = features(now)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert sum(np.isfinite(values).sum() for values in wanted.values()) > 200


def test_hours_that_were_not_played_are_refused(tmp_path: Path) -> None:
    played_state(tmp_path / "state", until=AT)
    with Journal.open_for_reading(tmp_path / "state") as journal:
        last = journal.last_hour
    assert last is not None
    for hour in (last + 1, last - 55, 10):
        with pytest.raises(UserError, match="no hour that was played"):
            state_scene(tmp_path / "state", time_of(hour))
    assert state_scene(tmp_path / "state", time_of(last)).held == state_scene(tmp_path / "state").held


def test_the_service_shows_them_too(tmp_path: Path) -> None:
    played_state(tmp_path / "state", until=AT)
    with client(serving(tmp_path)) as asking:
        last = asking.get("/api/v1/paper/opportunities").json()
        go_on(tmp_path / "state", 90)
        when = {"hour": last["time"]}
        again = asking.get("/api/v1/paper/opportunities", params=when).json()
        # What was held then is not kept, so that of a coin another pair may be the best one.
        legs = {(row["symbol"], row["long"]["exchange"], row["short"]["exchange"]): row for row in last["rows"]}
        both = [
            (row, legs.get((row["symbol"], row["long"]["exchange"], row["short"]["exchange"]))) for row in again["rows"]
        ]
        numbers = ("apr_pct", "net_168h_bps_day", "round_trip_bps", "price_gap_bps")
        same = [[row[name] == other[name] for name in numbers] for row, other in both if other is not None]
        assert same
        assert all(map(all, same))
        assert asking.get("/api/v1/paper/opportunities").json()["time"] > last["time"]
        assert "As they were at that hour" in asking.get("/opportunities", params=when).text
        assert asking.get("/api/v1/paper/opportunities?hour=2030-01-01T00:00Z").status_code == 404
        assert asking.get("/api/v1/paper/opportunities?hour=2030-01-01T00:30Z").status_code == 422
