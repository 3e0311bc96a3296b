"""A network that is trained with several seeds: what each seed trains, and how the tables combine them."""

from __future__ import annotations

import json
import pickle
import statistics
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from report_mock import PARAMS, mock, results, tables

from facedistill.grid.cells import cells, first_cells
from facedistill.grid.layout import Layout
from facedistill.learning.parameters import TaskParams
from facedistill.learning.training import Plan
from facedistill.params import ParamsError, load
from facedistill.paths import METRICS
from facedistill.recipe import Recipe
from facedistill.results.markdown import number, spread
from facedistill.results.metrics import Mean
from stages.common import training_params

ROOT = Path(__file__).parents[2]
SEVERAL = deepcopy(PARAMS)
SEVERAL["students"] |= {f"resnet50-8-seed{i}": {"architecture": "resnet50", "divisor": 8, "seed": i} for i in (1, 2)}
for name in ("table1", "table2"):
    SEVERAL[name]["students"] += ["resnet50-8-seed1", "resnet50-8-seed2"]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mock(tmp_path_factory.mktemp("seeds") / "whole", SEVERAL)


def layout(tmp_path: Path, params: dict[str, Any]) -> Layout:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return Layout.read(tmp_path / "params.yaml")


def test_each_seed_is_trained_and_one_row_stands_for_all(several: Path) -> None:
    found = Layout.read(several / "params.yaml")
    assert [s.name for s in found.tables["table1"]] == ["resnet50-8"]
    assert [s.name for s in found.tables["table2"]] == ["resnet50-2", "resnet50-4", "resnet50-8"]
    assert [s.seed for s in found.members["table1"]] == [PARAMS["seed"], 1, 2]
    trained = {cell.student for cell in cells(found) if cell.path[0] == "table1"}
    assert trained == {"resnet50-8", "resnet50-8-seed1", "resnet50-8-seed2"}
    assert {cell.student for cell in first_cells(found)} >= {"resnet50-8", "conv5"}
    assert not any("seed" in cell.student for cell in first_cells(found))


def test_a_number_is_the_mean_over_seeds_with_their_deviation(several: Path) -> None:
    single = [
        json.loads((several / METRICS / f"{name}.json").read_text())["table2"]["wang"]["top1"]
        for name in ("resnet50-8", "resnet50-8-seed1", "resnet50-8-seed2")
    ]
    found = results(several)["resnet50-8", "table2", "wang", "top1"]
    assert found == pytest.approx(statistics.mean(single))
    assert found.deviation == pytest.approx(statistics.stdev(single))
    assert results(several)["resnet50-4", "table2", "wang", "top1"].deviation is None
    assert results(several).get("resnet50-8-seed1", "table2", "wang", "top1") is None
    text = tables(several)
    assert f"{found:.2f} ± {found.deviation:.2f} (75.06)" in text
    assert "ResNet-50/8 with seeds 3, 1, 2" in text
    assert "trained with one seed" not in text


def test_one_seed_is_said_to_be_one(trained: Path) -> None:
    assert "Every network was trained with one seed, so no gap has a spread over seeds." in tables(trained)


def test_numbers_show_a_deviation_where_there_is_one() -> None:
    assert number(Mean([1, 3])) == "2.00 ± 1.41"
    assert number(Mean([2])) == number(2.0) == "2.00"
    assert spread(Mean([1, 3]), 0.5) == "2.00 ± 1.41 (seeds)"
    assert spread(Mean([2]), 0.5) == "2.00 ± 0.50"


def test_a_mean_comes_to_another_process_with_its_values() -> None:
    mean = pickle.loads(pickle.dumps(Mean([1, 3])))
    assert (mean, mean.values, mean.deviation) == (2, (1, 3), pytest.approx(2**0.5))


def test_the_same_network_with_the_same_seed_is_refused(tmp_path: Path) -> None:
    twins = deepcopy(SEVERAL)
    twins["students"]["resnet50-8-seed2"]["seed"] = 1
    with pytest.raises(
        ParamsError, match=r"'resnet50-8-seed1' and 'resnet50-8-seed2' are the same network with the same seed, 1"
    ):
        layout(tmp_path, twins)


def test_a_seed_without_the_first_of_its_network_is_refused(tmp_path: Path) -> None:
    alone = deepcopy(SEVERAL)
    alone["losses"]["students"] = ["resnet50-8-seed1"]
    with pytest.raises(ParamsError, match=r"losses\.students: 'resnet50-8-seed1' is 'resnet50-8' with another seed"):
        layout(tmp_path, alone)


def test_a_stage_trains_with_the_seed_of_its_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["students"]["b"] = {"architecture": "resnet50", "divisor": 8, "seed": 7}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stages.common.check_crops", lambda *_: None)
    task, plans = load(TaskParams, "tasks.classification"), [Plan(Path("models/x"), Recipe(phi="softmax"))]
    own, common = (training_params(task, plans, f"students.{name}") for name in ("b", "resnet50-8"))
    assert (own["seed"], common["seed"]) == (7, params["seed"])
    assert own["network"] == common["network"]
    params["students"]["b"]["seed"] = "seven"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ParamsError, match=r"students\.b\.seed: .*integer"):
        training_params(task, plans, "students.b")
