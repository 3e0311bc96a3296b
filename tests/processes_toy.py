"""A training stage of toys, in float64, in as many processes as params.yaml says. Run it in the folder of the squares.

It writes when each process starts, and from which snapshot. If there is one process, and `batch_norm` is local, batch
norm uses separate statistics for each half of a batch, as two processes do.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from squares import optimisation, run_together
from torch import Tensor

from facedistill.entry import guard
from facedistill.learning import model_files
from facedistill.learning.losses.equation5 import Equation5
from facedistill.learning.parameters import ProcessParams, SnapshotParams
from facedistill.learning.teachers import Guide
from facedistill.params import load
from facedistill.recipe import Recipe
from stages import common

ROUNDS = {
    "softmax": {
        "soft_hidden": Recipe("softmax", alpha=1, beta=1),
        "weighted": Recipe("softmax", alpha=1, beta=1, psi="normalised", weighting=0.5),
        "hint": Recipe("none", beta=1, psi="hint"),
        "attention": Recipe("softmax", beta=1, psi="attention"),
        "rkd": Recipe("softmax", beta=25, psi="rkd"),
        "cckd": Recipe("softmax", beta=100, psi="cckd"),
        "similarity": Recipe("softmax", beta=100, psi="own_parts:similarity"),
        "projected": Recipe("own_parts:smoothed", beta=1, psi="own_parts:Projected"),
    },
    "next": {"after": Recipe("softmax", alpha=1, start="soft_hidden")},
    "triplet": {"triplet": Recipe("triplet", beta=1), "triplet_softmax": Recipe("triplet_softmax", alpha=1)},
    "landmarks": {"landmarks": Recipe("landmarks", alpha=1, beta=1)},
    "arcface": {"arcface": Recipe("arcface"), "shrunk": Recipe("own_parts:Shrunk")},
}
TEACHER = Path("models/teacher/classification")


def main() -> None:
    newest = max((file.name[:9] for file in Path(".resume").glob("*/*-*.safetensors")), default="none")
    with Path(f"starts{os.environ.get('RANK', '')}").open("a") as starts:
        starts.write(f"{newest}\n")
    processes = load(ProcessParams, "processes")
    for name in sys.argv[1:]:
        run_together(
            {f"s/{key}": recipe for key, recipe in ROUNDS[name].items()},
            soft_teacher=Guide(TEACHER),
            hidden_teacher=Guide(TEACHER),
            processes=processes,
            snapshots=SnapshotParams(epochs=1, minutes=1e-9 if {"FAIL", "WAIT"} & os.environ.keys() else 10),
            optimisation=optimisation(epochs=1),
        )
    Path(f"modules{os.environ.get('RANK', '')}").write_text("\n".join(sys.modules))


def _halves(whole: Any) -> Any:
    def batch_norm(x: Tensor, mean: Tensor, var: Tensor, *others: Any) -> Tensor:
        training = others[2]
        if not training:
            return whole(x, mean, var, *others)  # type: ignore[no-any-return]
        statistics = [(mean.clone(), var.clone()) for _ in range(2)]
        parts = [whole(part, *own, *others) for part, own in zip(x.chunk(2), statistics, strict=True)]
        for found, *halves in zip((mean, var), *statistics, strict=True):
            found.copy_(sum(halves) / 2)
        return torch.cat(parts)

    return batch_norm


def _fail(forward: Any) -> Any:
    """Return a `forward` of Equation5 that fails at call FAIL in the process of rank FAIL_IN, in the way of FAIL_BY.

    That is to raise an error, to kill itself, or to lose its machine: to kill its launcher too.
    """
    left = int(os.environ["FAIL"])

    def failing(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and os.environ.get("RANK", "") == os.environ["FAIL_IN"]:
            if os.environ["FAIL_BY"] == "raise":
                raise LookupError("what this process alone found")
            if os.environ["FAIL_BY"] == "lose":
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return forward(*arguments)

    return failing


def _slow(save: Any) -> Any:
    """Return a slow `model_files.save`, so that other processes would read the file too early if they did not wait."""

    def slow(model: Path, *arguments: Any) -> None:
        time.sleep(2 if model.name == "soft_hidden" else 0)
        save(model, *arguments)

    return slow


if __name__ == "__main__":
    model_files.save = _slow(model_files.save)
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    if "RANK" not in os.environ and load(ProcessParams, "processes").batch_norm == "local":
        F.batch_norm = _halves(F.batch_norm)
    if "FAIL" in os.environ and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        Equation5.forward = _fail(Equation5.forward)  # type: ignore[method-assign]
    if "WAIT" in os.environ:
        from facedistill.learning.processes import launching

        launching.HEARTBEAT_SECONDS = launching.REGROUP_SECONDS = int(os.environ["WAIT"])
    guard()  # as a stage does under `python -m`
    # The toy's params.yaml has `processes` only.
    with patch("stages.common.check_file"):
        common.run_together(main)
