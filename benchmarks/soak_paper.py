"""A month of paper trading against the loopback server: random faults, outages, and kill -9 at random instants.

    make soak                                             720 hours, 4 exchanges, 40 coins, 50 kills
    python benchmarks/soak_paper.py --hours 48 --coins 6 --kills 5

Two runs see the same month. One is a single process, whose memory, files and connections are watched; the other is
killed again and again. Both journals must hold the same records to the last bit, every hour once, and agree with the
backtester. Prints a line per check; exit code 1 when one fails.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

START = datetime(2025, 1, 1, tzinfo=UTC)
EXCHANGES = ("binanceusdm", "bybit", "hyperliquid", "okx")
PAST_HOURS = 240
SECONDS_INTO_THE_HOUR = 20
OUTAGE_EVERY, OUTAGE_HOURS = 97, 5
"""Every so many hours the machine is off for so many: hours that are missed in both runs."""
MEMORY_LIMIT_MB, GROWTH_LIMIT = 300.0, 0.05
STRATEGIES = {"random": {"enter_probability": 0.3, "exit_probability": 0.05}}
FAULTS = (
    "http500", "http503", "http429", "limit_body", "cut", "html", "half_json",
    "empty", "truncated", "nulls", "stale", "ahead",
)  # fmt: skip
"""All but hanging, whose outcome depends on the speed of the machine; a test of its own covers it."""


def main() -> int:
    arguments = _parsed()
    if arguments.child:
        return child(json.loads(arguments.child))
    return drive(arguments.hours, arguments.coins, arguments.kills, arguments.share, arguments.seed, arguments.keep)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=720)
    parser.add_argument("--coins", type=int, default=40)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--share", type=float, default=0.01, help="share of requests that go wrong")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder that the two states are left in")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def _folder(keep: Path | None) -> AbstractContextManager[str]:
    return tempfile.TemporaryDirectory() if keep is None else nullcontext(str(keep))


def drive(hours: int, coins: int, kills: int, share: float, seed: int, keep: Path | None) -> int:
    """Both runs and the comparison."""
    from loopback.faults import Faults, RandomFaults
    from loopback.server import LoopbackServer
    from loopback.world import make_world

    world = make_world(START, PAST_HOURS + hours + 48, coins=tuple(f"C{i}" for i in range(coins)), exchanges=EXCHANGES)
    faults = Faults(random=RandomFaults(seed, share, FAULTS))
    with _folder(keep) as folder, LoopbackServer(world, faults) as server:
        plan = {
            "base": server.url,
            "coins": [f"C{i}USDT" for i in range(coins)],
            "exchanges": server.exchanges(*EXCHANGES),
            "first": int(START.timestamp()) // 3600 + PAST_HOURS,
            "hours": hours,
        }
        began = time.monotonic()
        calm = undisturbed(plan, Path(folder) / "calm")
        print(f"undisturbed: {len(calm)} runs, {(time.monotonic() - began) / max(1, len(calm)):.2f} s each")
        began = time.monotonic()
        done = disturbed(plan, Path(folder) / "killed", kills, np.random.default_rng(seed))
        print(f"killed {done} times: {time.monotonic() - began:.0f} s")
        left = server.settle()
        checks = [
            (done == kills, f"{done} of {kills} kills"),
            (left == 0, f"{left} connections left open"),
            *resources(calm),
            *compared(Path(folder) / "calm", Path(folder) / "killed"),
        ]
    for passed, text in checks:
        print(f"{'ok  ' if passed else 'FAIL'} {text}")
    return 0 if all(passed for passed, _ in checks) else 1


def started(plan: dict[str, Any], state: Path) -> subprocess.Popen[str]:
    content = json.dumps({"watched": False, **plan, "state": str(state)})
    return subprocess.Popen([sys.executable, __file__, "--child", content], stdout=subprocess.PIPE, text=True)


def undisturbed(plan: dict[str, Any], state: Path) -> list[dict[str, Any]]:
    """One process over all hours; what it tells of itself after each."""
    process = started({**plan, "watched": True}, state)
    assert process.stdout is not None
    told = [json.loads(line) for line in process.stdout]
    if process.wait():
        raise SystemExit("the undisturbed run failed")
    return told


def disturbed(plan: dict[str, Any], state: Path, kills: int, rng: np.random.Generator) -> int:
    """Processes killed at random instants until that many kills, then one that comes to the end."""
    done = 0
    hours_each = max(1, plan["hours"] // (kills + 1))
    while True:
        process = started(plan, state)
        assert process.stdout is not None
        quota = int(rng.integers(0, hours_each + 1)) if done < kills else sys.maxsize
        for count, _ in enumerate(process.stdout):
            if count >= quota:
                break
        else:
            if process.wait():
                raise SystemExit("a run failed")
            return done
        _kill_within(process, float(rng.uniform(0, 1.0)))
        done += 1


def _kill_within(process: subprocess.Popen[str], seconds: float) -> None:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()


def resources(told: list[dict[str, Any]]) -> list[tuple[bool, str]]:
    """Memory and open files of the single process; the first tenth is for warming up."""
    settled = told[max(1, len(told) // 10) :]
    memory = np.array([hour["memory_mb"] for hour in settled])
    quarter = max(1, len(memory) // 4)
    growth = memory[-quarter:].mean() / memory[:quarter].mean() - 1
    files = {hour["files"] for hour in settled}
    return [
        (memory.max() < MEMORY_LIMIT_MB, f"memory at most {memory.max():.0f} MB (limit {MEMORY_LIMIT_MB:.0f})"),
        (growth < GROWTH_LIMIT, f"memory grew by {100 * growth:.2f} % from the first to the last quarter"),
        (max(files) - min(files) <= 2, f"open files between {min(files)} and {max(files)}"),
    ]


def compared(calm: Path, killed: Path) -> list[tuple[bool, str]]:
    """Both journals against each other and against the backtester."""
    from adapters.paper.journal import Journal
    from adapters.paper.schema import RECORD_TABLES
    from adapters.paper.setup import prepare_player, settings_of
    from adapters.paper.verify import verify

    checks = []
    with Journal.open_for_reading(calm) as one, Journal.open_for_reading(killed) as other:
        hours = [hour for (hour,) in other.rows("SELECT hour FROM slots ORDER BY hour")]
        checks.append((hours == list(range(hours[0], hours[-1] + 1)), f"{len(hours)} hours, each once, none missing"))
        for table in ("slots", "observations", "settlements", "decisions", *RECORD_TABLES):
            key = "hour, status" if table == "slots" else "*"
            rows = [journal.rows(f"SELECT {key} FROM {table} ORDER BY 1, 2") for journal in (one, other)]
            checks.append((rows[0] == rows[1], f"{table}: {len(rows[0])} rows, the same in both"))
        statuses = dict(other.rows("SELECT status, count(*) FROM slots GROUP BY status"))
        checks.append((statuses.get("degraded", 0) > 0, f"status of the hours: {statuses}"))
        meta = other.meta
        verdict = verify(other, prepare_player("random", settings_of(meta), (), meta["seed"]))
        checks.append((verdict.difference is None, f"backtester: {verdict.difference or 'agrees to the last bit'}"))
    return checks


def child(plan: dict[str, Any]) -> int:
    """Trade the hours of the plan from where the state stands; a line of JSON after every run."""
    from adapters.configuration.settings import load_settings
    from adapters.exchanges.live import LiveMarket
    from adapters.exchanges.settings import exchanges_settings
    from adapters.paper.compile_ahead import compile_ahead
    from adapters.paper.live import LiveTrading, open_live
    from adapters.paper.memory import slim_down
    from adapters.paper.settings import PaperSettings
    from adapters.paper.setup import prepare_player, session_of

    slim_down()
    settings = load_settings().model_copy(update={"strategies": STRATEGIES})
    paper = PaperSettings(strategy="random", symbols=tuple(plan["coins"]), seed=7)
    if plan["watched"]:
        compile_ahead(paper, settings)
    player = prepare_player("random", settings, (), 7)
    collection = {"retry_wait_seconds": 0, "attempts": 2, "time_limit_seconds": 120}
    exchanges = exchanges_settings({"exchanges": plan["exchanges"], "collection": collection}, origin="soak")
    last = plan["first"] + plan["hours"] - 1
    clock = _Clock(plan["base"])
    with (
        LiveMarket(exchanges, clock=clock) as live,
        open_live(Path(plan["state"]), paper, exchanges, player, live) as journal,
    ):
        session = session_of(journal, player, excuse_errors=True)
        trading = LiveTrading(session, live, clock)
        while (hour := next_hour(session.hour, plan["first"])) <= last:
            clock.set(hour)
            trading.run()
            print(json.dumps({"hour": hour, "memory_mb": _memory_mb(), "files": _open_files()}), flush=True)
    return 0


def next_hour(done: int | None, first: int) -> int:
    """The hour to run next: the one that follows, or the first after an outage that begins there."""
    hour = first if done is None or done < first else done + 1
    into = (hour - first) % OUTAGE_EVERY
    return hour + OUTAGE_HOURS - into if into < OUTAGE_HOURS and hour - first >= OUTAGE_EVERY else hour


class _Clock:
    """The server's clock, which stands still while an hour is worked on."""

    def __init__(self, base: str) -> None:
        self._base, self._now_ms = base, 0

    def __call__(self) -> int:
        return self._now_ms

    def set(self, hour: int) -> None:
        self._now_ms = (hour * 3600 + SECONDS_INTO_THE_HOUR) * 1000
        body = json.dumps({"now_ms": self._now_ms}).encode()
        request = urllib.request.Request(f"{self._base}/_control", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=30).close()


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


if __name__ == "__main__":
    sys.exit(main())
