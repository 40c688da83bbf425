"""One state and one bundle for all tests of the service; who changes them makes others."""

from __future__ import annotations

import pytest
from support_web import deployed, played_state, serving

from adapters.web.serving import Serving


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    """A replay of six days with open positions, and a structured policy."""
    folder = tmp_path_factory.mktemp("service")
    played_state(folder / "state", until=140)
    deployed(folder / "models")
    return serving(folder)
