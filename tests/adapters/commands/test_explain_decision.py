"""``arb explain-decision``: what it prints, and what it refuses in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support_cli import arb
from support_environment import random_policy
from support_structured import structured_policy

from adapters.configuration.settings import load_settings
from adapters.storage.bundles import DEPLOYED, save_bundle
from engine.observation.encoding import ObservationSpec

pytestmark = pytest.mark.usefixtures("cache_folder")

SAMPLE = Path(__file__).resolve().parents[3] / "data" / "sample"
AT = "2025-06-10T08:00Z"
OLDER = DEPLOYED.with_name(f"{DEPLOYED.name}.previous") / "1-pbt_edge-agent_1"
"""Shipped before: three slots, observation version 1, every hour."""
CLOCKED = ObservationSpec(version=2, positions=3, exchanges=("binanceusdm", "bybit"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of a policy that decides every eight hours, and of one with two slots."""
    folder, costs = tmp_path_factory.mktemp("models"), load_settings().cost_table_hash()
    save_bundle(structured_policy(1, CLOCKED, costs=costs), {}, folder / "clocked")
    save_bundle(structured_policy(1, CLOCKED.model_copy(update={"positions": 2}), costs=costs), {}, folder / "two")
    save_bundle(random_policy(0), {}, folder / "elsewhere")
    return folder


def explained(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert arb("explain-decision", "--data", SAMPLE, "--json", *words) == 0
    return json.loads(capsys.readouterr().out)["decisions"]


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert arb("explain-decision", "--data", SAMPLE, *words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    return told.err


def test_the_shipped_policy_is_explained_in_a_hundred_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert arb("explain-decision", "--data", SAMPLE, "--at", AT) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 100
    for words in ("3 networks, mean logits", "observation version 2, every 8 h, phase 0", "V - 1.5", "hold"):
        assert words in told


def test_an_older_policy_is_explained_in_a_hundred_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert arb("explain-decision", "--data", SAMPLE, "--at", AT, "--model", OLDER) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 100
    for words in ("observation version 1, every hour", "played from 2025-06-01T00:00Z", "V - 1.5", "shows no mask"):
        assert words in told
    for words in ("> ", "hold", "enter 1: ", "exit slot 1: ", "fund_apr", "% / year", "round"):
        assert words in told


def test_json_has_everything(capsys: pytest.CaptureFixture[str], models: Path) -> None:
    (found,) = explained(capsys, "--at", AT, "--model", models / "clocked")
    assert set(found) == {
        "model", "kind", "members", "observation_version", "clock", "played_from", "at", "capital_usd", "equity_usd",
        "free_slots", "portfolio", "slots", "candidates", "actions", "enter_margin",
    }  # fmt: skip
    assert set(found["slots"][0]) == {
        "slot", "state", "pair", "hours_held", "notional_usd", "pnl_bps", "funding_bps", "leaving", "values",
    }  # fmt: skip
    assert set(found["candidates"][0]) == {"place", "pair", "values"}
    assert set(found["candidates"][0]["pair"]) == {
        "symbol", "long_exchange", "short_exchange", "net_funding_24h_bps", "net_funding_168h_bps", "round_trip_bps",
        "lower_bound_bps", "margin_bps",
    }  # fmt: skip
    assert set(found["actions"][0]) == {"action", "words", "possible", "allowed", "logit", "probability", "chosen"}
    assert set(found["portfolio"][0]) == {"name", "unit", "value", "observed"}
    assert (found["kind"], found["clock"], len(found["actions"])) == ("structured", "every 8 h, phase 0", 12)
    assert sum(one["probability"] for one in found["actions"]) == pytest.approx(1)


def test_what_is_unknown_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    # After an hour of data no pair has a day of funding behind it.
    (found,) = explained(capsys, "--at", "2025-06-02T00:00Z", "--set", "min_history_hours=1")
    values = [one["value"] for candidate in found["candidates"] for one in candidate["values"]]
    bounds = [candidate["pair"]["lower_bound_bps"] for candidate in found["candidates"]]
    assert None in [*values, *bounds]


def test_several_models_are_explained_one_after_the_other(capsys: pytest.CaptureFixture[str], models: Path) -> None:
    clocked = models / "clocked"
    found = explained(capsys, "--at", AT, "--from", "2025-06-10T00:00Z", "--model", clocked, "--model", clocked)
    assert [one["model"] for one in found] == ["structured-1"] * 2
    assert found[0]["played_from"] == "2025-06-10T00:00Z"
    assert found[0] == found[1]


def test_by_default_it_plays_the_thirty_days_before(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = explained(capsys, "--at", "2025-07-16T08:00Z", "--model", OLDER)
    assert found["played_from"] == "2025-06-16T08:00Z"
    assert found["slots"][0]["state"] == "open"


def test_an_hour_between_its_decisions_names_the_nearest_ones(capsys: pytest.CaptureFixture[str], models: Path) -> None:
    words = ("--at", "2025-06-10T11:00Z", "--model", models / "clocked")
    assert refused(capsys, *words) == (
        "error: structured-1 decides nothing at 2025-06-10T11:00Z (every 8 h, phase 0); the nearest hours at which it "
        "does are 2025-06-10T08:00Z and 2025-06-10T16:00Z, or shift its clock with --phase 3\n"
    )
    (found,) = explained(capsys, *words, "--phase", 3)
    assert found["clock"] == "every 8 h, phase 3"
    assert "has the phases 0 to 7; 8 is none of them" in refused(capsys, *words, "--phase", 8)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--at", "2025-05-31T23:00Z"), "2025-05-31T23:00Z lies outside the data, which has 2025-06-01T00:00Z to 2025"),
        (("--at", "2025-07-31T00:00Z"), "lies outside the data"),
        (("--at", "2025-07-30T23:00Z"), "is the last hour of the data, at which nothing is decided"),
        (("--at", "2025-06-10T08:30Z"), "'2025-06-10T08:30Z' is not a whole hour"),
        (("--at", "2025-06-10T08:00"), "has no time zone"),
        (("--at", AT, "--from", "2025-06-10T09:00Z"), "--from 2025-06-10T09:00Z must lie between the beginning"),
        (("--at", AT, "--from", "2025-05-10T09:00Z"), "--from 2025-05-10T09:00Z must lie between the beginning"),
        (("--at", AT, "--phase", "1"), "has the phases 0 to 0; 1 is none of them"),
        (("--at", AT, "--set", "max_positions=2"), "positions"),
        (("--at", AT, "--model", "nowhere"), "nowhere"),
    ],
    ids=["before", "after", "last", "half", "zone", "from late", "from early", "phase", "slots", "model"],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = words if "--model" in words else (*words, "--model", str(OLDER))
    assert told in refused(capsys, *asked)


@pytest.mark.parametrize("name", ["two", "elsewhere"])
def test_a_model_of_other_slots_or_costs_is_refused(
    name: str, capsys: pytest.CaptureFixture[str], models: Path
) -> None:
    told = {"two": "positions", "elsewhere": "was trained under cost table"}[name]
    assert told in refused(capsys, "--at", AT, "--model", models / name, "--set", "max_positions=3")


def test_the_first_hour_of_a_run_can_be_explained(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = explained(capsys, "--at", AT, "--from", AT)
    assert (found["played_from"], found["at"], found["equity_usd"]) == (AT, AT, 10_000.0)
