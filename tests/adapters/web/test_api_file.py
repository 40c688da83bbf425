"""The description of the API in the repository is that of the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support_web import client, serving

from adapters.web.app import openapi_text

FILE = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_file_is_what_the_code_says(tmp_path: Path) -> None:
    assert FILE.read_text(encoding="utf-8") == openapi_text(serving(tmp_path, older_api=True)), (
        "the API has changed: make openapi writes docs/openapi.json anew"
    )


@pytest.mark.parametrize("older", [True, False])
def test_it_is_served_and_every_call_says_what_it_answers(tmp_path: Path, older: bool) -> None:
    with client(serving(tmp_path, older_api=older)) as asking:
        found = asking.get("/openapi.json").json()
        listed = asking.get("/api").text
    calls = [(path, call) for path, methods in found["paths"].items() for call in methods.values()]
    assert len(calls) > 15
    assert any(path.startswith("/rl/") for path, _ in calls) is older
    for path, call in calls:
        assert call.get("description"), path
        assert path in listed


def test_the_service_knows_no_exchange_and_no_learner() -> None:
    code = "import sys, adapters.web.run; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    loaded = set(found.stdout.split("'"))
    assert "fastapi" in loaded
    assert not loaded & {"ccxt", "aiohttp", "torch", "stable_baselines3", "gymnasium", "apscheduler", "plotly"}
