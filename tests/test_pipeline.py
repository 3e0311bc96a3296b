"""The whole pipeline at toy size: `dvc repro`, a second one, and the experiments that the README shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PARTS = ["dvc.yaml", "params.yaml", ".dvc/config", ".dvcignore", ".gitignore"]
PARTS += ["data/leave_out", "facedistill", "stages"]


def toy(params: dict[str, Any]) -> None:
    """Shrink the default: one student and one of another architecture, a narrow teacher, 8 people, an epoch."""
    params["students"] = {"small": {"architecture": "resnet50", "divisor": 16}, "other": {"architecture": "shufflenet"}}
    params["teacher"]["network"]["divisor"] = 8
    for section in params.values():
        if isinstance(section, dict) and "students" in section:
            section["students"] = ["other" if section["students"] == ["mobilenet"] else "small"]
    params["evaluation"]["far"] = 0.1
    for rates in (params["rates"], params["teacher"]["rates"]):
        for rate in rates.values():
            rate |= {"epochs": 1, "warmup_steps": 1}
    params["training"]["log_every"] = 1
    for task in params["tasks"].values():
        task |= {"input": 20, "batch": 16}
    for dataset in params["datasets"].values():
        dataset["source"] |= {"people": 8, "photographs": 5}
        dataset["crop"]["size"] = 24
    params["datasets"]["lfw"]["source"] |= {"people": 6, "photographs": 4, "folds": 2, "pairs_per_fold": 6}


def run(repository: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": "", "DVC_NO_ANALYTICS": "1"}
    result = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


def commit(repository: Path, message: str) -> None:
    run(repository, "git", "add", "-A")
    run(repository, "git", "commit", "-qm", message)


def dvc(repository: Path, *arguments: str) -> str:
    return run(repository, sys.executable, "-m", "dvc", *arguments)


def stages_run(output: str) -> set[str]:
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own in which the toy pipeline has run once."""
    folder = tmp_path_factory.mktemp("repository")
    for part in PARTS:
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / part, folder / part)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    toy(params)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    for command in (["init", "-q"], ["config", "user.name", "t"], ["config", "user.email", "t@t"]):
        run(folder, "git", *command)
    commit(folder, "before")
    dvc(folder, "repro")
    commit(folder, "after")
    return folder


def test_a_repro_fills_every_table_and_every_stage_leaves_its_outputs(repository: Path) -> None:
    tables = (repository / "reports/tables.md").read_text()
    assert all(f"Table {i}" in tables for i in range(1, 6))
    metrics = json.loads((repository / "reports/metrics/own/small.json").read_text())["triplet"]
    assert 0 <= metrics["distill"]["nn_top1"] <= 100
    assert len(list((repository / "reports/plots").glob("*.png"))) >= 4
    assert "nrmse" in dvc(repository, "metrics", "show")


def test_a_second_repro_runs_nothing(repository: Path) -> None:
    output = dvc(repository, "repro")
    assert not stages_run(output)
    assert "up to date" in output


def test_nothing_but_what_belongs_to_git_is_left_for_git(repository: Path) -> None:
    tracked = run(repository, "git", "ls-files").splitlines()
    assert not [name for name in tracked if name.endswith((".safetensors", ".arrow", ".parquet", ".tsv"))]
    assert {"dvc.lock", "reports/tables.md", "reports/metrics/teacher.json"} <= set(tracked)


def test_alpha_and_beta_run_the_users_own_cells_and_the_report_alone(repository: Path) -> None:
    output = dvc(repository, "exp", "run", "-S", "alpha=0", "-S", "beta=1")
    expected = {"own_alignment@small", "own_verification@small"}
    expected |= {"evaluate_own@small", "report"}
    assert stages_run(output) == expected
    own = json.loads((repository / "reports/metrics/own/small.json").read_text())["alignment"]
    hidden = json.loads((repository / "reports/metrics/small.json").read_text())["alignment"]
    assert own["distill"] == hidden["distill"]["hidden"]


def test_a_changed_parameter_touches_the_stages_that_read_it(repository: Path) -> None:
    def changed(name: str) -> set[str]:
        status = json.loads(dvc(repository, "status", "--json"))
        return {stage for stage, changes in status.items() if name in json.dumps(changes)}

    file = repository / "params.yaml"
    before = file.read_text()
    try:
        file.write_text(before.replace("margin: 0.4", "margin: 0.5"))
        assert all(stage.split("@")[0] not in ("prepare", "align_crop", "report") for stage in changed("equation"))
        file.write_text(before.replace("divisor: 16", "divisor: 32"))
        assert "train_teacher" not in changed("students.small")
        assert "init_student@small" in changed("students.small")
    finally:
        file.write_text(before)
