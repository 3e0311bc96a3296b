"""Where the stages find each other's outputs. Paths are relative to the top of the repository."""

from __future__ import annotations

from pathlib import Path

LEAVE_OUT = Path("data/leave_out")
MANIFESTS = Path("data/manifests")
CROPS = Path("data/crops")
ANSWERS = Path("data/answers")
"""A folder for each task with stored answers of its teacher."""
CLEANING = Path("data/cleaning")
"""What `python -m stages.clean` lists. It names people, so git does not keep it."""
MODELS = Path("models")
METRICS = Path("reports/metrics/networks")
"""The metrics of the papers' grid, and COST, the cost of each network. The user's own cells and the exports have other
folders beside it, because exports depend on all of METRICS."""
COST = METRICS / "cost.json"
CUSTOM_METRICS = Path("reports/metrics/custom")
EXPORT_METRICS = Path("reports/metrics/exports")
EXPORTS = Path("exports")
"""A folder for each exported model: its ONNX files and its card."""
SPEED = Path("reports/speed")
"""The times of every training stage. They are not below reports/metrics, because other stages depend on that."""
EVALUATION = Path("reports/evaluation")
RESUME = Path(".resume")
"""A folder for each running stage, with its lock and its snapshots, and a file with the time that each stage took."""
