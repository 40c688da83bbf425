"""What tests of every kind ask for by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches are not those of the person who runs the tests, but ones that all tests of a run share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARB_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "arrays"))
        yield
