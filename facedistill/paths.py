"""Where the stages find each other's outputs, from the top of the repository."""

from __future__ import annotations

from pathlib import Path

MANIFESTS = Path("data/manifests")
CROPS = Path("data/crops")
MODELS = Path("models")
METRICS = Path("reports/metrics")
EVALUATION = Path("reports/evaluation")
CHECKPOINTS = Path(".checkpoints")
"""A folder for each stage that runs: its lock, and the snapshots that it goes on from."""
