"""Write reports/tables.md and reports/plots from the metrics, curves, pairs and predictions of all cells."""

from __future__ import annotations

from facedistill.report.render import render
from stages.common import run

if __name__ == "__main__":
    run(render)
