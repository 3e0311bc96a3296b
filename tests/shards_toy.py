"""Groups of processes that share a classifier, in float64. Run it in a folder with squares and teachers in `start`."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from equation import EQUATION
from squares import EQUATION as MEANS
from squares import SIDE, SMALL, optimisation, run_together
from torch import Tensor
from torch.overrides import TorchFunctionMode

from facedistill.learning.columns import ALL, Columns
from facedistill.learning.losses.equation5 import Equation5, Targets
from facedistill.learning.networks import FaceNetwork, Outputs
from facedistill.learning.networks.face_network import identity_head
from facedistill.learning.parameters import NetworkParams, ProcessParams, SnapshotParams, TaskParams
from facedistill.learning.processes.distributed import DistributedProcess
from facedistill.learning.student import Student
from facedistill.learning.teachers import Guide
from facedistill.recipe import Recipe

FORK = multiprocessing.get_context("fork")
CLASSES, BATCH, WIDTH = 11, 8, 5
"""None of these numbers is a multiple of the other, so a tensor of all classes shows in its shape."""

LOSSES: dict[str, tuple[Recipe, dict[str, Any]]] = {
    "softmax": (Recipe("softmax"), {}),
    "arcface": (Recipe("arcface"), {}),
    "cosface": (Recipe("cosface"), {}),
    "soft": (Recipe("none", alpha=1), {"temperature_squared": True}),
    "soft_cosine": (Recipe("arcface", alpha=2), {}),
    "weighting": (Recipe("softmax", alpha=1, weighting=0.7), {}),
    "logits": (Recipe("softmax", beta=1, psi="logits"), {}),
    "logits_mean": (Recipe("softmax", beta=1, psi="logits", weighting=0.5), {"reduction": "mean"}),
    "inherited": (Recipe("arcface", classifier="teacher"), {}),
    "sampled_softmax": (Recipe("softmax"), {"negatives": 0.3}),
    "sampled_arcface": (Recipe("arcface"), {"negatives": 0.3}),
    "batch_alone": (Recipe("cosface"), {"negatives": 1e-9}),
}
ROUNDS = {
    "classification": {
        "soft": Recipe("softmax", alpha=1, weighting=0.5),
        "logits": Recipe("softmax", beta=1, psi="logits"),
    },
    "arcface": {"arcface": Recipe("arcface"), "inherited": Recipe("arcface", classifier="teacher")},
    "sampled": {"sampled": Recipe("arcface")},
}


GROUPS: dict[int, tuple[str, ...]] = {
    1: ("losses", "arcface:whole", "classification:whole", "sampled:whole", "arcface:stopped1", "sampled:stopped1"),
    2: (
        "losses",
        "arcface:by2",
        "classification:by2",
        "arcface:stopped2",
        "sampled:by2",
        "arcface:1to2",
        "sampled:1to2",
        "sampled:unsharded",
    ),
    4: ("losses", "arcface:stopped4", "arcface:2to4"),
}
"""What each number of processes does. A job is `losses`, or ROUND:FOLDER, a round of recipes and where to train it."""
AFTERWARDS = {1: ("arcface:4to1",)}


def main() -> None:
    # What the wrapper of a network imports takes seconds, so the processes are forks of one that has it.
    import torch._dynamo  # noqa: F401

    for groups in (GROUPS, AFTERWARDS):
        for world_size, jobs in groups.items():
            for folder in {job.split(":")[1] for job in jobs if ":" in job}:
                if not Path(folder).exists():
                    before, went_on, _ = folder.partition("to")
                    shutil.copytree(f"stopped{before}" if went_on and before.isdigit() else "start", folder)
            begun = [FORK.Process(target=work, args=(rank, world_size, jobs)) for rank in range(world_size)]
            for process in begun:
                process.start()
            for process in begun:
                process.join()
            if any(process.exitcode for process in begun):
                sys.exit(1)


def work(rank: int, world_size: int, jobs: tuple[str, ...]) -> None:
    """Do the jobs of one process in a group."""
    os.environ["LOCAL_RANK"] = str(rank)
    meet = f"file://{Path(f'meet{world_size}{len(jobs)}').absolute()}"
    # A process that waits for one that no longer answers would wait half an hour.
    minute = timedelta(minutes=1)
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=world_size, timeout=minute)
    processes = ProcessParams(devices=world_size, nodes=1, endpoint=None, batch_norm="sync", shard_classes=2)
    for job in jobs:
        if job == "losses":
            found = losses(DistributedProcess(processes))
            Path(f"losses{world_size}-{rank}.json").write_text(json.dumps(found))
        else:
            name, folder = job.split(":")
            train(name, folder, processes)
    dist.destroy_process_group()


class Stopped(BaseException):
    pass


def train(name: str, folder: str, processes: ProcessParams) -> None:
    above = Path.cwd()
    os.chdir(folder)
    guide = Guide(Path("models/teacher") / ("classification" if name == "classification" else "arcface"))
    task = TaskParams("arcface", dataset="faces", input=SIDE, batch=4, per_identity=0, embedding=8)
    # So few crops leave people to sample.
    sampled = {"task": task, "equation": replace(MEANS, negatives=0.4)} if name == "sampled" else {}
    with suppress(Stopped):
        run_together(
            {f"s/{key}": recipe for key, recipe in ROUNDS[name].items()},
            soft_teacher=guide,
            hidden_teacher=guide,
            network=NetworkParams("own_parts:Tiny"),
            processes=replace(processes, shard_classes=None) if folder == "unsharded" else processes,
            snapshots=SnapshotParams(epochs=1, minutes=1e-9),
            # So low a limit clips the gradient of every step.
            optimisation=optimisation(epochs=1, clip_norm=0.5),
            **sampled,
        )
    os.chdir(above)


def losses(process: DistributedProcess) -> dict[str, float]:
    """The largest difference of each loss and its gradients from those of the whole classifier, in one process."""
    networks = {scale: FaceNetwork(replace(SMALL, embedding=WIDTH), classes=2, scale=scale) for scale in (0.0, 16.0)}
    found = {}
    for name, (recipe, changes) in LOSSES.items():
        for factor in (1.0, 1000.0):
            network = networks[16.0 if recipe.margin_softmax else 0.0]
            whole, ours = (_step(network, recipe, changes, factor, by) for by in (None, process))
            assert ours.keys() == whole.keys() if process.is_main else {"loss", "hidden", "shared"} <= ours.keys()
            found[f"{name} times {factor:g}"] = max(
                float((whole[key] - ours[key]).abs().max() / whole[key].abs().max().clamp(min=1e-6)) for key in ours
            )
    return found


def _step(
    network: FaceNetwork, recipe: Recipe, changes: dict[str, Any], factor: float, process: DistributedProcess | None
) -> dict[str, Tensor]:
    """The terms of a loss and all gradients of the full batch, clipped, and the weights that `of_all` returns."""
    torch.manual_seed(0)
    head, teacher_head = (identity_head(WIDTH, CLASSES, network.scale) for _ in range(2))
    hidden, teacher_hidden = factor * torch.randn(BATCH, WIDTH), torch.randn(BATCH, WIDTH)
    labels = torch.tensor([0, 10, -1, 5, 3, 5, -1, 9])
    shared = torch.nn.Parameter(torch.randn(3))
    head.requires_grad_(recipe.classifier == "own")
    columns, theirs, rank, world_size = ALL, ALL, 0, 1
    gather: Callable[[Tensor], Tensor] = ALL.own
    if process:
        columns, theirs = process.cut(head), process.cut(teacher_head)
        columns.average_gradients()  # type: ignore[attr-defined]
        rank, world_size, gather = process.rank, process.world_size, process.gather
    rows = slice(BATCH * rank // world_size, BATCH * (rank + 1) // world_size)
    hidden, teacher_hidden, labels = hidden[rows].clone().requires_grad_(), teacher_hidden[rows], labels[rows]
    network.identity, network.columns = head, columns
    loss = Equation5(recipe, replace(EQUATION, **changes), network, network.trunk, gather, seed=5)
    with Shapes() as made:
        if loss.negatives is not None:
            columns = loss.negatives(labels)
        student = Outputs(hidden, (), columns.logits(head, hidden), None, columns)
        with torch.no_grad():
            teacher = Outputs(teacher_hidden, (), theirs.logits(teacher_head, teacher_hidden), None, theirs)
        terms = loss(student, labels, torch.zeros(1), Targets(teacher, teacher))
        terms["loss"].backward()
        shared.grad = shared.detach().clone()
        columns.clip([*head.parameters(), shared], 0.5)
    assert any(CLASSES in shape for shape in made.shapes) == (world_size == 1), made.shapes
    found = {name: gather(term.detach()[None]).mean() for name, term in terms.items()}
    assert hidden.grad is not None
    found |= {"hidden": gather(hidden.grad / world_size), "shared": shared.grad}
    return found | _gradients(head, columns)


def _gradients(head: torch.nn.Linear, columns: Columns) -> dict[str, Tensor]:
    """The whole weights of a classifier and their gradients, where a process keeps them."""
    found = {}
    for name, weight in head.named_parameters():
        for key, rows in ((name, weight.detach()), (f"gradient of {name}", weight.grad)):
            if rows is not None and len(whole := columns.of_all(rows)):
                found[key] = whole
    return found


class Shapes(TorchFunctionMode):
    """Notes the shape of every tensor that a call of torch returns, in a backward function of ours too."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[int, ...]] = set()

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        result = function(*arguments, **(options or {}))
        found = result if isinstance(result, tuple | list) else [result]
        self.shapes |= {tuple(value.shape) for value in found if type(value) is Tensor}
        return result


def _stopping(count: Any) -> Any:
    """Return a `count` of Student that stops in its third step, in a folder that begins with `stopped`."""

    def counting(student: Student, step: int, terms: Any) -> None:
        if step > 2 and Path.cwd().name.startswith("stopped"):
            raise Stopped
        count(student, step, terms)

    return counting


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    Student.count = _stopping(Student.count)  # type: ignore[method-assign]
    main()
