"""A file is written whole or not at all, even if the disk is full."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from squares import run_together, weights

from facedistill.files import write_json, write_whole
from facedistill.learning.losses.equation5 import Equation5
from facedistill.learning.model_files import WEIGHTS, load_state, save
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import NetworkParams, SnapshotParams
from facedistill.recipe import Recipe


@contextmanager
def no_file_above(size: int) -> Iterator[Callable[[], None]]:
    """What it gives makes every write beyond `size` bytes fail, as on a full disk, until its end."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "state"
    write_whole(file, b"before")
    with no_file_above(1000) as begin:
        begin()
        with pytest.raises(OSError, match="File too large"):
            write_whole(file, bytes(2000))
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_ends_a_run_and_costs_no_snapshot_that_was_whole(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, every_step = {"s/softmax": Recipe(phi="softmax")}, SnapshotParams(epochs=1, minutes=1e-9)
    run_together(recipe, snapshots=SnapshotParams(epochs=9, minutes=10))
    undisturbed = weights("s/softmax")
    steps, forward = list[str](), Equation5.forward

    with no_file_above(2000) as begin:

        def counting(self: Equation5, *arguments: Any) -> Any:
            steps.append("begun")
            if len(steps) == 4:
                begin()
            return forward(self, *arguments)

        monkeypatch.setattr(Equation5, "__call__", counting)
        with pytest.raises(OSError, match="File too large"):
            run_together(recipe, snapshots=every_step)
    # Two steps, then the whole epoch of three; the fourth could not be written.
    kept = sorted((workspace / ".resume").glob("*/*"))
    assert [int(file.name.split("-")[0]) for file in kept] == [2, 3]
    steps.clear()
    run_together(recipe, snapshots=every_step)
    assert len(steps) == 3
    assert all(torch.equal(tensor, undisturbed[name]) for name, tensor in weights("s/softmax").items())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    """Python's own error of a write has no name; nor has that of safetensors, which is none of the system's."""
    (tmp_path / "a.json").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.json'"):
        write_json(tmp_path / "a.json", {"a": 1})
    with no_file_above(1000) as begin:
        begin()
        with pytest.raises(OSError, match=rf"File too large: '.*{WEIGHTS}'"):
            save(tmp_path / "model", FaceNetwork(NetworkParams("resnet50", divisor=16), 2), {})
    assert not list((tmp_path / "model").iterdir())


def test_weights_that_are_loaded_stay_when_their_file_is_written_anew(tmp_path: Path) -> None:
    """Loaded weights are mapped from their file: written in place, it would change them."""
    for seed in (0, 1):
        torch.manual_seed(seed)
        save(tmp_path, FaceNetwork(NetworkParams("resnet50", divisor=16), 2), {})
        loaded = load_state(tmp_path)["trunk.conv1.weight"]
        if not seed:
            before, kept = loaded, loaded.clone()
    assert torch.equal(before, kept)
    assert not torch.equal(loaded, kept)
