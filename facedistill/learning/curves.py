"""Loss curves, by dvclive: a folder of TSV files a training run, for `dvc plots` and the report."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Curves:
    """`train/TERM` once an epoch, `step/TERM` at the first step and every `every`, in FOLDER/plots/metrics.

    rows: all that was logged. Without a folder nothing is written; nor without dvclive, and a line on stderr says so.
    """

    def __init__(self, folder: Path | None, every: int) -> None:
        self.folder, self.every = folder, every
        self.live: Any = None
        self.rows: list[tuple[str, int, dict[str, float]]] = []

    def __enter__(self) -> Self:
        if self.folder is None:
            return self
        # dvclive takes pandas where it finds it, half a second of every stage, for plots that are not drawn here.
        unwanted = "pandas" not in sys.modules
        if unwanted:
            sys.modules["pandas"] = None  # type: ignore[assignment]
        try:
            from dvclive.live import Live
        except ModuleNotFoundError:
            print(f"dvclive is not installed: no curves in {self.folder}", file=sys.stderr)
        else:
            self.live = Live(str(self.folder), dvcyaml=None, save_dvc_exp=False, report=None)
        finally:
            if unwanted:
                del sys.modules["pandas"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live and kind is None:
            self.live.end()

    def wants(self, step: int) -> bool:
        """Whether this step is one of those that are logged; the first always is."""
        return self.live is not None and (step == 1 or step % self.every == 0)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        self._log("step", step, values)

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        self._log("train", epoch, values)

    def replay(self, rows: Iterable[tuple[str, int, Mapping[str, float]]]) -> None:
        """Log again what a run that was stopped had logged: its `rows`."""
        for prefix, step, values in rows:
            self._log(prefix, step, values)

    def _log(self, prefix: str, step: int, values: Mapping[str, float]) -> None:
        self.rows.append((prefix, step, dict(values)))
        if self.live:
            self.live.step = step
            for name, value in values.items():
                self.live.log_metric(f"{prefix}/{name}", value)
