"""The whole pipeline at toy size: `dvc repro`, a second `dvc repro`, and the experiments of the README."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from toy_repository import ROOT, dvc, reproduced, run, stages_run, toy


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own in which the toy pipeline has run once."""
    return reproduced(tmp_path_factory.mktemp("repository"), toy())


def test_a_repro_fills_every_table_and_every_stage_leaves_its_outputs(repository: Path) -> None:
    tables = (repository / "reports/tables.md").read_text()
    assert all(f"Table {i}" in tables for i in range(1, 6))
    metrics = json.loads((repository / "reports/metrics/custom/small/verification.json").read_text())["triplet"]
    assert 0 <= metrics["distill"]["nn_top1"] <= 100
    assert len(list((repository / "reports/plots").glob("*.png"))) >= 4
    assert "nrmse" in dvc(repository, "metrics", "show")


def test_a_second_repro_runs_nothing(repository: Path) -> None:
    output = dvc(repository, "repro")
    assert not stages_run(output)
    assert "up to date" in output


def test_the_report_follows_from_what_git_keeps_and_a_clone_can_check_that(repository: Path, tmp_path: Path) -> None:
    assert "verdict" in dvc(repository, "metrics", "show", "reports/claims.json")
    run(tmp_path, "git", "clone", "-q", str(repository), "clone")
    clone = tmp_path / "clone"
    assert not (clone / "data/crops").exists()
    assert "The report is what dvc.lock" in run(clone, sys.executable, "-m", "stages.check_metrics")
    metrics = clone / "reports/metrics/networks/small.json"
    metrics.write_text(re.sub(r'"nrmse": [\d.]+', '"nrmse": 1.5', metrics.read_text(), count=1))
    with pytest.raises(AssertionError, match=r"evaluate@small \(reports/.*/small\.json\)(.|\n)*tables\.md: \d"):
        run(clone, sys.executable, "-m", "stages.check_metrics")


def test_nothing_but_what_belongs_to_git_is_left_for_git(repository: Path) -> None:
    tracked = run(repository, "git", "ls-files").splitlines()
    assert not [name for name in tracked if name.endswith((".safetensors", ".onnx", ".arrow", ".parquet", ".tsv"))]
    assert {"dvc.lock", "reports/index.html", "reports/metrics/networks/teacher.json"} <= set(tracked)


def test_alpha_and_beta_run_the_users_own_cells_and_the_report_alone(repository: Path) -> None:
    output = dvc(repository, "exp", "run", "-S", "alpha=0", "-S", "beta=1")
    assert stages_run(output) == {"custom_alignment@small", "custom_verification@small", "report"}
    own = json.loads((repository / "reports/metrics/custom/small/alignment.json").read_text())["alignment"]
    hidden = json.loads((repository / "reports/metrics/networks/small.json").read_text())["alignment"]
    assert own["distill"] == hidden["distill"]["hidden"]

    (shown,) = re.findall("^dvc (exp show .*)$", (ROOT / "docs/experiments.md").read_text(), re.MULTILINE)
    header, _, *rows = dvc(repository, *shlex.split(shown)).splitlines()
    columns = [name.strip() for name in header.strip("|").split("|")]
    assert {"alpha", "beta", "alignment.distill.nrmse", "triplet.distill.nn_top1"} <= set(columns)
    assert len(columns) == 5, "your own cells and nothing else"
    assert len({row for row in rows if row}) >= 2, "the commit and the experiment differ"


def test_a_changed_side_of_crops_makes_new_crops(repository: Path) -> None:
    """DVC's cache of runs leaves parameters called `size` out: a change would be "cached", and the crops as before."""
    file, index = repository / "params.yaml", repository / "data/crops/lfw/crops.json"
    before = file.read_text()
    head, lfw, tail = before.partition("  lfw:\n")
    try:
        file.write_text(head + lfw + tail.replace("pixels: 24", "pixels: 28", 1))
        assert stages_run(dvc(repository, "repro", "align_crop@lfw")) == {"align_crop@lfw"}
        assert json.loads(index.read_text())["pixels"] == 28
    finally:
        file.write_text(before)
    dvc(repository, "repro", "align_crop@lfw")
    assert json.loads(index.read_text())["pixels"] == 24


def test_crops_of_another_run_are_refused(repository: Path) -> None:
    index = repository / "data/crops/lfw/crops.json"
    before = index.read_text()
    index.unlink()  # it may be a link into DVC's cache
    try:
        index.write_text(before.replace('"pixels": 24', '"pixels": 36'))
        with pytest.raises(
            AssertionError, match=r"data/crops/lfw: crops of 36 px, but datasets\.lfw\.crop\.pixels is 24"
        ):
            run(repository, sys.executable, "-m", "stages.evaluate")
    finally:
        index.unlink()
        index.write_text(before)


def test_a_changed_parameter_touches_the_stages_that_read_it(repository: Path) -> None:
    def changed(name: str) -> set[str]:
        status = json.loads(dvc(repository, "status", "--json"))
        return {stage for stage, changes in status.items() if name in json.dumps(changes)}

    file = repository / "params.yaml"
    before = file.read_text()
    try:
        file.write_text(before.replace("margin: 0.4", "margin: 0.5"))
        touched = {stage.split("@")[0] for stage in changed("equation")}
        assert not touched & {"prepare", "align_crop", "evaluate", "measure_cost"}
        assert "train_teacher" in touched
        # Its page prints all parameters.
        assert "report" in changed("params.yaml")
        file.write_text(before.replace("divisor: 16", "divisor: 32"))
        assert "train_teacher" not in changed("students.small")
        assert "init_student@small" in changed("students.small")
    finally:
        file.write_text(before)
