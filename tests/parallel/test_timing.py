"""Where the time of training goes: waiting for data is told apart from computing, by the clock of the device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from squares import run_together

from facedistill.learning.batches import TrainingCrops
from facedistill.learning.losses.equation5 import Equation5
from facedistill.learning.parameters import SnapshotParams
from facedistill.learning.snapshots import Snapshots
from facedistill.learning.timing import Timing
from facedistill.recipe import Recipe

RECIPE = {"s/softmax": Recipe(phi="softmax")}
STEPS, CROPS = 6, 96
"""Two epochs of 48 squares in batches of 16."""

CPU = torch.device("cpu")


def slower(monkeypatch: pytest.MonkeyPatch, kind: type, name: str, seconds: float) -> None:
    method = getattr(kind, name)

    def slow(*arguments: Any) -> Any:
        time.sleep(seconds)
        return method(*arguments)

    monkeypatch.setattr(kind, name, slow)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Times that are told one after the other."""
    times: list[float] = []
    monkeypatch.setattr("facedistill.learning.timing.time.perf_counter", lambda: times.pop(0))
    yield times
    assert not times


def test_steps_are_added_up_by_hand_and_a_batch_that_never_came_is_left_out(clock: list[float]) -> None:
    timing = Timing(CPU)
    clock += [0.0, 1.0, 4.0, 4.5, 5.0, 9.0, 9.5]
    for _ in range(7):
        timing.mark()
    timing.crops = 70
    timing.add_up()
    timing.add_up()
    assert timing.metrics() == {
        "crops_per_second": 8.2,  # 70 / 8.5; between 4.0 and 4.5 it did neither
        "data_wait_seconds": 1.5,
        "compute_seconds": 7.0,
        "data_wait_share": 0.1765,
    }


def test_reading_is_waiting_and_a_loss_is_computing(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del workspace
    delay = 0.4  # far more than a step takes, on a busy machine too
    with monkeypatch.context() as patch:
        slower(patch, TrainingCrops, "batch", delay)
        read = run_together(RECIPE)["models/s/softmax"]
    assert read["data_wait_seconds"] >= delay * STEPS
    assert read["compute_seconds"] < delay * STEPS
    slower(monkeypatch, Equation5, "forward", delay)
    computed = run_together(RECIPE, seed=1)["models/s/softmax"]
    assert computed["compute_seconds"] >= delay * STEPS
    assert computed["data_wait_seconds"] < delay * STEPS
    assert computed["crops_per_second"] < CROPS / (delay * STEPS)


def test_writing_snapshots_is_neither(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del workspace
    slower(monkeypatch, Snapshots, "save", 0.5)
    found = run_together(RECIPE, snapshots=SnapshotParams(epochs=1, minutes=1e-9))["models/s/softmax"]
    assert found["data_wait_seconds"] + found["compute_seconds"] < 0.5 * STEPS


def test_a_run_that_goes_on_counts_what_it_did_before_the_stop(workspace: Path) -> None:
    del workspace
    undisturbed = run_together(RECIPE)["models/s/softmax"]
    # The last snapshot is that of the end: nothing is left to do.
    assert run_together(RECIPE)["models/s/softmax"] == undisturbed


def test_students_that_train_together_are_one_entry(workspace: Path) -> None:
    del workspace
    found = run_together({"s/one": Recipe(phi="softmax"), "s/two": Recipe(phi="softmax")})
    assert found.keys() == {"models/s/one"}
    assert found["models/s/one"]["networks"] == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_time_of_a_step_is_not_that_of_its_launch() -> None:
    matrix = torch.randn(8192, 8192, device="cuda")
    torch.cuda.synchronize()
    timing, began = Timing(torch.device("cuda")), time.perf_counter()
    for _ in range(10):
        timing.mark()
        timing.mark()
        for _ in range(5):
            matrix @ matrix
        timing.mark()
    launched = time.perf_counter() - began
    timing.add_up()
    whole = time.perf_counter() - began
    assert timing.compute > 5 * launched
    assert 0.8 * whole < timing.compute < whole
    assert timing.wait < 0.1 * timing.compute
