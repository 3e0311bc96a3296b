"""The stage that evaluates teachers, for a layout of three tasks and with small batches."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import patch

from facedistill.entry import guard
from stages.common import run_together
from stages.evaluate import main

LAYOUT = SimpleNamespace(tasks=["classification", "alignment", "verification"])

if __name__ == "__main__":
    guard()
    with (
        patch("stages.common.check_file"),
        patch("facedistill.grid.layout.Layout.read", lambda: LAYOUT),
        patch("facedistill.evaluation.predictions.BATCH", 5),
    ):
        run_together(main)
