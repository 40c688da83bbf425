"""How long one hour of live paper trading takes: collect, build features, decide, book, commit.

    python benchmarks/bench_paper_hour.py                            8 exchanges, 100 coins, all answering
    python benchmarks/bench_paper_hour.py --hanging okx --hours 1    one exchange accepts requests and never answers

The loopback server is a process of its own and the rate limits of the exchanges are off. Our own time is the
processor's time of this process; the rest of the wall time is the server's work, which is shown beside it. Exit code
1 over the limit: 10 s of our own time with all answering, 30 s of wall time with one exchange hanging.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

START = datetime(2025, 1, 1, tzinfo=UTC)
PAST_HOURS = 240
SECONDS_INTO_THE_HOUR = 20
LIMIT_SECONDS, HANGING_LIMIT_SECONDS = 10.0, 30.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coins", type=int, default=100)
    parser.add_argument("--hours", type=int, default=9)
    parser.add_argument("--strategy", default="ppo")
    parser.add_argument("--hanging", help="an exchange that never answers, with the shipped patience")
    given = parser.parse_args()
    coins = [f"C{i}" for i in range(given.coins)]
    server = started_server(coins, PAST_HOURS + given.hours + 26)
    try:
        return measure(server, coins, given.hours, given.strategy, given.hanging)
    finally:
        server.terminate()
        server.wait()


def started_server(coins: list[str], hours: int) -> subprocess.Popen[str]:
    now = START + timedelta(hours=PAST_HOURS, seconds=SECONDS_INTO_THE_HOUR)
    options = ["--start", START.isoformat(), "--hours", str(hours), "--now", now.isoformat()]
    command = [sys.executable, "-m", "loopback.serve", *options, "--coins", ",".join(coins)]
    return subprocess.Popen(command, cwd=ROOT / "tests", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def measure(server: subprocess.Popen[str], coins: list[str], hours: int, strategy: str, hanging: str | None) -> int:
    from loopback.server import addresses

    from adapters.exchanges.live import LiveMarket
    from adapters.exchanges.settings import exchanges_settings
    from adapters.paper.compile_ahead import compile_ahead
    from adapters.paper.live import LiveTrading, open_live
    from adapters.paper.memory import slim_down
    from adapters.paper.settings import load_config
    from adapters.paper.setup import prepare_player, session_of

    assert server.stdout is not None
    base = server.stdout.readline().strip()
    slim_down()
    config = load_config(None, strategy=strategy)
    paper = config.paper.model_copy(update={"symbols": tuple(f"{coin}USDT" for coin in coins), "top": None})
    compile_ahead(paper, config.engine)
    player = prepare_player(strategy, config.engine, paper.models, paper.seed)
    reached = {
        name: {"ccxt": {"urls": {"api": api}, "enableRateLimit": False}} for name, api in addresses(base).items()
    }
    exchanges = exchanges_settings({"exchanges": reached}, origin="benchmark")
    clock = _Clock(base)
    with (
        tempfile.TemporaryDirectory() as folder,
        LiveMarket(exchanges, clock=clock) as live,
        open_live(Path(folder), paper, exchanges, player, live) as journal,
    ):
        journal.sync_every_hour(wanted=True)
        trading = LiveTrading(session_of(journal, player, excuse_errors=False), live, clock)
        began = time.monotonic()
        trading.run()
        print(f"first start with its history: {time.monotonic() - began:.1f} s")
        _tell(base, rules=[{"fault": "hang", "exchange": hanging}] if hanging else [])
        walls, own = [], []
        for _ in range(hours):
            clock.next_hour()
            wall, cpu, served = time.monotonic(), time.process_time(), _processor_seconds(server)
            hour = trading.run().hours[-1]
            walls.append(time.monotonic() - wall)
            own.append(time.process_time() - cpu)
            legs = journal.rows("SELECT count(*) FROM observations WHERE hour = ?", hour.hour)[0][0]
            rates = journal.rows("SELECT count(*) FROM settlements WHERE known_hour = ?", hour.hour)[0][0]
            print(
                f"{walls[-1]:5.1f} s: {own[-1]:.1f} s of our own, {_processor_seconds(server) - served:.1f} s of the "
                f"server's; {hour.status}, {legs} legs, {rates} rates, {hour.decision.no_decision or 'decided'}",
                flush=True,
            )
    print(
        f"median {statistics.median(own):.1f} s of our own, {statistics.median(walls):.1f} s in all; longest ", end=""
    )
    print(f"{max(own):.1f} s, {max(walls):.1f} s")
    if hanging:
        return _verdict(max(walls), HANGING_LIMIT_SECONDS, "an hour with one exchange hanging")
    return _verdict(max(own), LIMIT_SECONDS, "our own time in an hour")


def _verdict(seconds: float, limit: float, what: str) -> int:
    print(f"{'ok' if seconds < limit else 'FAIL'}: {what}, {seconds:.1f} s (limit {limit:g} s)")
    return 0 if seconds < limit else 1


def _processor_seconds(process: subprocess.Popen[str]) -> float:
    user, system = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class _Clock:
    """The server's clock, which stands still while an hour is worked on."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._now = START + timedelta(hours=PAST_HOURS, seconds=SECONDS_INTO_THE_HOUR)

    def __call__(self) -> int:
        return round(self._now.timestamp() * 1000)

    def next_hour(self) -> None:
        self._now += timedelta(hours=1)
        _tell(self._base, now_ms=self())


def _tell(base: str, **order: Any) -> None:
    body = json.dumps(order).encode()
    request = urllib.request.Request(f"{base}/_control", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).close()


if __name__ == "__main__":
    sys.exit(main())
