"""The generator's statistics beside those of real markets (``configs/sample_calibration.yaml``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from adapters.configuration.settings import CONFIGS, read_yaml
from adapters.sample.statistics import Figures
from engine.errors import SettingsError
from engine.settings import Positive, Settings, parse_settings

CALIBRATION_CONFIG = CONFIGS / "sample_calibration.yaml"
HEADINGS = {
    "funding": "Funding per settlement (bps)",
    "baseline_pct": "Settlements exactly at the 0.01 %/8 h baseline (%)",
    "negative_pct": "Negative settlements (%)",
    "memory": "Autocorrelation of 8 h funding (median coin)",
    "spread": "Differences of 8 h funding between exchanges (size, bps)",
    "basis": "Price basis between exchanges (bps)",
    "returns": "Hourly returns (bps; median coin)",
    "bounce": "Last trade of an hour to the next trade, standard deviation (bps; median coin)",
}


class RealFigure(Settings):
    """A figure of real markets and how near the sample must be: by a factor, by a difference, or only shown."""

    real: float
    factor: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = None
    within: Positive | None = None
    shown: str | None = None
    """Why the figure is not held to anything."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if sum(limit is not None for limit in (self.factor, self.within, self.shown)) != 1:
            raise ValueError("give exactly one of factor, within, shown")
        return self

    def accepts(self, synthetic: float) -> bool:
        """Whether a synthetic figure is near enough; a figure that is only shown always is."""
        if self.factor is not None:
            # A factor between numbers of different signs would mean nothing.
            return self.real * synthetic > 0 and 1 / self.factor <= synthetic / self.real <= self.factor
        return self.within is None or abs(synthetic - self.real) <= self.within

    @property
    def limit(self) -> str:
        if self.factor is not None:
            return f"x {self.factor:g}"
        return "" if self.within is None else f"+- {self.within:g}"


@dataclass(frozen=True)
class Comparison:
    """One figure, synthetic (None: not measurable in the data) and real."""

    name: str
    synthetic: float | None
    real: RealFigure

    @property
    def agrees(self) -> bool:
        return self.real.shown is not None or (self.synthetic is not None and self.real.accepts(self.synthetic))


def read_real_figures(path: Path = CALIBRATION_CONFIG) -> dict[str, RealFigure]:
    """The committed figures of real markets, in file order."""
    return {name: _figure(name, values, path) for name, values in read_yaml(path).items()}


def _figure(name: str, values: object, path: Path) -> RealFigure:
    if not isinstance(values, Mapping):
        raise SettingsError(f"{path.name}: {name} must be a mapping with real and factor, within or shown")
    return parse_settings(RealFigure, values, origin=f"{path.name}: {name}")


def compare(figures: Figures, real: Mapping[str, RealFigure]) -> list[Comparison]:
    """Every real figure beside the synthetic one."""
    return [Comparison(name, figures.get(name), figure) for name, figure in real.items()]


def text_table(comparisons: Sequence[Comparison]) -> list[str]:
    """Lines of at most 100 columns: figure, synthetic, real, allowed distance, verdict."""
    lines = [f"{'figure':<44}{'synthetic':>12}{'real':>12}{'allowed':>12}  verdict"]
    for row in comparisons:
        verdict = "shown only" if row.real.shown is not None else "agrees" if row.agrees else "DIFFERS"
        values = f"{_short(row.synthetic):>12}{_short(row.real.real):>12}{row.real.limit:>12}"
        lines.append(f"{row.name:<44}{values}  {verdict}")
    return lines


def markdown_tables(comparisons: Sequence[Comparison]) -> list[str]:
    """One Markdown table per kind of figure; cells read synthetic / real."""
    lines: list[str] = []
    for kind, heading in HEADINGS.items():
        rows: dict[str, dict[str, Comparison]] = {}
        for comparison in comparisons:
            place = _place(comparison.name)
            if place[0] == kind:
                rows.setdefault(place[1], {})[place[2]] = comparison
        if rows:
            lines += [f"**{heading}**", "", *_matrix(rows), ""]
    return lines[:-1]


def _place(name: str) -> tuple[str, str, str]:
    """(kind, row, column) of a figure in the Markdown tables."""
    kind, *rest = name.split(".", 1)
    if kind.startswith("ac"):
        return "memory", rest[0], kind.removeprefix("ac")
    if kind in ("funding", "spread", "basis", "returns"):
        row, _, column = rest[0].rpartition(".")
        return kind, row.replace(".", " ") or "all", column
    return kind, rest[0].replace(".", " "), "share" if kind != "bounce" else "deviation"


def _matrix(rows: Mapping[str, Mapping[str, Comparison]]) -> list[str]:
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    lines = [f"| synthetic / real | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, cells in rows.items():
        lines.append(f"| {name} | {' | '.join(_cell(cells.get(column)) for column in columns)} |")
    return lines


def _cell(comparison: Comparison | None) -> str:
    return "" if comparison is None else f"{_short(comparison.synthetic)} / {_short(comparison.real.real)}"


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
