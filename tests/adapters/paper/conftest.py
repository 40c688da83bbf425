"""The exchanges that paper trading is tested with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loopback.server import LoopbackServer
from support_exchanges import world_of


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """Ten days of two coins on every exchange, a server for each test."""
    with LoopbackServer(world_of(10, coins=("BTC", "ETH"))) as running:
        yield running
