"""A service over a small state, as tests ask it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi.testclient import TestClient
from market_strategies import random_market, random_settings
from support_paper import arb_settings, cut_replay, dataset_of
from support_structured import SPEC, structured_policy

from adapters.paper.journal import Journal
from adapters.paper.replay import open_replay
from adapters.paper.setup import prepare_player, session_of
from adapters.storage.bundles import save_bundle
from adapters.web.app import create_app
from adapters.web.routers.paper import utc_now
from adapters.web.serving import Serving
from engine.windows import Window

LOOPBACK = "http://127.0.0.1:8642"
EAGER = {"random": {"enter_probability": 0.4, "exit_probability": 0.1}}
NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)
HOURS = 150


def played_state(folder: Path, *, until: int | None = None, seed: int = 1, **rules: Any) -> Path:
    """A replay of a random market by a strategy that trades a lot; ``until``: cut after that row, positions open."""
    go_on(folder, HOURS if until is None else until, seed, **rules)
    return folder


def go_on(folder: Path, until: int, seed: int = 1, **rules: Any) -> None:
    """The state of ``played_state``, begun or played on to another row."""
    rng = np.random.default_rng(seed)
    market = random_market(rng, 2, 3, HOURS)
    plain, window = random_settings(rng).model_copy(update=rules), Window(10, HOURS - 1)
    settings = arb_settings(plain, **EAGER)
    player = prepare_player("random", settings, (), 7)
    with open_replay(folder, dataset_of(market), market, window, player, ()) as journal:
        cut_replay(session_of(journal, player, excuse_errors=False), market, window, until)


def deployed(folder: Path, *names: str, seed: int = 0) -> Path:
    """A folder of bundles of structured policies."""
    for k, name in enumerate(names or ("1-policy",)):
        save_bundle(structured_policy(seed + k), {"metrics": {"pnl_pct": 1.5}}, folder / name)
    return folder


def serving(folder: Path, **more: Any) -> Serving:
    """Of the state and the models in a folder; either may be missing."""
    return Serving(state=folder / "state", runs=folder / "runs", models=folder / "models", **more)


def client(of: Serving, now: Callable[[], datetime] = lambda: NOON, **more: Any) -> TestClient:
    """Asks a service as a program of this machine would."""
    return TestClient(create_app(of, now), base_url=LOOPBACK, follow_redirects=False, **more)


@contextmanager
def listening(of: Serving, port: int = 0, now: Callable[[], datetime] = utc_now) -> Iterator[str]:
    """The service in a thread, as a browser finds it; its address."""
    app = create_app(of, now)
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        bound.listen()
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1, lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            app.state.poller.close()
            server.should_exit = True
            thread.join(30)


def journal(of: Serving) -> Journal:
    """Its journal."""
    return Journal.open_for_reading(of.state)


__all__ = [
    "HOURS",
    "LOOPBACK",
    "NOON",
    "SPEC",
    "client",
    "deployed",
    "go_on",
    "journal",
    "listening",
    "played_state",
    "serving",
]
