"""A table by the user, in CSV, TSV or parquet, with path, identity, and optionally x1, y1 … x5, y5 and group."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from facedistill.crops import DataError
from facedistill.data.photograph import COORDINATES, Photograph, Problem
from facedistill.data.problems import missing
from facedistill.data.sources.files import FolderSource, bounded, name_value, points, value
from facedistill.params import params

Row = Mapping[str, Any]

NEEDED = frozenset({"path", "identity"})
"""Columns that every table must have."""

FORMS = (".csv", ".tsv", ".parquet")
"""Endings of tables, in upper or lower case."""

LONGEST_LINE = 2**20
"""The longest line of a CSV or TSV table, in characters. Its other columns may have anything in them."""


@params
class TableParams:
    """Where the set is.

    file: a .csv, .tsv or .parquet file. Columns that are not used are ignored.
    root: the folder that the paths in the table start from.
    """

    kind: Literal["table"]
    file: Path
    root: Path


class TableSource(FolderSource):
    """named: whether the table says who is in each photograph."""

    def __init__(self, params: TableParams, named: bool = True) -> None:
        super().__init__(params.root)
        self._file, self._named = params.file, named

    def scan(self) -> Iterator[Photograph | Problem]:
        """Photographs in the order of the table. A row that cannot be used is a Problem, named by its path and number.

        Raises DataError if the table is missing, cannot be read, or lacks a column.
        """
        seen: set[str] = set()
        for number, row in enumerate(_rows(self._file, NEEDED if self._named else NEEDED - {"identity"}), 1):
            path = ""
            try:
                if row is None:
                    raise ValueError("the number of fields is not that of the header")
                path = value(_text(row, "path"))
                photograph = _photograph(row, self._named)
                key = self._folder.key(path)  # the same key for x.jpg and ./x.jpg
                if key in seen:
                    raise ValueError("named a second time")
            except (ValueError, OSError) as error:
                yield Problem(str(self._file), path or f"row {number}", f"row {number}: {error}")
            else:
                seen.add(key)
                yield replace(photograph, key=key)


def _photograph(row: Row, named: bool) -> Photograph:
    key, identity = value(_text(row, "path")), name_value(_text(row, "identity"))
    if not key or (named and not identity):
        column = "identity" if key else "path"
        written = _text(row, column).strip()
        raise ValueError(f"no {column}" + (f": {written!r} is taken for a missing value" if written else ""))
    coordinates = [_text(row, column) for column in COORDINATES]
    return Photograph(key, identity or None, points(coordinates), group=name_value(_text(row, "group")) or None)


def _text(row: Row, column: str) -> str:
    """The value as text, empty for a missing column or a null. Raises ValueError if it cannot be text."""
    found = row.get(column)
    if isinstance(found, bytes):
        return found.decode()
    if isinstance(found, float) and found.is_integer():
        return f"{found:.0f}"
    return "" if found is None else str(found)


def _rows(file: Path, needed: frozenset[str]) -> Iterator[Row | None]:
    """The rows of the table, which has the columns `needed`. A line with too few or too many fields gives None."""
    form = file.suffix.lower()
    if form not in FORMS:
        raise DataError(f"{file}: expected a file that ends in {', '.join(FORMS)}")
    if not file.is_file():
        raise missing(file, "file", "put it there or change its path")
    try:
        if form == ".parquet":
            yield from _parquet(file, needed)
        else:
            yield from _text_table(file, "\t" if form == ".tsv" else ",", needed)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not a table in UTF-8: {error}") from None
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None


def _text_table(file: Path, delimiter: str, needed: frozenset[str]) -> Iterator[Row | None]:
    with file.open(encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(bounded(text, file, LONGEST_LINE), delimiter=delimiter, strict=True)
        header = [name.strip() for name in next(rows, [])]
        _check_columns(file, header, needed)
        for fields in rows:
            if fields:
                yield dict(zip(header, fields, strict=True)) if len(fields) == len(header) else None


def _parquet(file: Path, needed: frozenset[str]) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        names = table.schema_arrow.names
        _check_columns(file, names, needed)
        wanted = [name for name in ("path", "identity", "group", *COORDINATES) if name in names]
        for batch in table.iter_batches(columns=wanted):
            yield from batch.to_pylist()
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # all for damaged files
        raise DataError(f"{file}: not a parquet file: {str(error)[:200]}") from None


def _check_columns(file: Path, names: list[str], needed: frozenset[str]) -> None:
    needed = needed.union(COORDINATES if set(COORDINATES) & set(names) else ())
    if missing := sorted(needed - set(names)):
        raise DataError(f"{file}: no column {', '.join(missing)}; it has: {', '.join(names)}")
    if twice := sorted(name for name in needed | {"group"} if names.count(name) > 1):
        raise DataError(f"{file}: two columns {', '.join(twice)}; which one is meant?")
