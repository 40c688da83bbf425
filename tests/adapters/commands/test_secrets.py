"""The address of notifications is a secret: it stands in the configuration, and in nothing that arb writes or says."""

from __future__ import annotations

import gzip
import http.client
import json
import ssl
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS
from support_cli import arb
from support_exchanges import PATIENCE, world_of

from adapters.cli import arb as command_line
from adapters.paper.messages import Message
from adapters.paper.notify import Notifier, kind_of
from adapters.paper.settings import NotifySettings, PaperSettings

CANARY = "canary7f3a9"
PATH = f"/bot{CANARY}/send?chat_id=1"


class Hook(BaseHTTPRequestHandler):
    """Answers as its server is told, and repeats the address wherever it can: reason, headers, body."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(self.path)  # type: ignore[attr-defined]  # our own on a stock server
        self.send_response(self.server.status, f"no {self.path}")  # type: ignore[attr-defined]  # our own on a stock server
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere{PATH}")  # type: ignore[attr-defined]  # our own on a stock server
        self.end_headers()
        self.wfile.write(f"no {self.path}".encode())

    def do_GET(self) -> None:
        self.server.asked.append(f"GET {self.path}")  # type: ignore[attr-defined]  # our own on a stock server
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def hook(status: int) -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        server.status, server.asked = status, []  # type: ignore[attr-defined]  # our own on a stock server
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def complaints_of(url: str) -> list[str]:
    told: list[str] = []
    notifier = Notifier(NotifySettings(url=url, attempts=1, timeout_seconds=5), told.append, wait_seconds=0.0)
    notifier.send(Message("entry", "entered BTCUSDT"))
    notifier.close(10)
    return told


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (301, "HTTP 301 Moved Permanently"),
        (302, "HTTP 302 Found"),
        (303, "HTTP 303 See Other"),
        (307, "HTTP 307 Temporary Redirect"),
        (404, "HTTP 404 Not Found"),
        (599, "HTTP 599"),
    ],
)
def test_what_a_server_answers_is_told_by_its_status_and_no_redirect_is_followed(status: int, said: str) -> None:
    with hook(status) as server:
        told = complaints_of(f"http://127.0.0.1:{server.server_port}{PATH}")
        assert server.asked == [PATH]
    assert told == [f"notification not delivered ({said}): entered BTCUSDT"]


def test_a_server_that_is_not_there_is_told_without_its_address() -> None:
    with hook(200) as server:
        port = server.server_port
    assert complaints_of(f"http://127.0.0.1:{port}{PATH}") == [
        "notification not delivered (Connection refused): entered BTCUSDT"
    ]


@pytest.mark.parametrize(
    "error",
    [
        http.client.InvalidURL(f"nonnumeric port: '{CANARY}'"),
        ValueError(f"unknown url type: '{CANARY}'"),
        urllib.error.URLError(f"no host given {CANARY}"),
        urllib.error.URLError(ssl.SSLError(1, CANARY)),
        urllib.error.URLError(OSError(None, CANARY)),
        urllib.error.HTTPError(f"http://{CANARY}", 200, CANARY, http.client.HTTPMessage(), None),
        UnicodeEncodeError("ascii", CANARY, 0, 1, CANARY),
        OSError(99_999, CANARY),
    ],
)
def test_no_error_speaks_for_itself(error: Exception) -> None:
    assert CANARY not in kind_of(error)
    assert kind_of(error)
    if isinstance(error, urllib.error.HTTPError):
        error.close()


@pytest.mark.parametrize(
    "text",
    [
        f"notify: {{url: 'htps://api.example.org{PATH}'}}",
        f"notify: {{url: 'https://api.example.org:bot{CANARY}/'}}",
        f"notify: {{url: 'file:///{CANARY}'}}",
        f"notify: {{url: '{CANARY}'}}",
        f"notify: {{url: 'https:///{CANARY}'}}",
        f"notify: {{url: 'https://api.example.org/{CANARY} with a blank'}}",
        f'notify: {{url: "https://api.example.org/{CANARY}\\n"}}',
        f"notify: {{url: [https://api.example.org{PATH}]}}",
        f"notify: https://api.example.org{PATH}",
        f"notify: [https://api.example.org{PATH}]",
        f"notify: {{https://api.example.org{PATH}: null}}",
        f"notify: {{url: 'https://api.example.org{PATH}', attempts: {CANARY}}}",
        f"notify: {{url: null, urls: {CANARY}}}",
        f"notify_url: https://api.example.org{PATH}",
        f"notify: {{url: 'https://api.example.org{PATH}",
        f'notify:\n  url: "https://api.example.org{PATH}\n  events: [entry]\n\tbroken: yes\n',
    ],
)
@pytest.mark.parametrize("verbose", [(), ("-v",)])
def test_a_mistake_in_the_configuration_does_not_repeat_what_was_written(
    text: str, verbose: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "paper.yaml").write_text(text + "\n")
    words = ("paper-trade", "--once", "--config", tmp_path / "paper.yaml", "--state", tmp_path / "state")
    assert arb(*verbose, *words) == 2
    told = capsys.readouterr()
    assert CANARY not in told.out + told.err
    assert "paper.yaml" in told.err


def test_settings_do_not_show_it_in_any_form() -> None:
    paper = PaperSettings(notify=NotifySettings(url=f"https://api.example.org{PATH}"))
    shown = (repr(paper), str(paper), paper.model_dump_json(), json.dumps(paper.model_dump(mode="json")), paper.hash())
    assert not [text for text in shown if CANARY in text]
    assert paper.notify.url is not None
    assert CANARY in paper.notify.url.get_secret_value()


def test_a_paper_run_leaves_it_nowhere(tmp_path: Path) -> None:
    """Hours that enter, leave and fail, with notifications that are refused; then every command on the state."""
    told: list[str] = []

    def call(*words: object) -> None:
        result = CliRunner().invoke(command_line, [str(word) for word in words], standalone_mode=False)
        told.append(f"{result.output}{result.stderr}{result.exception!r}")

    with LoopbackServer(world_of(10, coins=("BTC", "ETH"))) as server, hook(302) as refusing:
        config = {
            "strategy": "random", "symbols": ["BTCUSDT", "ETHUSDT"], "collection": PATIENCE,
            "strategies": {"random": {"enter_probability": 0.7, "exit_probability": 0.2}},
            "exchanges": server.exchanges("bybit", "hyperliquid"),
            "notify": {"url": f"http://127.0.0.1:{refusing.server_port}{PATH}", "attempts": 1},
        }  # fmt: skip
        (tmp_path / "paper.yaml").write_text(yaml.safe_dump(config))
        state = ("--state", tmp_path / "work" / "state")
        for fault in (None, None, Rule("http500", "bybit")):
            server.faults.rules[:] = [] if fault is None else [fault]
            server.world.now_ms += HOUR_MS
            now = ("--now", datetime.fromtimestamp(server.world.now_ms / 1000, UTC).isoformat())
            call("paper-trade", *state, "--config", tmp_path / "paper.yaml", "--once", *now)
        assert PATH in refusing.asked
    for words in (("paper-status", *now), ("paper-status", "--json", *now), ("paper-verify",)):
        call(words[0], *state, *words[1:])
    call("paper-export", *state, "--out", tmp_path / "work" / "run")
    assert any("notification not delivered (HTTP 302 Found)" in text for text in told)
    assert (tmp_path / "work" / "run" / "report.html").is_file()
    assert not [text for text in told if CANARY in text]
    files = [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
    assert len(files) > 8
    for path in files:
        content = path.read_bytes()
        assert CANARY.encode() not in content, path
        assert CANARY.encode() not in (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else b""), path
