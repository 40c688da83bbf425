"""The loopback server as a process of its own, for drills that kill the program under test.

``python -m loopback.serve --start 2025-01-01T00:00Z --hours 1000 [--port N]`` with ``tests`` on the path. It prints its
address and runs until its input ends. ``POST /_control`` moves the clock and sets faults, ``GET /_stats`` counts.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime

from loopback.server import LoopbackServer
from loopback.world import COINS, EXCHANGES, make_world


def run() -> None:
    """Serve until standard input is closed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=datetime.fromisoformat, required=True)
    parser.add_argument("--hours", type=int, required=True)
    parser.add_argument("--now", type=datetime.fromisoformat)
    parser.add_argument("--coins", default=",".join(COINS))
    parser.add_argument("--exchanges", default=",".join(EXCHANGES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    coins, exchanges = tuple(given.coins.split(",")), tuple(given.exchanges.split(","))
    world = make_world(given.start, given.hours, coins=coins, exchanges=exchanges, seed=given.seed, now=given.now)
    with LoopbackServer(world, port=given.port) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    run()
