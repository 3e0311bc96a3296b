"""A full disk, a crop that cannot be read, lost crops, a clock that jumps: each gives a message, and no damage."""

from __future__ import annotations

import errno
import subprocess
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from squares import run, weights

from facedistill.crops import DataError
from facedistill.crops.shards import Crops
from facedistill.learning.losses.equation5 import Equation5
from facedistill.learning.parameters import LoaderParams, NetworkParams, SnapshotParams
from facedistill.recipe import Recipe

DISK = Path(".resume")
WIDER = {"network": NetworkParams("resnet50", divisor=8)}
"""Its snapshot, weights and momenta, takes 3 MB."""


def mount(*options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["mount", *options, str(DISK)], capture_output=True)


@pytest.fixture
def disk(workspace: Path) -> Iterator[None]:
    """A disk of 1 MB where snapshots lie."""
    DISK.mkdir()
    if mount("-t", "tmpfs", "-o", "size=1m", "tmpfs").returncode:
        pytest.skip("mounting a small disk takes root")
    yield
    subprocess.run(["umount", str(workspace / DISK)], check=True)


@pytest.mark.parametrize(("fault", "number"), [("size=1m", errno.ENOSPC), ("ro", errno.EROFS)])
def test_a_run_that_cannot_save_names_the_file_and_goes_on_when_it_can(disk: None, fault: str, number: int) -> None:
    recipe = Recipe("softmax")
    assert not mount("-o", f"remount,{fault}").returncode
    with pytest.raises(OSError, match=r"\.resume/\w+") as error:
        run("s/one", recipe, **WIDER)
    assert error.value.errno == number
    assert not [file for file in DISK.rglob("*") if file.is_file()]
    assert not Path("models/s/one/model.safetensors").exists()
    assert not mount("-o", "remount,rw,size=64m").returncode
    run("s/one", recipe, **WIDER)
    run("s/two", recipe, **WIDER, workspace=Path("elsewhere"))
    one, two = weights("s/one"), weights("s/two")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_crop_that_cannot_be_decoded_ends_the_run_and_the_next_run_goes_on(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is raised in a thread, and the run has to hear of it."""
    recipe = Recipe("softmax")
    asked = {"loader": LoaderParams(cache_mb=0, threads=2), "snapshots": SnapshotParams(epochs=1, minutes=1e-9)}
    read, image = count(1), Crops.image

    def failing(self: Crops, row: int) -> Any:
        if next(read) == 60:
            raise MemoryError
        return image(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Crops, "image", failing)
        with pytest.raises(MemoryError):
            run("s/one", recipe, **asked)
    assert not Path("models/s/one/model.safetensors").exists()
    run("s/one", recipe, **asked)
    run("s/two", recipe, workspace=Path("elsewhere"))
    one, two = weights("s/one"), weights("s/two")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_crops_that_vanish_during_a_run_are_read_to_its_end(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, forward, folder = Recipe("softmax"), Equation5.forward, Path("data/crops/faces")
    run("s/one", recipe, loader=LoaderParams(cache_mb=0, threads=0))

    def removing(self: Equation5, *arguments: Any) -> Any:
        for shard in folder.glob("*.arrow"):
            shard.unlink()
        return forward(self, *arguments)

    monkeypatch.setattr(Equation5, "forward", removing)
    run("s/two", recipe, loader=LoaderParams(cache_mb=0, threads=0), workspace=Path("elsewhere"))
    one, two = weights("s/one"), weights("s/two")
    assert all(torch.equal(one[name], two[name]) for name in one)
    with pytest.raises(DataError, match=r"data/crops/faces/train-00000\.arrow: not a shard.*run align_crop again"):
        run("s/three", recipe)


def test_a_clock_that_jumps_neither_hurries_nor_stops_snapshots(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the wall clock this run ends a day before it begins; its last snapshot is by a clock that only goes on."""
    recipe, asked = Recipe("softmax"), {"snapshots": SnapshotParams(epochs=1, minutes=1e-9)}
    run("s/one", recipe, **asked)
    undisturbed = sorted(file.name.split("-")[0] for file in Path(".resume").glob("*/*"))
    shown = iter(range(10**9, 0, -86400))
    monkeypatch.setattr(time, "time", lambda: float(next(shown)))
    run("s/two", recipe, workspace=Path("elsewhere"), **asked)
    assert sorted(file.name.split("-")[0] for file in Path("elsewhere").glob("*/*")) == undisturbed
    one, two = weights("s/one"), weights("s/two")
    assert all(torch.equal(one[name], two[name]) for name in one)
