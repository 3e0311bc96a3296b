"""A classifier in shards, one for each process, trains as a whole one, and a run goes on in any number of processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from shards_toy import LOSSES, ROUNDS
from squares import draw, run, run_together

from facedistill.learning import model_files, processes
from facedistill.learning.columns import ALL, Columns
from facedistill.learning.networks.face_network import identity_head
from facedistill.learning.parameters import NetworkParams
from facedistill.learning.processes.class_shards import ClassShard
from facedistill.learning.teachers import Guide
from facedistill.params import ParamsError
from facedistill.recipe import Recipe

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parents[1].joinpath("shards_toy.py")
WORLDS = (1, 2, 4)
TRAINED = [cell for recipes in ROUNDS.values() for cell in recipes]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with squares to train on, and two teachers."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "data/crops/faces").mkdir(parents=True)
    draw(folder / "data/crops/faces")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("teacher/classification", Recipe("softmax"), network=NetworkParams("resnet50", divisor=16))
        run("teacher/arcface", Recipe("arcface"), network=NetworkParams("resnet50", divisor=16))
    shutil.rmtree(folder / ".resume")
    return folder


@pytest.fixture(scope="module")
def trained(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the toy leaves: its losses, and a folder for each round and number of processes."""
    above = tmp_path_factory.mktemp("runs")
    shutil.copytree(start, above / "start")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, TOY], cwd=above, env=environment, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    return above


@pytest.mark.parametrize("world_size", WORLDS)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_are_those_of_the_whole_softmax(trained: Path, world_size: int, name: str) -> None:
    """Also with crops that have no name, logits of a thousand, 11 classes, and a clipped gradient."""
    for rank in range(world_size):
        found = json.loads((trained / f"losses{world_size}-{rank}.json").read_text())
        assert max(found[f"{name} times 1"], found[f"{name} times 1000"]) < 1e-12


def assert_alike(one: Path, other: Path, cell: str) -> None:
    """The weights of a cell and its last losses: what is left is the order of sums in float64."""
    ours, theirs = (model_files.load_state(folder / "models/s" / cell) for folder in (one, other))
    for name, tensor in ours.items():
        assert torch.allclose(tensor, theirs[name], rtol=1e-9, atol=1e-9), name
    records = [model_files.read_record(folder / "models/s" / cell) for folder in (one, other)]
    for key in ("classes", "parameters"):
        assert records[0][key] == records[1][key]
    assert records[1]["last_epoch"] == pytest.approx(records[0]["last_epoch"], rel=1e-9)


@pytest.mark.parametrize("cell", TRAINED)
def test_a_run_with_shards_trains_the_network_of_one_process(trained: Path, cell: str) -> None:
    assert_alike(trained / "whole", trained / "by2", cell)


def test_two_whole_classifiers_draw_the_sample_of_one(trained: Path) -> None:
    assert_alike(trained / "whole", trained / "unsharded", "sampled")


@pytest.mark.parametrize("change", ["1to2", "2to4", "4to1"])
def test_a_stopped_run_goes_on_with_another_number_of_shards(trained: Path, change: str) -> None:
    for cell in [*ROUNDS["arcface"], *(["sampled"] if change == "1to2" else [])]:
        assert_alike(trained / "whole", trained / change, cell)
    saved = {file.name.split("-")[0] for file in (trained / f"stopped{change[0]}").glob(".resume/*/*.safetensors")}
    assert saved == {"000000001", "000000002"}


def test_shards_are_all_rows_in_their_order() -> None:
    head = identity_head(3, 11, 0)
    weight, bias = head.weight.detach().clone(), head.bias.detach().clone()
    heads = [identity_head(3, 11, 0) for _ in range(4)]
    for rank, part in enumerate(heads):
        part.load_state_dict(head.state_dict())
        ClassShard(part, rank, 4, lambda rows: rows, True)
    assert [len(part.weight) for part in heads] == [2, 3, 3, 3]
    assert torch.equal(torch.cat([part.weight for part in heads]), weight)
    assert torch.equal(torch.cat([part.bias for part in heads]), bias)
    # The rest of the whole classifier is not kept in memory.
    assert all(part.weight.untyped_storage().nbytes() == part.weight.nbytes for part in heads)


class Partial(Columns):
    partial = True


@pytest.mark.parametrize(
    ("recipe", "named"),
    [
        (Recipe("own_parts:smoothed"), "phi: own_parts:smoothed"),
        (Recipe("softmax", beta=1, psi="own_parts:energy"), "psi: own_parts:energy"),
        (Recipe("softmax", beta=1, psi="own_parts:similarity"), ""),
    ],
)
def test_a_loss_of_the_users_own_that_would_see_a_shard_is_refused(
    start: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe, named: str
) -> None:
    monkeypatch.chdir(start)
    monkeypatch.setattr(processes.Process, "cut", lambda _self, head: Partial() if head else ALL)
    guide = Guide(Path("models/teacher/arcface"))
    if not named:
        run_together({"s/own": recipe}, hidden_teacher=guide)
        return
    with pytest.raises(ParamsError, match=f"processes.shard_classes: .*{named} needs the logits of all classes"):
        run("s/own", recipe, hidden_teacher=guide)
