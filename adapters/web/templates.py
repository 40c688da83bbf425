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
from adapters.storage.run_names import PICTURES

TONES: Mapping[str, str] = {OK: "good", DEGRADED: "warn", STALE: "bad", "missed": "warn", "history": "", "closed": ""}


FILTERS: Mapping[str, Any] = {
    "card": lambda text, root: rendered(text, root),
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
    # Without HTML of its own: a card is a text from a folder.
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def rendered(text: str, root: str) -> Markup:
    """A model card as HTML; the pictures beside it are under ``/pictures``."""
    made = _markdown().render(text)
    for name in PICTURES:
        made = made.replace(f'src="{name}"', f'src="{root}/pictures/{name}"')
    return Markup(made.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>"))


def page(request: Request, template: str, code: int = 200, **values: Any) -> HTMLResponse:
    """A template as an answer; links in it begin with the root path."""
    root = str(request.scope.get("root_path", ""))
    return HTMLResponse(environment().get_template(template).render(root=root, **values), code)
