"""A recipe, a group and a Ψ of the user's own, by edits of params.yaml and a file in custom/, and of nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_repository import commit, dvc, reproduced, run, stages_run, toy

PSI = '''
"""Ψ: similarities between the samples of a batch (Tung & Mori 2019)."""

import torch.nn.functional as F

from facedistill.learning.losses.whole_batch import whole_batch


@whole_batch
def similarity(student, teacher):
    s, t = (F.normalize(outputs.hidden @ outputs.hidden.T) for outputs in (student, teacher))
    return F.mse_loss(s, t.detach())
'''


def small() -> dict[str, Any]:
    """The toy with table 2 and a group of the user's own, and nothing else."""
    params = toy()
    params["students"] = {"small": params["students"]["small"]}
    for name in ("table1", "losses", "architectures", "weighting"):
        params[name] = {"students": []}
    for name in ("alignment", "verification"):
        params[name] = {"tasks": [], "students": []}
    params["proxyless"] = {"students": [], "margins": []}
    del params["datasets"]["alignment"]
    params["export"]["models"] = ["custom/small/custom/mine"]
    return params


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which that has run once."""
    return reproduced(tmp_path_factory.mktemp("custom"), small())


def edit(repository: Path, **sections: Any) -> None:
    file = repository / "params.yaml"
    values = yaml.safe_load(file.read_text())
    for name, change in sections.items():
        values[name] |= change
    file.write_text(yaml.safe_dump(values, sort_keys=False))


def test_a_recipe_is_trained_evaluated_ranked_plotted_and_exported(repository: Path) -> None:
    metrics = json.loads((repository / "reports/metrics/custom/small/custom.json").read_text())
    assert 0 <= metrics["custom"]["mine"]["top1"] <= 100
    tables = (repository / "reports/tables.md").read_text()
    own, ranked = (tables.split(f"## {title}")[1].split("\n## ")[0] for title in ("Recipes of your own", "All recipes"))
    assert "| mine |" in own
    assert "| mine | *custom* |" in ranked
    assert "plots/curves_custom_custom.png" in tables
    assert json.loads((repository / "exports/custom/small/custom/mine/card.json").read_text())["metrics"]["top1"]
    assert "`custom/small/custom/mine` | PyTorch" in tables


def test_an_experiment_runs_its_group_and_the_report_alone(repository: Path) -> None:
    done = dvc(repository, "exp", "run", "-S", "recipes.custom.mine.alpha=2")
    # Its export depends on it too.
    expected = {"distill_custom@small-custom", "export@custom/small/custom/mine", "report"}
    assert stages_run(done) == expected
    run(repository, "git", "checkout", "-q", ".")
    dvc(repository, "checkout", "-q")
    # A recipe of a paper runs its own group, and what is measured of it.
    done = dvc(repository, "exp", "run", "-S", "recipes.table2.soft_full.alpha=3")
    assert stages_run(done) - {"export@custom/small/custom/mine"} == {"distill@small", "evaluate@small", "report"}
    run(repository, "git", "checkout", "-q", ".")
    dvc(repository, "checkout", "-q")


def test_what_w_s0_is_trained_by_is_its_recipe(repository: Path) -> None:
    file = repository / "params.yaml"
    before = file.read_text()
    try:
        edit(repository, recipes={"init": {"softmax": {"phi": "softmax", "rate": "initialised"}}})
        changed = json.loads(dvc(repository, "status", "--json"))
        touched = {stage for stage, changes in changed.items() if "recipes.init" in json.dumps(changes)}
        assert touched == {"init_student@small"}
    finally:
        file.write_text(before)


def test_a_label_trains_nothing(repository: Path) -> None:
    edit(repository, labels={"custom": {"custom/mine": "My own"}})
    assert stages_run(dvc(repository, "repro")) == {"report"}
    assert "| My own | *custom* |" in (repository / "reports/tables.md").read_text()
    commit(repository, "label")


def test_a_group_with_a_psi_from_outside_needs_no_edit_of_dvc_yaml(repository: Path) -> None:
    (repository / "custom/similarity.py").write_text(PSI)
    similar = {"phi": "softmax", "alpha": 1, "beta": 100, "psi": "custom.similarity:similarity", "start": "first"}
    second = {"first": {"phi": "softmax", "alpha": 1, "step": True}, "similar": similar}
    edit(repository, custom={"groups": ["custom", "second"]}, recipes={"second": second})
    edit(repository, export={"models": ["custom/small/second/similar"]})
    done = stages_run(dvc(repository, "repro"))
    # The user's code has changed, so that all groups of the user's run again, and nothing else does.
    trained = {"distill_custom@small-custom", "distill_custom@small-second"}
    assert done == {*trained, "export@custom/small/second/similar", "report"}
    metrics = json.loads((repository / "reports/metrics/custom/small/second.json").read_text())
    assert metrics["second"].keys() == {"similar"}, "a step is not evaluated"
    tables = (repository / "reports/tables.md").read_text()
    assert "`second`, ResNet-50/16" in tables
    assert "| similar | *custom* |" in tables
    changed = run(repository, "git", "status", "--short", "--", "*.yaml", "custom", "facedistill", "stages").split()
    assert changed == ["M", "params.yaml", "??", "custom/similarity.py"]
    steps = (repository / "models/custom/small/second/similar/steps.tsv").read_text()
    assert "similarity" in steps.splitlines()[0].split("\t")
