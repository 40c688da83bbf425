"""The folder of a run, read back: what `arb backtest` and `arb paper-export` wrote, with right types and UTC times.

Runs of older versions stay readable: a metric that they do not have is None, a dash wherever metrics are shown, and a
column that they do not have is what it was then. Runs of newer versions are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from adapters.naming.names import together
from adapters.storage.causes import cause
from adapters.storage.csv_files import unquoted
from adapters.storage.json_files import read_object
from engine.accounting.records import NO_RECORDS
from engine.analysis.metrics import Metrics, compute_metrics
from engine.errors import LONGEST_REASON, ArbError, DataError, UserError, cut, in_words

RUN_FORMAT = 2
"""Of the files of a run: raised when they change so that a version from before could misread them."""
RUN_FILES = ("metrics.json", "manifest.json", "trades.csv", "ledger.parquet", "equity.parquet", "notes.csv")
REPORT = "report.html"
"""What may lie beside them: the page made of them."""

_WORDS = {
    "trades.csv": ("symbol", "long_exchange", "short_exchange", "exit_reason"),
    "notes.csv": ("what", "order", "target", "reason"),
}
_WHOLE = ("position_id", "duration_hours")
METRIC_NAMES = tuple(compute_metrics(NO_RECORDS, 1.0))
COLUMNS = {
    "trades.csv": (
        *("position_id", "symbol", "long_exchange", "short_exchange", "entry_time", "exit_time", "duration_hours"),
        *("quantity", "position_size_usd", "entry_long_price", "entry_short_price", "exit_long_price"),
        *("exit_short_price", "entry_fees_usd", "exit_fees_usd", "funding_usd", "price_pnl_usd", "slippage_usd"),
        *("pnl_usd", "pnl_pct", "exit_reason"),
    ),
    "notes.csv": ("time", "what", "order", "target", "reason"),
    "ledger.parquet": (
        *("time", "position_id", "kind", "leg", "exchange", "symbol", "quantity", "price", "rate", "amount_usd"),
        "assumed",
    ),
    "equity.parquet": ("time", "equity_usd", "cash_usd", "unrealised_usd", "open_positions"),
}
"""What the tables of a run of any version have."""


@dataclass(frozen=True, eq=False)
class SavedRun:
    """One run as its files tell it. Tables have the columns of ``adapters.storage.run_files``; times are aware UTC."""

    folder: Path
    metrics: Metrics
    manifest: dict[str, Any]
    trades: pd.DataFrame
    ledger: pd.DataFrame
    equity: pd.DataFrame
    notes: pd.DataFrame

    @property
    def name(self) -> str:
        """The strategy that was played."""
        return str(self.manifest.get("strategy", self.folder.name))

    @property
    def initial_capital_usd(self) -> float:
        return float(self.manifest["settings"]["initial_capital_usd"])

    @property
    def hours(self) -> int:
        return len(self.equity)


def is_run(folder: Path) -> bool:
    """Whether a folder has all the files of a run."""
    return all((folder / name).is_file() for name in RUN_FILES)


def run_folders(folder: Path) -> list[Path]:
    """The folder itself when it is a run, else the runs directly in it, by name.

    Raises ``UserError`` when there is none.
    """
    if is_run(folder):
        return [folder]
    inside = sorted(path for path in folder.iterdir() if is_run(path)) if folder.is_dir() else []
    if not inside:
        raise _no_run(folder)
    return inside


def read_head(folder: Path) -> tuple[Metrics, dict[str, Any]]:
    """Metrics and manifest of a run without its tables. Raises ``UserError`` like ``read_run``."""
    if not is_run(folder):
        raise _no_run(folder)
    manifest = _read(folder / "manifest.json", _manifest)
    return _read(folder / "metrics.json", lambda path: known_metrics(read_object(path))), manifest


def read_run(folder: Path) -> SavedRun:
    """Read the folder of a run. Raises ``UserError`` naming the file that is missing or broken."""
    metrics, manifest = read_head(folder)
    return SavedRun(
        folder=folder,
        metrics=metrics,
        manifest=manifest,
        trades=_read(folder / "trades.csv", _trades),
        ledger=_read(folder / "ledger.parquet", _parquet),
        equity=_read(folder / "equity.parquet", _parquet),
        notes=_read(folder / "notes.csv", _csv),
    )


def require_facts(run: SavedRun, facts: Mapping[str, type]) -> None:
    """Raises ``UserError`` when the manifest of a run lacks something, or holds it as another type."""
    for name, kind in facts.items():
        if not isinstance(run.manifest.get(name), kind):
            path = run.folder / "manifest.json"
            raise UserError(f"{path} cannot be read (it does not say its {name}); run the backtest again")


def known_metrics(values: Mapping[str, Any], names: Iterable[str] = METRIC_NAMES) -> Metrics:
    """Metrics with None for those that an older version did not know. Raises ``ValueError`` for what is no number."""
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{name} is no number")
    # None and not 0: a metric that was not computed then must not be ranked or summed.
    return {**dict.fromkeys(names), **values}


def _manifest(path: Path) -> dict[str, Any]:
    """Raises ``UserError`` for a run of a newer version, ``ValueError`` for what is no manifest of a run."""
    values = read_object(path)
    version = values.get("format", 1)
    # True is an int too, and equal to 1.
    if type(version) is not int or version < 1:
        raise ValueError("its format is no number")
    if version > RUN_FORMAT:
        raise UserError(
            f"{path.parent} was written by a newer version of arb (format {version}; this one reads up to "
            f"{RUN_FORMAT}); read it with that version"
        )
    settings = values.get("settings")
    capital = settings.get("initial_capital_usd") if isinstance(settings, dict) else None
    if isinstance(capital, bool) or not isinstance(capital, int | float) or not capital > 0:
        raise ValueError("it does not say settings.initial_capital_usd")
    return values


@contextmanager
def fitting_together(folders: Sequence[Path]) -> Iterator[None]:
    """What fails while runs are shown that were read from files is told as their damage; ``-v`` shows where.

    Each file was readable; what is in them need not fit together any more. Results that have just been made are shown
    without this, so that a defect of ours stays one there.
    """
    try:
        yield
    except ArbError:
        raise
    except Exception as error:
        if cause(error) is not None:
            raise
        why = f"the files of {together(folders)} do not fit together ({in_words(error)})"
        raise UserError(f"{why}; run the backtest again (`arb -v` shows where it failed)") from error


def _no_run(folder: Path) -> UserError:
    if not folder.is_dir():
        return UserError(f"there is no folder {folder}; give the folder that `arb backtest` wrote (its --out)")
    inside = sorted(path.name for path in folder.iterdir() if is_run(path))
    if inside:
        return UserError(f"{folder} holds {len(inside)} runs ({', '.join(inside)}); give one: {folder / inside[0]}")
    missing = ", ".join(name for name in RUN_FILES if not (folder / name).is_file())
    return UserError(f"{folder} is not the folder of a run: no {missing}; `arb backtest --out FOLDER` writes one")


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(path)
    except DataError as error:
        raise UserError(f"{path} cannot be read ({error.problem}); run the backtest again") from error
    except UserError:
        raise
    except Exception as error:  # pandas and pyarrow raise many kinds for a broken file
        reason = cut(str(error), LONGEST_REASON) or type(error).__name__
        raise UserError(f"{path} cannot be read ({reason}); run the backtest again") from error


def _csv(path: Path) -> pd.DataFrame:
    """Exact numbers; an empty table has the types of a full one, and an empty word is a word."""
    words = _WORDS[path.name]
    # Texts first: pandas would read a coin called NA as missing, and its own parser of
    # numbers may be off in the last bit.
    table = _with_columns(pd.read_csv(path, keep_default_na=False, dtype=str), path)
    for column in table.columns:
        if column.endswith("time"):
            table[column] = pd.to_datetime(table[column], utc=True, format="ISO8601").dt.as_unit("s")
        elif column in _WHOLE:
            table[column] = table[column].astype("int64")
        elif column in words:
            table[column] = table[column].map(unquoted)
        else:
            table[column] = table[column].replace("", "nan").astype("float64")
    return table


def _trades(path: Path) -> pd.DataFrame:
    """Trades of versions without liquidation paid no fee for it, and both legs left together."""
    table = _csv(path)
    then: dict[str, Any] = {
        "liquidation_fees_usd": 0.0, "exit_long_time": table["exit_time"], "exit_short_time": table["exit_time"],
    }  # fmt: skip
    return table.assign(**{name: value for name, value in then.items() if name not in table.columns})


def _parquet(path: Path) -> pd.DataFrame:
    return _with_columns(pd.read_parquet(path), path)


def _with_columns(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    missing = [name for name in COLUMNS[path.name] if name not in table.columns]
    if missing:
        raise ValueError(f"it has no column {missing[0]!r}")
    return table
