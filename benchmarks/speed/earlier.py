"""Distillation now, against an earlier revision of this project, in turns on the same machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.speed.measure import Row, rates

REVISION = "de88964"
"""Before what makes a step fast was looked for: no operators of our own, and no threads that prepare batches."""

GOALS = {"teacher online": 1.3, "the student alone, without a teacher": 1.5}

CHILD = """
import sys, tempfile, torch
from pathlib import Path
from benchmarks.speed.faces import HARD, SOFT, Faces
with tempfile.TemporaryDirectory() as folder:
    faces = Faces(Path(folder), torch.device("cpu"))
    epochs = [faces.epoch(8, SOFT), faces.epoch(8, HARD)]
    for line in sys.stdin:
        print("crops", epochs[int(line)](), flush=True)
"""
"""It reads the number of a recipe, and trains for an epoch by it. Both revisions have the names that it imports."""


def since(folder: Path) -> Iterator[Row]:
    """Train ResNet-50/8 by both revisions, with a teacher and without."""
    then = folder / REVISION
    subprocess.run(["git", "worktree", "add", "--detach", str(then), REVISION], check=True, capture_output=True)
    try:
        with ExitStack() as running:
            now, before = (running.enter_context(_started(tree)) for tree in (Path.cwd(), then))
            for i, (how, goal) in enumerate(GOALS.items()):
                ours, theirs = rates(*(partial(_epoch, child, i) for child in (now, before)), rounds=5)
                yield Row(f"distil ResNet-50/8, {how}", REVISION, "crops/s", ours, theirs, ours / theirs, goal)
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(then)], check=True)


def _started(tree: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD]
    return subprocess.Popen(command, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _epoch(child: subprocess.Popen[str], recipe: int) -> int:
    assert child.stdin
    assert child.stdout
    print(recipe, file=child.stdin, flush=True)
    # `prepare` and `align_crop` may print, too.
    for line in child.stdout:
        if line.startswith("crops "):
            return int(line.removeprefix("crops "))
    raise RuntimeError(f"the benchmark ended with exit code {child.wait()}")
