"""Reading one table file, parquet or CSV, into plain columns (times: ``time_columns``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from engine.errors import LONGEST_REASON, DataError, cut
from engine.market.data import Floats, Ints


def read_table(path: Path, *, text: tuple[str, ...]) -> pa.Table:
    """A parquet or CSV file by its suffix; in CSV the columns ``text`` are kept as text.

    Raises ``DataError`` when the file is missing, empty, unreadable, or has no rows.
    """
    try:
        if path.stat().st_size == 0:
            raise DataError("the file is empty", file=str(path))
        table = _read_csv(path, text) if path.suffix == ".csv" else pq.ParquetFile(path).read()
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror or cut(str(error), LONGEST_REASON)}", file=str(path)
        ) from None
    except (pa.ArrowException, ValueError, OverflowError) as error:
        what = "CSV" if path.suffix == ".csv" else "parquet"
        raise DataError(f"is not {what} as expected: {cut(str(error), LONGEST_REASON)}", file=str(path)) from None
    # Which of two equal names is meant would depend on the library that reads.
    if len(set(table.column_names)) != len(table.column_names):
        raise DataError("has two columns of the same name", file=str(path))
    if table.num_rows == 0:
        raise DataError("has no rows", file=str(path))
    return table


def _read_csv(path: Path, text: tuple[str, ...]) -> pa.Table:
    options = pyarrow.csv.ConvertOptions(
        column_types={name: pa.string() for name in text}, timestamp_parsers=[], strings_can_be_null=True
    )
    return pyarrow.csv.read_csv(path, convert_options=options)


def floats_of(table: pa.Table, column: str, path: Path) -> Floats:
    """A column as float64, null as nan. Raises ``DataError`` when it holds something else than numbers."""
    values = table.column(column)
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type) or pa.types.is_null(values.type)):
        example = next((str(value) for value in values if value.is_valid), "")
        raise DataError(f"column {column} holds {values.type}, not numbers (first: {example})", file=str(path))
    # combine_chunks gives one buffer; null becomes nan. The copy detaches from the file's buffers.
    numbers = values.cast(pa.float64(), safe=False).to_numpy()
    return np.array(numbers, np.float64)


def names_of(table: pa.Table, column: str, path: Path) -> tuple[list[str], Ints]:
    """The distinct names of a column, and for each row the index of its own.

    Raises ``DataError`` for null or empty names and for other types.
    """
    values = table.column(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise DataError(f"column {column} holds {values.type}, not names", file=str(path))
    coded = values.combine_chunks().dictionary_encode(null_encoding="encode")
    names: list[str] = coded.dictionary.to_pylist()
    rows = np.asarray(coded.indices.to_numpy(zero_copy_only=False), np.int64)
    empty = [i for i, name in enumerate(names) if not name]
    if empty:
        raise DataError(f"{column} is empty in row {int(np.argmax(np.isin(rows, empty))) + 1}", file=str(path))
    return names, rows
