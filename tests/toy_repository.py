"""A repository of its own with a toy of the default pipeline, for tests that run DVC."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from facedistill.params import read

ROOT = Path(__file__).parents[1]
PARTS = ["dvc.yaml", ".dvc/config", ".dvcignore", ".gitignore"]
PARTS += ["data/answers/README.md", "data/leave_out", "facedistill", "stages", "custom"]


def toy() -> dict[str, Any]:
    """The default, shrunk: one student and one of another architecture, a narrow teacher, 8 people, an epoch."""
    params = read(ROOT / "params.yaml")
    params["students"] = {"small": {"architecture": "resnet50", "divisor": 16}, "other": {"architecture": "shufflenet"}}
    params["teacher"]["network"]["divisor"] = 8
    for name, section in params.items():
        if isinstance(section, dict) and "students" in section:
            section["students"] = ["other" if name in ("architectures", "weighting") else "small"]
    params["evaluation"]["far"] = 0.1
    for rates in (params["rates"], params["teacher"]["rates"]):
        for rate in rates.values():
            rate |= {"epochs": 1, "warmup_steps": 1}
    params["training"]["log_every"] = 1
    for task in params["tasks"].values():
        task |= {"input": 20, "batch": 16}
    for dataset in params["datasets"].values():
        dataset["source"] |= {"people": 8, "photographs": 5}
        dataset["crop"]["pixels"] = 24
    params["export"]["models"] = ["teacher/classification", "small/table2/wang", "small/alignment/distill/soft"]
    params["datasets"]["lfw"]["source"] |= {"people": 6, "photographs": 4, "folds": 2, "pairs_per_fold": 6}
    return params


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


def build(folder: Path, params: dict[str, Any]) -> Path:
    """The repository in `folder`, made there, with these parameters."""
    for part in PARTS:
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / part, folder / part)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / "checks.yaml").write_text("{}\n")
    for command in (["init", "-q"], ["config", "user.name", "t"], ["config", "user.email", "t@t"]):
        run(folder, "git", *command)
    commit(folder, "before")
    return folder


def reproduced(folder: Path, params: dict[str, Any]) -> Path:
    """The same after one `dvc repro`."""
    dvc(build(folder, params), "repro")
    commit(folder, "after")
    return folder
