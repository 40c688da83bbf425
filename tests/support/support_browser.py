"""A real browser, where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install -e '.[dev]')")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SCHEMES = ("light", "dark")
SIZES = {"phone": (375, 800), "desktop": (1280, 900)}


@contextmanager
def launched() -> Iterator[Any]:
    """A headless Chromium; skips the test where none is installed."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_api.sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        if found is None and not Path(own).exists():
            pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the path; apt-get install chromium")
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        running = playwright.chromium.launch(executable_path=found or own, args=flags)
        yield running
        running.close()
