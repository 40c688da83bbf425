"""Styles and scripts of the pages, as they lie beside the templates."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from markupsafe import Markup


@cache
def asset(name: str) -> Markup:
    """A style or a script, to stand in a page as it is."""
    return Markup((files("adapters.reporting.page") / "templates" / name).read_text(encoding="utf-8"))
