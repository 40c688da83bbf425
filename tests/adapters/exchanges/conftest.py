"""One server for all tests of a file; what a test breaks in it is whole again for the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loopback.server import LoopbackServer
from support_exchanges import world_of


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[LoopbackServer]:
    """A server of the ``WORLD`` of the test file (arguments of ``world_of``); at the end no request is left open."""
    with LoopbackServer(world_of(**request.module.WORLD)) as server:
        yield server
        assert server.settle() == 0


@pytest.fixture
def server(running: LoopbackServer) -> Iterator[LoopbackServer]:
    """The file's server, without faults and delays of the tests before."""
    yield running
    running.faults.rules.clear()
    running.faults.random = None
    running.world.delays.clear()
