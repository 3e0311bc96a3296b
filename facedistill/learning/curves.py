"""Loss curves: each training run writes two tab-separated tables, for `dvc plots` and the report."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

EPOCHS, STEPS = "epochs.tsv", "steps.tsv"


class Curves:
    """The curves of one run, with one column for each loss term, in two files of `folder`.

    EPOCHS has a row for each epoch. STEPS has a row for the first step and for every `every`-th step. A row is written
    at once. If `folder` is None, nothing is written.

    rows: all rows so far, as (unit, number, values).
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
        """Whether to log this step, counted from 1. The first step is always logged."""
        return step == 1 or step % self.every == 0

    def step(self, step: int, values: Mapping[str, float]) -> None:
        self._log("step", step, values)

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        self._log("epoch", epoch, values)

    def replay(self, rows: Iterable[tuple[str, int, Mapping[str, float]]]) -> None:
        """Log again the `rows` that a run had logged before it was stopped."""
        for unit, number, values in rows:
            self._log(unit, number, values)

    def _log(self, unit: str, number: int, values: Mapping[str, float]) -> None:
        self.rows.append((unit, number, dict(values)))
        if self.folder is None:
            return
        row = {unit: number, **values}
        if unit not in self._tables:
            self.folder.mkdir(parents=True, exist_ok=True)
            # We buffer by line, so that a reader sees every row while the network trains.
            file = (self.folder / {"epoch": EPOCHS, "step": STEPS}[unit]).open(
                "w", buffering=1, encoding="utf-8", newline=""
            )
            self._tables[unit] = csv.DictWriter(
                self._files.enter_context(file), list(row), delimiter="\t", lineterminator="\n"
            )
            self._tables[unit].writeheader()
        self._tables[unit].writerow(row)
