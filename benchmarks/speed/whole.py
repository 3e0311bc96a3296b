"""The share of training in a whole `dvc repro`."""

from __future__ import annotations

import json
from collections.abc import Iterator

from benchmarks.speed.measure import Row
from facedistill.paths import SPEED


def share_of_training(seconds: float) -> Iterator[Row]:
    """Compare the time of all training steps with the time of the whole `dvc repro`.

    seconds: the time of the `dvc repro` that left reports/speed. All stages must have run in it.
    """
    rounds = [value for file in SPEED.rglob("*.json") for value in json.loads(file.read_text()).values()]
    steps = sum(found["compute_seconds"] for found in rounds)
    yield Row("training steps of `dvc repro`", "the whole of it", "s", steps, seconds, steps / seconds, 0.75)
