"""Pages: server-side, whole without any script."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from adapters.paper.status import DEGRADED, OK, STALE
from adapters.reporting.page import numbers

TONES: Mapping[str, str] = {OK: "good", DEGRADED: "warn", STALE: "bad", "missed": "warn", "history": "", "closed": ""}


FILTERS: Mapping[str, Any] = {
    "card": lambda text: rendered(text),
    "usd": numbers.usd,
    "pct": numbers.pct,
    "num": numbers.number,
    "words": lambda text: str(text).replace("_", " "),
    "coin": lambda text: str(text).removesuffix("USDT"),
    "tone": lambda text: TONES.get(str(text), ""),
    "price": lambda value: numbers.DASH if value is None else f"{value:g}",
    "rate": lambda value: numbers.DASH if value is None else f"{100 * value:+.4f} %",
    "clock": lambda text: numbers.DASH if not text else str(text)[11:16],
    "short": lambda text: numbers.DASH if not text else str(text).replace("T", " ")[:16],
}


@cache
def environment() -> Environment:
    """Templates of the service, with the numbers of the reports."""
    made = Environment(
        loader=PackageLoader("adapters.web", "pages"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= FILTERS
    return made


@cache
def _markdown() -> MarkdownIt:
    # Without HTML of its own and without pictures: a card is a text from a folder, and lies beside no page.
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def rendered(text: str) -> Markup:
    """A model card as HTML."""
    return Markup(
        _markdown().render(text).replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
    )


def page(request: Request, template: str, code: int = 200, **values: Any) -> HTMLResponse:
    """A template as an answer; links in it begin with the root path."""
    root = str(request.scope.get("root_path", ""))
    return HTMLResponse(environment().get_template(template).render(root=root, **values), code)
