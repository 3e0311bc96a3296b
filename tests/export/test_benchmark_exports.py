"""benchmarks/exports finds the same figures as the export by another way, and its page shows these figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from exported_toys import OURS, POINTS, metrics, task

from benchmarks import exports
from facedistill.export import latency
from facedistill.grid.layout import Layout
from facedistill.results.chosen import Chosen

ROOT = Path(__file__).parents[2]
VERSIONS = ("pytorch", "float32", "float16", "int8")


@pytest.mark.parametrize(("model", "measured"), [(OURS, "accuracy"), (POINTS, "nrmse")])
def test_by_the_api_every_version_is_as_good_as_its_export_found(
    exported: Path, monkeypatch: pytest.MonkeyPatch, model: Chosen, measured: str
) -> None:
    monkeypatch.chdir(exported)
    found, expected = exports.parity(model, task(model), "faces"), metrics(exported, model)
    for version in VERSIONS:
        assert found[version][measured] == pytest.approx(expected[version][measured], abs=1e-3)
        assert found[version]["megabytes"] == expected[version]["megabytes"]
    for version in VERSIONS[1:]:
        assert found[version]["cosine"] == pytest.approx(expected[version]["cosine"], abs=1e-6)


def test_every_version_is_timed_in_every_round(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exported)
    monkeypatch.setattr(exports, "ROUNDS", 2)
    monkeypatch.setattr(latency, "RUNS", 1)
    monkeypatch.setattr(latency, "WARM_UP", 0)
    found = exports.timed([OURS], {OURS.name: task(OURS).input})[OURS.name]
    assert tuple(found) == VERSIONS
    for times in found.values():
        assert times.keys() == {f"batch{b}_threads{t}" for b in (1, 32) for t in (1, 2)}
        assert all(len(rounds) == 2 and min(rounds) > 0 for rounds in times.values())


def test_the_page_has_the_medians_and_says_how_steady_they_are() -> None:
    # By batch and threads (1, 1), (32, 1), (1, 2), (32, 2); the student of half the teacher's milliseconds.
    keys = [f"batch{b}_threads{t}" for t in (1, 2) for b in (1, 32)]
    rounds = {"teacher/classification": [8, 10, 9], "small": [4, 5, 4.5]}
    model = {"dataset": "lfw"} | {v: {"accuracy": 90, "cosine": 1, "megabytes": 2} for v in VERSIONS}
    found = {"processor": "P", "cores": 2, "torch": "2", "onnxruntime": "1", "load_before": 0.1}
    found |= {"models": dict.fromkeys(rounds, model)}
    found |= {"rounds": {name: {v: dict.fromkeys(keys, times) for v in VERSIONS} for name, times in rounds.items()}}
    layout = Layout.read(ROOT / "params.yaml")
    text = exports.page(found, layout)
    assert "|  | ONNX int8 | 2.00 | Drawn pairs 90.00 | 1.00000 | 4.50 | 4.50 | 4.50 | 4.50 | 2.0 |" in text
    assert "took 25 % longer than its fastest in the median of all numbers, and 25 % at most" in text
    assert "no measure" not in text
    assert "a load of 3.0, so these times are no measure" in exports.page(found | {"load_before": 3.0}, layout)


def test_the_committed_page_is_that_of_the_committed_figures() -> None:
    found = json.loads((ROOT / "benchmarks/exports.json").read_text("utf-8"))
    assert exports.page(found, Layout.read(ROOT / "params.yaml")) == (ROOT / "benchmarks/exports.md").read_text("utf-8")
