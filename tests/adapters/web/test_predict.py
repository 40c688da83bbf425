"""A policy asked over HTTP decides as it does in a backtest, and what it cannot be asked is refused by name."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support_environment import SPEC as FIRST_SPEC
from support_environment import random_policy
from support_structured import observations, structured_policy
from support_web import SPEC, client, deployed, serving

from adapters.storage.bundles import DESCRIPTION, WEIGHTS, load_bundle, save_bundle
from adapters.web.serving import Serving
from strategies.policy import allowed_logits, best_action

PREDICT = "/api/v1/predict"


@pytest.fixture(scope="module")
def rows() -> Any:
    return observations(1000)[-1000:]


def test_a_thousand_observations_are_answered_as_in_a_backtest_bit_for_bit(served: Serving, rows: Any) -> None:
    policy = load_bundle(served.models / "1-policy").policy
    with client(served) as asking:
        answers = [
            asking.post(PREDICT, json={"observations": part.astype(float).tolist()})
            for part in rows.reshape(5, 200, -1)
        ]
        one = [asking.post(PREDICT, json={"observation": row.astype(float).tolist()}) for row in rows[:50]]
    assert [answer.status_code for answer in answers] == [200] * 5
    found = [told for answer in answers for told in answer.json()["predictions"]]
    assert len(found) == 1000
    for row, told in zip(rows, found, strict=True):
        logits = allowed_logits(policy, row)
        sent = np.array([-np.inf if value is None else value for value in told["logits"]], np.float32)
        assert sent.tobytes() == logits.tobytes()
        assert told["order"]["action"] == best_action(policy, row)
        assert math.isclose(sum(told["probabilities"]), 1.0, rel_tol=1e-12)
        assert all((p == 0) == (value is None) for p, value in zip(told["probabilities"], told["logits"], strict=True))
    assert [single.json()["predictions"][0] for single in one] == found[:50]
    assert {told["order"]["kind"] for told in found} == {"hold", "enter", "exit"}


def test_the_answer_names_model_spec_and_costs(served: Serving, rows: Any) -> None:
    policy = load_bundle(served.models / "1-policy").policy
    with client(served) as asking:
        body = {"observation": rows[0].astype(float).tolist(), "spec_hash": policy.spec.hash(), "model": "1-policy"}
        found = asking.post(PREDICT, json=body).json()
    assert (found["model"], found["spec_hash"]) == (policy.name, policy.spec.hash())
    assert found["cost_table_hash"] == policy.cost_table_hash


ZEROS = [0.0] * SPEC.size


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "body"),
        ({"observation": ZEROS, "observations": [ZEROS]}, "body"),
        ({"observation": ZEROS[:-1]}, "body.observation"),
        ({"observations": [ZEROS, [*ZEROS, 0.0]]}, "body.observations.1"),
        ({"observation": []}, "body.observation"),
        ({"observations": []}, "body.observations"),
        ({"observation": ["x", *ZEROS[1:]]}, "body.observation.0"),
        ({"observation": [None, *ZEROS[1:]]}, "body.observation.0"),
        ({"observation": [1e39, *ZEROS[1:]]}, "body.observation.0"),
        ({"observation": [-1e7, *ZEROS[1:]]}, "body.observation.0"),
        ({"observation": ZEROS, "threshold": 0.5}, "body.threshold"),
        ({"observation": ZEROS, "spec_hash": "f" * 16}, "body.spec_hash"),
        ({"observations": [ZEROS] * 1025}, "body.observations"),
        ({"portfolio": {}}, "body"),
        ([1, 2], "body"),
        ("text", "body"),
    ],
)
def test_what_is_wrong_is_named_and_not_repeated(served: Serving, body: Any, where: str) -> None:
    with client(served) as asking:
        answer = asking.post(PREDICT, json=body)
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["where"] == where
    assert '"input"' not in answer.text


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_a_value_that_is_no_number_is_refused(served: Serving, word: str) -> None:
    text = json.dumps({"observation": ZEROS}).replace("0.0", word, 1)
    with client(served) as asking:
        answer = asking.post(PREDICT, content=text, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["where"] == "body.observation.0"


@pytest.mark.parametrize("text", ["", "{", "nul", "[" * 100_000, '{"observation": ' + "1" * 5000 + "}", "\xff"])
def test_a_body_that_is_no_json_is_refused(served: Serving, text: str) -> None:
    with client(served, raise_server_exceptions=False) as asking:
        answer = asking.post(PREDICT, content=text.encode("latin-1"), headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert "error" in answer.json()


def test_a_large_body_is_refused_before_it_is_read(served: Serving) -> None:
    with client(served) as asking:
        answer = asking.post(PREDICT, content=b"0" * (20 * 2**20), headers={"content-type": "application/json"})
        assert answer.status_code == 413
        parts = (b"0" * 65536 for _ in range(320))
        streamed = asking.post(PREDICT, content=parts, headers={"content-type": "application/json"})
        assert streamed.status_code == 413
        assert asking.get("/healthz").status_code == 200


def test_an_unknown_model_is_told_with_those_there_are(served: Serving) -> None:
    with client(served) as asking:
        answer = asking.post(PREDICT, json={"observation": ZEROS, "model": "2-policy"})
    assert answer.status_code == 404
    assert "1-policy" in answer.json()["error"]


def test_models_are_listed_with_what_they_see(served: Serving) -> None:
    with client(served) as asking:
        (found,) = asking.get("/api/v1/models").json()
        one = asking.get("/api/v1/models/1-policy").json()
        facts = asking.get("/api/v1/models/1-policy/facts").json()
        assert asking.get("/api/v1/models/..%2f..%2fetc").status_code in (404, 422)
    policy = load_bundle(served.models / "1-policy").policy
    assert found["spec_hash"] == policy.spec.hash()
    assert found["observation"] == policy.spec.model_dump(mode="json")
    assert {name: one[name] for name in found} == found
    assert "long_exchange" in facts["opportunities"]
    assert "week_lower_bound" not in facts["opportunities"]  # it follows from the others


def test_a_deployment_replaces_the_model_whole_or_not_at_all(tmp_path: Path, rows: Any) -> None:
    deployed(tmp_path / "models")
    of, row = serving(tmp_path), rows[0].astype(float).tolist()
    with client(of) as asking:
        first = asking.post(PREDICT, json={"observation": row}).json()
        save_bundle(structured_policy(9), {}, tmp_path / "models" / "1-policy")
        second = asking.post(PREDICT, json={"observation": row}).json()
        assert second["model"] == "structured-9"
        assert second["predictions"] != first["predictions"]
        path = tmp_path / "models" / "1-policy" / WEIGHTS
        whole = path.read_bytes()
        path.write_bytes(whole[:-8])
        third = asking.post(PREDICT, json={"observation": row}).json()
        assert third == second  # what is half written is not taken
        assert "not taken" in asking.get("/models").text
        path.write_bytes(whole)
        assert asking.post(PREDICT, json={"observation": row}).json() == second
        shutil.rmtree(tmp_path / "models" / "1-policy")
        assert asking.post(PREDICT, json={"observation": row}).status_code == 404
        assert DESCRIPTION  # the folder is empty now, and that is told


def facts_for(asking: Any) -> dict[str, Any]:
    names = asking.get("/api/v1/models/1-policy/facts").json()
    values = dict.fromkeys(names["opportunities"], 1.0)
    values |= {"long_exchange": SPEC.exchanges[0], "short_exchange": SPEC.exchanges[1], "volume_24h": 1e7}
    position = dict.fromkeys(names["positions"], 1.0)
    position |= {"long_exchange": SPEC.exchanges[1], "short_exchange": "elsewhere", "exit_pending": False}
    return {
        "portfolio": {"offered_pairs": 12, "drawdown": 0.3},
        "positions": [position],
        "opportunities": [values, {**values, "nf_24h": None}],
    }


def test_facts_are_encoded_and_answered_in_words(served: Serving) -> None:
    with client(served) as asking:
        asked = facts_for(asking)
        answer = asking.post(PREDICT, json=asked)
        assert answer.status_code == 200
        (found,) = answer.json()["predictions"]
        assert [value is not None for value in found["logits"]] == [True, True, True, False, False, True, False]
        if found["order"]["kind"] == "enter":
            assert f"long {SPEC.exchanges[0]}" in found["order"]["words"]


@pytest.mark.parametrize(
    ("part", "change", "where"),
    [
        ("portfolio", {"offered_pairs": None}, "body.portfolio.offered_pairs"),
        ("portfolio", {"equity": 1.0}, "body.portfolio.equity"),
        ("portfolio", {"drawdown": -1.0}, "body.portfolio.drawdown"),
        ("opportunities", {"nf_24h": "much"}, "body.opportunities.0.nf_24h"),
        ("opportunities", {"nf_24h": True}, "body.opportunities.0.nf_24h"),
        ("opportunities", {"volume_24h": -1.0}, "body.opportunities.0.volume_24h"),
        ("opportunities", {"nf24h": 1.0}, "body.opportunities.0.nf24h"),
        ("opportunities", {"long_exchange": 3}, "body.opportunities.0.long_exchange"),
        ("positions", {"exit_pending": None}, "body.positions.0.exit_pending"),
        ("positions", {"hours_held": None}, "body.positions.0.hours_held"),
    ],
)
def test_a_fact_that_is_wrong_is_named(served: Serving, part: str, change: dict[str, Any], where: str) -> None:
    with client(served) as asking:
        asked = facts_for(asking)
        target = asked[part] if part == "portfolio" else asked[part][0]
        target.update(change)
        answer = asking.post(PREDICT, json=asked)
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["where"] == where


@pytest.mark.parametrize("part", ["opportunities", "positions"])
def test_a_fact_that_is_missing_is_never_taken_for_zero(served: Serving, part: str) -> None:
    with client(served) as asking:
        for name in facts_for(asking)[part][0]:
            asked = facts_for(asking)
            del asked[part][0][name]
            answer = asking.post(PREDICT, json=asked)
            assert answer.status_code == 422, name
            assert answer.json()["problems"][0]["where"] == f"body.{part}.0.{name}"


def older(tmp_path: Path) -> Serving:
    save_bundle(random_policy(3), {}, tmp_path / "models" / "1-older")
    return serving(tmp_path, older_api=True)


def older_body() -> dict[str, Any]:
    one = dict.fromkeys(FIRST_SPEC.features, 0.5)
    return {
        "opportunities": [{**one, "symbol": "BTCUSDT"}, {**one, "symbol": "ETHUSDT", "fund_apr": 40.0}],
        "portfolio": {"equity": 1.0, "committed": 0.0, "drawdown": 0.0},
    }


def test_the_older_shapes_are_answered_by_the_same_function(tmp_path: Path) -> None:
    of = older(tmp_path)
    with client(of) as asking:
        assert asking.get("/health").json() == {"status": "healthy", "model_loaded": True}
        found = asking.post("/rl/predict/opportunities", json=older_body()).json()
        stated = {**older_body(), "positions": []}
        for one in stated["opportunities"]:
            del one["symbol"]
        new = asking.post(PREDICT, json=stated).json()["predictions"][0]
    first, second = found["predictions"]
    assert set(first) == {
        "opportunity_index", "symbol", "enter_probability", "confidence", "hold_probability", "state_value",
    }  # fmt: skip
    assert (first["symbol"], second["symbol"]) == ("BTCUSDT", "ETHUSDT")
    assert [first["enter_probability"], second["enter_probability"]] == new["probabilities"][1:3]
    assert first["hold_probability"] == new["probabilities"][0]
    assert first["confidence"] in ("HIGH", "MEDIUM", "LOW")


def test_the_older_positions_are_answered(tmp_path: Path) -> None:
    of = older(tmp_path)
    body = {
        "positions": [{"symbol": "BTCUSDT", "pnl": 0.1, "hours_held": 5.0, "funding": 0.02}],
        "portfolio": {"equity": 1.01, "committed": 0.5, "drawdown": 0.0},
    }
    with client(of) as asking:
        (found,) = asking.post("/rl/predict/positions", json=body).json()["predictions"]
        del body["positions"][0]["pnl"]  # type: ignore[attr-defined]  # a list of objects
        assert asking.post("/rl/predict/positions", json=body).status_code == 422
    assert found["symbol"] == "BTCUSDT"
    assert 0 < found["exit_probability"] < 1


def test_the_older_calls_are_off_unless_asked_for_and_need_a_model_that_sees_them(served: Serving) -> None:
    with client(served) as asking:
        assert asking.post("/rl/predict/opportunities", json=older_body()).status_code == 404
        assert asking.get("/health").status_code == 404
    with client(Serving(served.state, served.runs, served.models, older_api=True)) as asking:
        answer = asking.post("/rl/predict/opportunities", json=older_body())
        assert answer.status_code == 404
        assert "version 1" in answer.json()["error"]
