"""What a pipeline takes beside training: a stage until its first step ends, and a whole `dvc repro`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.speed.measure import Row, rates
from facedistill.data.align_crop import align_crop
from facedistill.data.dataset import DatasetParams
from facedistill.data.prepare import prepare
from facedistill.params import PARAMS_FILE, load
from facedistill.paths import CROPS, MANIFESTS, SPEED

ROOT = Path.cwd()

FIRST_STEP = """
import os, runpy, sys
from facedistill.learning.nesterov import Nesterov
step = Nesterov.step
def first(*arguments):
    step(*arguments)
    os._exit(0)
Nesterov.step = first
sys.argv = ["stages/init_student.py", "--student", "resnet50-8", "--tasks", "classification"]
runpy.run_module("stages.init_student", run_name="__main__")
"""
"""Trains W_S0 of the default parameters, and ends after its first step."""


def start(folder: Path) -> Iterator[Row]:
    """Measure on the crops of the default parameters."""
    dataset = load(DatasetParams, "datasets.classification")
    prepare(dataset, 0, folder / MANIFESTS / "classification")
    align_crop(dataset, folder / MANIFESTS / "classification", folder / CROPS / "classification")
    (folder / PARAMS_FILE).write_bytes(PARAMS_FILE.read_bytes())
    ours, torch = rates(lambda: _python(FIRST_STEP, folder), lambda: _python("import torch", folder), rounds=3)
    yield Row("a stage's start to its first step", "import torch", "s", 1 / ours, 1 / torch, ours / torch, 1 / 1.5)


def _python(code: str, folder: Path) -> int:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=True)
    return 1


def share_of_training(seconds: float) -> Iterator[Row]:
    """Compare the time of all training steps with the time of the whole `dvc repro`.

    seconds: the time of the `dvc repro` that left reports/speed. All stages must have run in it.
    """
    rounds = [value for file in SPEED.rglob("*.json") for value in json.loads(file.read_text()).values()]
    steps = sum(found["compute_seconds"] for found in rounds)
    yield Row("training steps of `dvc repro`", "the whole of it", "s", steps, seconds, steps / seconds, 0.65)
