"""Runs the toy of several processes, and compares what two runs have trained."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from processes_toy import TEACHER
from squares import draw, run

from facedistill.learning import model_files
from facedistill.learning.curves import EPOCHS, STEPS
from facedistill.learning.parameters import NetworkParams
from facedistill.recipe import Recipe

ROOT = Path(__file__).parents[1]
TOY = Path(__file__).with_name("processes_toy.py")


def repository(folder: Path) -> Path:
    """Make a repository of git's with squares to train on, and a teacher. Returns its folder."""
    author = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "start"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    (folder / "data/crops/faces").mkdir(parents=True)
    draw(folder / "data/crops/faces")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("teacher/classification", Recipe("softmax"), network=NetworkParams("resnet50", divisor=16))
    assert (folder / TEACHER).is_dir()
    shutil.rmtree(folder / ".resume")
    return folder


def parameters(
    folder: Path, devices: int, nodes: int = 1, endpoint: str = "null", batch_norm: str = "local", restarts: int = 3
) -> None:
    values = f"devices: {devices}, nodes: {nodes}, endpoint: {endpoint}, batch_norm: {batch_norm}, restarts: {restarts}"
    (folder / "params.yaml").write_text(f"processes: {{{values}}}\n")


def begin(folder: Path, *rounds: str, fail: tuple[int, str, str] | None = None, wait: int = 0) -> subprocess.Popen[str]:
    """Start the toy.

    fail: at which call of a loss, in which rank (empty: the only process), and how.
    wait: seconds between two heartbeats, and for a machine that is missing; 0 for as many as usual.
    """
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    if fail:
        environment |= {"FAIL": str(fail[0]), "FAIL_IN": fail[1], "FAIL_BY": fail[2]}
    environment |= {"WAIT": str(wait)} if wait else {}
    command = [sys.executable, str(TOY), *rounds]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> str:
    """What it said, and that it ended well."""
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    return said


def failure(folder: Path, *rounds: str, fail: tuple[int, str, str] | None = None) -> str:
    process = begin(folder, *rounds, fail=fail)
    said = process.communicate(timeout=300)[1]
    assert process.returncode != 0
    return said


def curves(folder: Path, cell: str) -> dict[str, list[float]]:
    """Every curve of a cell by table and column, each value as it was logged."""
    found: dict[str, list[float]] = {}
    for table in (EPOCHS, STEPS):
        with (folder / "models/s" / cell / table).open(newline="") as rows:
            for row in csv.DictReader(rows, delimiter="\t"):
                for name, value in row.items():
                    found.setdefault(f"{table} {name}", []).append(float(value))
    return found


def assert_alike(one: Path, other: Path, cell: str) -> None:
    """Loss curves and weights of a cell, far closer than 1e-5: what is left is the order of sums in float64."""
    expected, found = curves(one, cell), curves(other, cell)
    assert {f"{EPOCHS} loss", f"{STEPS} loss"} <= expected.keys() == found.keys()
    assert len(expected[f"{STEPS} loss"]) == 3
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-9, abs=1e-12), name
    ours, theirs = (model_files.load_state(folder / "models/s" / cell) for folder in (one, other))
    for name, tensor in ours.items():
        assert torch.allclose(tensor, theirs[name], rtol=1e-9, atol=1e-9), name
