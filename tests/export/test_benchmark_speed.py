"""benchmarks/speed: the ratios, worked out by hand, and a table that shows what was measured."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.speed import ceiling, search, start
from benchmarks.speed.__main__ import write
from benchmarks.speed.measure import Row, compare
from benchmarks.speed.pairs import once
from facedistill.evaluation.cost import cost
from facedistill.files import write_json
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import NetworkParams


@pytest.fixture
def takes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[[], int]]:
    """Functions that do 10 things in so many seconds, each call by the next of them."""
    now = 0.0
    monkeypatch.setattr("benchmarks.speed.measure.time.perf_counter", lambda: now)

    def make(*seconds: float) -> Callable[[], int]:
        rest = list(seconds)

        def function() -> int:
            nonlocal now
            now += rest.pop(0)
            return 10

        return function

    return make


def test_rates_are_medians_after_a_warm_turn(takes: Callable[..., Callable[[], int]]) -> None:
    row = compare("a", "b", "things/s", takes(99, 2, 1, 50), takes(99, 5, 5, 5), goal=2.5)
    assert (row.ours, row.other, row.ratio, row.reached) == (5, 2, 2.5, "yes")


def test_the_table_has_every_row_in_both_files(tmp_path: Path) -> None:
    rows = [Row("a", "b", "s", 2.0, 1.0, 0.5, 0.9), Row("c", "d", "MB", 1.0, 2.0, 2.0, None)]
    write(rows, "a machine", tmp_path / "speed-cpu")
    with (tmp_path / "speed-cpu.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["ratio"], first["reached"], first["machine"]) == ("0.5", "no", "a machine")
    assert (second["goal"], second["reached"]) == ("", "")
    lines = (tmp_path / "speed-cpu.md").read_text().splitlines()
    assert lines[2] == "| a | b | s | 2 | 1 | 0.50 | 0.90 | no |"
    assert lines[3] == "| c | d | MB | 1 | 2 | 2.00 |  |  |"
    assert "a machine." in lines


def test_the_share_of_training_is_the_sum_over_all_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(Path("reports/speed/teacher/classification.json"), {"models/a": {"compute_seconds": 30.0}})
    write_json(Path("reports/speed/s/soft.json"), {f"models/{m}": {"compute_seconds": 20.0} for m in "bc"})
    (row,) = start.share_of_training(140.0)
    assert (row.ours, row.ratio, row.reached) == (70, 0.5, "no")


def test_every_photograph_of_the_pairs_is_embedded_once(tmp_path: Path) -> None:
    (row,) = once(tmp_path)
    assert row.ours == row.other == 2404


def test_neighbours_are_compared_on_the_same_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "ROWS", 60)
    monkeypatch.setattr(search, "alone", lambda function: function())
    monkeypatch.setattr(search, "_faiss", lambda embeddings: [])
    memory, product = search.neighbours(torch.device("cpu"))
    assert memory.goal == 1
    assert product.ratio == pytest.approx(product.ours / product.other)


def test_the_least_time_of_a_network_is_its_arithmetic_or_its_traffic() -> None:
    network = FaceNetwork(NetworkParams("resnet50", 8), classes=10)
    macs = 1e6 * cost(network.trunk, 64).multiply_adds + 10 * network.trunk.width
    # Traffic free: three passes of two operations for each multiply-add that the report counts.
    assert ceiling._seconds(network, 64, flops=1.0, bandwidth=1e30) == pytest.approx(6 * macs, rel=0.01)
    assert ceiling._seconds(network, 64, flops=1e30, bandwidth=1.0) > 6 * 2 * 3 * 64 * 64
