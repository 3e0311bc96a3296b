"""Distillation from shards, against the same step on a batch on the device, and against a loop as in public code."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from benchmarks.speed.faces import HARD, Faces
from benchmarks.speed.measure import Row, compare, rates
from benchmarks.speed.peers import Files, PlainLoop, torchdistill
from facedistill.learning.device import multiplies_bf16

RESIDENT = "the same step on a batch that is on the device"
UNIT = "crops/s"
PLAIN_GOAL = 1.5
"""The goal against the plain loop, if the hardware multiplies in bf16."""
TORCHDISTILL_GOALS = {True: 2.0, False: 1.5}
"""The goal against torchdistill for the narrowest student, by whether the hardware multiplies in bf16."""
STORED_GOAL = 2.5
"""The goal of stored answers against a teacher that looks at every batch, for the narrowest student."""


def distillation(faces: Faces) -> Iterator[Row]:
    """Measure each width with decoded crops in memory, and the narrowest, which waits most for data, decoded anew."""
    files = Files(faces)
    plain, bf16 = PlainLoop(files), multiplies_bf16(faces.device)
    goal = PLAIN_GOAL if bf16 else None
    for divisor in (1, 2, 4, 8):
        what = f"distil ResNet-50/{divisor} from shards, teacher online"
        functions = (faces.epoch(divisor), faces.epoch(divisor, resident=True), plain.epoch(divisor))
        ours, resident, theirs = rates(*functions, rounds=3)
        yield Row(what, RESIDENT, UNIT, ours, resident, ours / resident, 0.95)
        yield Row(what, "a plain PyTorch loop over JPEG files", UNIT, ours, theirs, ours / theirs, goal)
    for divisor, goal in ((8, STORED_GOAL), (4, None)):
        functions = (faces.epoch(divisor, stored=True), faces.epoch(divisor), faces.epoch(divisor, HARD))
        stored, online, alone = rates(*functions, rounds=3)
        what = f"distil ResNet-50/{divisor}, the teacher's answers stored"
        yield Row(what, "the teacher online", UNIT, stored, online, stored / online, goal)
        yield Row(what, "the student alone, without a teacher", UNIT, stored, alone, stored / alone, 0.95)
    if find_spec("torchdistill"):
        ours, theirs = rates(faces.epoch(8), torchdistill(files, 8), rounds=3)
        goal = TORCHDISTILL_GOALS[bf16]
        yield Row(
            "distil ResNet-50/8 from shards, teacher online",
            "torchdistill's KDLoss, loader and loop over JPEG files",
            UNIT,
            ours,
            theirs,
            ours / theirs,
            goal,
        )
    else:
        print("torchdistill is not installed (pip install torchdistill): its row is left out")
    what = f"distil ResNet-50/8, crops decoded by {faces.setting.threads} threads"
    yield compare(what, RESIDENT, UNIT, faces.epoch(8, decode=True), faces.epoch(8, resident=True), goal=None)
