"""Write tables, claims and plots to reports/, from the metrics, learning curves and rows of all cells."""

from __future__ import annotations

from facedistill.report.render import render
from stages.common import run

if __name__ == "__main__":
    run(render)
