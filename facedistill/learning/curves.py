"""Loss curves: two tables of tab-separated columns a training run, for `dvc plots` and the report."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

EPOCHS, STEPS = "epochs.tsv", "steps.tsv"


class Curves:
    """A column a loss term, in `folder`: EPOCHS has a row an epoch, STEPS one at the first step and every `every`.

    A row is in its file once it is logged. rows: all of them. Without a folder nothing is written.
    """

    def __init__(self, folder: Path | None, every: int) -> None:
        self.folder, self.every = folder, every
        self.rows: list[tuple[str, int, dict[str, float]]] = []
        self._files, self._tables = ExitStack(), dict[str, Any]()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def wants(self, step: int) -> bool:
        """Whether this step is one of those that are logged; the first always is."""
        return step == 1 or step % self.every == 0

    def step(self, step: int, values: Mapping[str, float]) -> None:
        self._log("step", step, values)

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        self._log("epoch", epoch, values)

    def replay(self, rows: Iterable[tuple[str, int, Mapping[str, float]]]) -> None:
        """Log again what a run that was stopped had logged: its `rows`."""
        for unit, number, values in rows:
            self._log(unit, number, values)

    def _log(self, unit: str, number: int, values: Mapping[str, float]) -> None:
        self.rows.append((unit, number, dict(values)))
        if self.folder is None:
            return
        row = {unit: number, **values}
        if unit not in self._tables:
            self.folder.mkdir(parents=True, exist_ok=True)
            # A line at a time: whoever looks while it trains sees all of it.
            file = (self.folder / {"epoch": EPOCHS, "step": STEPS}[unit]).open(
                "w", buffering=1, encoding="utf-8", newline=""
            )
            self._tables[unit] = csv.DictWriter(
                self._files.enter_context(file), list(row), delimiter="\t", lineterminator="\n"
            )
            self._tables[unit].writeheader()
        self._tables[unit].writerow(row)
