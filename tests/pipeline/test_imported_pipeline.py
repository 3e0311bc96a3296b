"""The whole pipeline with an imported teacher, stored answers, and photographs without names; in one process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_params import base, outcome
from onnx_toys import WIDTH, flat, params, write

from facedistill.crops.codec import encode
from facedistill.data.photograph import COORDINATES
from facedistill.learning import model_files
from facedistill.learning.teachers.answers import Answers

PIXELS = 28


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("custom/networks").mkdir(parents=True)


def unnamed(count: int = 3) -> dict[str, Any]:
    """Photographs without names, in a table."""
    folder = Path("data/raw/street")
    folder.mkdir(parents=True)
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)
        (folder / f"{i}.jpg").write_bytes(encode(pixels, 95))
    rows = [f"{i}.jpg,12,12,20,12,16,17,13,21,19,21" for i in range(count)]
    (folder / "list.csv").write_text("\n".join([",".join(["path", *COORDINATES]), *rows]) + "\n")
    return {"kind": "photographs", "root": str(folder), "table": str(folder / "list.csv")}


def imported(stored: bool) -> dict[str, Any]:
    """A toy whose teacher is an ONNX file of crops at 28 pixels; students see 20 of 24."""
    weight = np.random.default_rng(0).standard_normal((3 * PIXELS**2, WIDTH)).astype(np.float32) / PIXELS
    file = params(write(Path("big.onnx"), flat(), {"w": weight}, shape=("batch", 3, PIXELS, PIXELS)), side=PIXELS)
    values = base()
    drawn = values["datasets"]["classification"]["source"]
    values["datasets"]["classification"]["source"] = {"kind": "mixed", "parts": {"drawn": drawn, "street": unnamed()}}
    for name in ("classification", "lfw"):
        values["datasets"][name]["crop"]["pixels"] = PIXELS
    for task in ("classification", "arcface"):
        values["tasks"][task] |= {"shrink_to": 24, "embedding": WIDTH}
    values["equation"]["reduction"] = "mean"
    values["teacher"] |= {
        "source": "onnx",
        "onnx": {"file": str(file.file), "sha256": file.sha256, "side": PIXELS},
        "stored": ["classification"] if stored else [],
    }
    soft = {"phi": "softmax", "alpha": 1}
    values["recipes"]["table2"] |= {
        "facedistill_scratch": soft | {"step": True},
        "facedistill": soft | {"beta": 1, "psi": "embedding", "start": "facedistill_scratch"},
    }
    for recipe in ("fitnet", "attention"):
        values["recipes"]["proxyless"][recipe] = {"beta": 1, "psi": "embedding"}
    values["proxyless"] = {"margins": ["arcface"], "students": ["small"]}
    values["export"]["models"] = ["small/table2/facedistill"]
    return values


@pytest.mark.parametrize("stored", [True, False])
def test_a_network_that_the_user_has_teaches_students(stored: bool) -> None:
    assert outcome(imported(stored)) == "finished"

    teacher = model_files.read_record(Path("models/teacher/classification"))
    assert teacher["scale"] > 1
    assert model_files.read_record(Path("models/teacher/arcface"))["scale"] == 16
    metrics = json.loads(Path("reports/metrics/networks/teacher.json").read_text())["classification"]
    assert {"top1", "pairs", "tpr", "rank1"} <= metrics.keys()
    assert metrics["parameters"] == 3 * PIXELS**2 * WIDTH
    small = json.loads(Path("reports/metrics/networks/small.json").read_text())
    assert small["arcface"]["proxyless"]["cross"].keys() == {"accuracy", "rank1"}
    assert set(small["table2"]) == {"soft", "softmax_full", "wang", "soft_full", "facedistill"}
    report = Path("reports/tables.md").read_text()
    assert "Teacher: the network of big.onnx, imported." in report
    assert "photographs of several sources" in report
    answers = Path("data/answers/classification")
    assert answers.exists() == stored
    if stored:
        record = model_files.read_record(Path("models/small/init/softmax"))
        assert len(Answers(answers)) == record["data"]["photographs"]
    card = json.loads(Path("exports/small/table2/facedistill/card.json").read_text())
    assert "20 x 20 pixels" in card["input"]
    assert any("It learned from the network big.onnx" in limit for limit in card["limits"])


@pytest.mark.parametrize("stored", [True, False])
def test_students_learn_from_photographs_without_any_name(stored: bool) -> None:
    values = imported(stored)
    shutil.rmtree("data/raw/street")
    values["datasets"]["classification"]["source"] = unnamed(12)
    refused = outcome(values)
    assert "recipes.init.softmax: it learns from labels" in refused
    assert "recipes.table2.wang: it learns from labels" in refused
    assert "proxyless.margins: arcface needs names" in refused

    values["recipes"]["init"] = {}
    values["recipes"]["custom"] = {"mine": {"phi": "none", "beta": 1, "psi": "embedding"}}
    values["table2"]["students"], values["custom"]["students"] = [], ["small"]
    values["proxyless"] = {"margins": [], "students": []}
    values["report"]["own"] = []
    values["export"]["models"] = ["custom/small/custom/mine"]
    assert outcome(values | {"teacher": values["teacher"] | {"source": "trained"}}).startswith(
        "params.yaml: teacher.source: trained, but datasets.classification.source is of kind photographs"
    )
    assert outcome(values) == "finished"
    assert model_files.read_record(Path("models/teacher/classification"))["classes"] == 0
    metrics = json.loads(Path("reports/metrics/networks/teacher.json").read_text())["classification"]
    assert "top1" not in metrics
    assert {"pairs", "tpr", "rank1"} <= metrics.keys()
    small = json.loads(Path("reports/metrics/custom/small/custom.json").read_text())["custom"]["mine"]
    assert small.keys() == metrics.keys()


def test_a_model_of_another_run_teaches_students_and_gives_its_feature_maps() -> None:
    assert outcome(base()) == "finished"
    Path("models/teacher/classification").rename("given")
    digest = model_files.read_record(Path("given"))["sha256"]
    values = base()
    given = {"source": "model", "model": {"folder": "given", "sha256": digest}}
    values["teacher"] |= given | {"stored": ["classification"]}
    assert "recipes.table2.facedistill.psi: attention compares feature maps, but teacher.stored" in outcome(values)
    values["teacher"]["stored"] = []
    assert outcome(values) == "finished"
    report = Path("reports/tables.md").read_text()
    assert "Teacher: the model of given, imported." in report
    cost = json.loads(Path("reports/metrics/networks/cost.json").read_text())
    # ResNet-50/32 against ResNet-50/64.
    assert 2 < cost["teacher"]["parameters"] / cost["small"]["parameters"] < 4
