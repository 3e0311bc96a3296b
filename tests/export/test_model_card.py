"""A card says what was measured of a model, with the spread over seeds, and on which data it was trained."""

from __future__ import annotations

import json
import statistics
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_mock import PARAMS, mock, write_json

from facedistill.export.card import LICENCES, USERS_OWN, card, licence, markdown
from facedistill.grid.layout import Layout
from facedistill.paths import METRICS, MODELS
from facedistill.results.chosen import chosen
from facedistill.results.metrics import MissingResultError
from facedistill.results.provenance import FORMS, PUBLISHED, Dataset

NAMES = ("teacher/classification", "resnet50-8-seed1/table2/wang", "resnet50-8/alignment/distill/hidden")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of ResNet-50/8; the second one's is exported."""
    params = deepcopy(PARAMS)
    params["students"]["resnet50-8-seed1"] = {"architecture": "resnet50", "divisor": 8, "seed": 1}
    params["table2"]["students"] += ["resnet50-8-seed1"]
    params["export"]["models"] = list(NAMES)
    for dataset in params["datasets"].values():
        dataset["crop"] = {"method": "landmarks", "pixels": 24}
    root = mock(tmp_path_factory.mktemp("cards") / "whole", params)
    for name in NAMES:
        alignment = "alignment" in name
        record: dict[str, Any] = {
            "network": {"architecture": "resnet50", "divisor": 1 if "teacher" in name else 8, "embedding": 0},
            "sha256": "ab" * 32,
            "git_revision": "cd" * 20,
            "task": {"dataset": "alignment" if alignment else "classification", "input": 20, "batch": 64},
            "recipe": {"phi": "softmax", "alpha": 1.0, "beta": 0, "psi": "hidden", "start": "softmax"},
            "optimisation": {"epochs": 4, "learning_rate": 0.01},
            "seed": 1,
        }
        write_json(root / MODELS / name / "model.json", record)
    return root


def made(root: Path, name: str) -> dict[str, Any]:
    layout = Layout.read(root / "params.yaml")
    return card(chosen(layout, root / "params.yaml")[name], layout, root)


def test_its_numbers_are_this_models_with_the_mean_and_deviation_over_seeds(repository: Path) -> None:
    found = made(repository, NAMES[1])
    single = [
        json.loads((repository / METRICS / f"{name}.json").read_text())["table2"]["wang"]["top1"]
        for name in ("resnet50-8", "resnet50-8-seed1")
    ]
    top1 = found["metrics"]["top1"]
    assert (top1["value"], top1["seeds"]) == (single[1], 2)
    assert top1["mean"] == pytest.approx(statistics.mean(single))
    assert top1["deviation"] == pytest.approx(statistics.stdev(single))
    text = markdown(found)
    assert f"| `top1` | {single[1]:.2f} | {top1['mean']:.2f} ± {top1['deviation']:.2f} |" in text
    assert "| `pairs.lfw.accuracy` |" in text


def test_it_says_what_it_is_what_it_learned_from_and_what_made_it(repository: Path) -> None:
    found = made(repository, NAMES[1])
    text = markdown(json.loads(json.dumps(found)))
    assert (found["architecture"], found["parameters"], found["multiply_adds"]) == ("ResNet-50/8", 374_158, 25.0)
    assert found["versions"]["int8"]["accuracy"] == 91.5
    for words in (
        "# resnet50-8-seed1/table2/wang",
        "ResNet-50/8, 374,158 parameters without heads, 25.0 million multiply-adds",
        "synthetic faces, 6 people, 48 training and 48 test photographs, crops of 24 px. Licence: drawn by",
        "Equation 5 with Φ = softmax, α = 1, β = 0, from the weights of `softmax`",
        ": 4 epochs at learning rate 0.01, batches of 64",
        "below a squared distance of 1.250",
        "at FAR 0.001 (0.0007 to 0.0014 with 95 % confidence), where 40.0 % of genuine pairs",
        "The faces of these pairs were found by hand. For faces that are found in another way",
        "- It learned from drawn faces and has never seen a real one",
        "- It is not for finding or following people who did not agree",
        f"`dvc repro export@{NAMES[1]}`, at revision {'cd' * 20}",
    ):
        assert words in text
    assert "With one seed" not in text


def test_a_teacher_and_a_model_of_landmarks_have_theirs(repository: Path) -> None:
    teacher, points = (made(repository, name) for name in (NAMES[0], NAMES[2]))
    assert (teacher["architecture"], teacher["parameters"]) == ("ResNet-50", 23_508_038)
    assert teacher["metrics"]["top1"]["value"] == 91.25
    assert points["metrics"].keys() == {"nrmse", "nme"}
    text = markdown(points)
    assert "alignment NRMSE (%)" in text
    assert "tpr` is at FAR 0.001. With one seed, the only spread" in text
    assert "count as the same person" not in text


def test_every_kind_of_photographs_has_its_licence_note() -> None:
    assert LICENCES.keys() == FORMS.keys() | PUBLISHED.keys()


def test_a_handful_of_photographs_has_not_the_licence_of_the_set_that_it_is_laid_out_as() -> None:
    few = Dataset("c", "casia", 250, 10, 10, 0, 24, False, None, 0, 0, 0, "")
    assert licence(few) == USERS_OWN
    assert licence(replace(few, people=10_575)) == LICENCES["casia"]


def test_a_model_that_was_not_trained_names_its_stage(repository: Path) -> None:
    file = repository / MODELS / NAMES[0] / "model.json"
    text = file.read_text()
    file.unlink()
    try:
        with pytest.raises(MissingResultError, match=r"model\.json: no such file"):
            made(repository, NAMES[0])
    finally:
        file.write_text(text)
