"""Where the stages find each other's outputs, from the top of the repository."""

from __future__ import annotations

from pathlib import Path

LEAVE_OUT = Path("data/leave_out")
MANIFESTS = Path("data/manifests")
CROPS = Path("data/crops")
MODELS = Path("models")
METRICS = Path("reports/metrics/networks")
"""The papers' grid, and COST, what each network costs. Beside it the user's own cells, and the exports, which depend on
all of METRICS."""
COST = METRICS / "cost.json"
CUSTOM_METRICS = Path("reports/metrics/custom")
EXPORT_METRICS = Path("reports/metrics/exports")
EXPORTS = Path("exports")
"""A folder for each exported model: its ONNX files and its card."""
SPEED = Path("reports/speed")
"""Where the time of every training stage went. Not below reports/metrics, which others depend on."""
EVALUATION = Path("reports/evaluation")
RESUME = Path(".resume")
"""A folder for each stage that runs, with its lock and the snapshots to resume from; and how long each stage took."""
