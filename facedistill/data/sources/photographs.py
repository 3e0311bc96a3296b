"""Photographs of people whose names nobody knows: a folder, or a list of files with or without landmarks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from facedistill.data.photograph import Photograph, Problem
from facedistill.data.sources.files import FolderSource
from facedistill.data.sources.table import TableParams, TableSource
from facedistill.params import params


@params
class PhotographsParams:
    """Where the photographs are.

    root: a folder; its photographs are found at any depth, and names of folders mean nothing.
    table: a .csv, .tsv or .parquet file with the column path, and perhaps x1, y1 … x5, y5, which names the photographs
        of `root` to take; or null for all.
    within: only photographs whose path begins with one of these; left out: all.
    """

    kind: Literal["photographs"]
    root: Path
    table: Path | None = None
    within: tuple[str, ...] = ("",)


class PhotographsSource(FolderSource):
    def __init__(self, params: PhotographsParams) -> None:
        super().__init__(params.root)
        self._within = params.within
        self._table = params.table and TableSource(TableParams("table", params.table, params.root), named=False)

    def scan(self) -> Iterator[Photograph | Problem]:
        """Photographs without identities and groups. Raises DataError as a folder and a table do."""
        for record in self._table.scan() if self._table else self._folder.photographs():
            if not isinstance(record, Photograph):
                yield record
            elif record.key.startswith(self._within):
                yield replace(record, identity=None, group=None)
