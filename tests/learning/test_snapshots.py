"""A training run that is stopped at any step and goes on gives the same bits as an undisturbed run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from squares import SIDE, optimisation, run_together, weights

from facedistill.learning import model_files
from facedistill.learning.batches import Batch
from facedistill.learning.losses.equation5 import Equation5
from facedistill.learning.nesterov import Nesterov
from facedistill.learning.parameters import NetworkParams, SnapshotParams, TaskParams
from facedistill.learning.student import Objective
from facedistill.learning.teachers import Guide
from facedistill.recipe import Recipe

EVERY_STEP = SnapshotParams(epochs=1, minutes=1e-9)
FOLDER = Path(".resume")
EPOCH = 3
"""Steps of an epoch: 48 squares in batches of 16."""


class Stopped(BaseException):
    pass


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stop the run in the middle of a step, counted over all students from 1."""

    def at(call: int | None) -> None:
        calls, forward = 0, Equation5.forward

        def counting(self: Equation5, *arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call:
                raise Stopped
            return forward(self, *arguments)

        monkeypatch.setattr(Equation5, "__call__", counting)

    return at


def saved() -> list[Path]:
    return sorted(FOLDER.glob("*/*.safetensors"))


def undisturbed(recipes: dict[str, Recipe], **given: Any) -> dict[str, bytes]:
    """The files of a run that nothing stops. It leaves no snapshots behind."""
    run_together(recipes, **given)
    for left in saved():
        left.unlink()
    return files("s")


def teacher() -> dict[str, Guide]:
    run_together({"teacher/classification": Recipe(phi="softmax")}, network=NetworkParams("resnet50", divisor=16))
    folder = Path("models/teacher/classification")
    return {"soft_teacher": Guide(folder), "hidden_teacher": Guide(folder)}


def files(folder: str) -> dict[str, bytes]:
    found = (file for file in (Path("models") / folder).rglob("*") if file.is_file())
    return {str(file.relative_to(Path("models") / folder)): file.read_bytes() for file in found}


RECIPES = {
    "shuffled": {"soft": Recipe(phi="softmax", alpha=1), "hint": Recipe(phi="none", beta=1, psi="hint")},
    "triplets": {"hidden": Recipe(phi="triplet", beta=1), "weighted": Recipe(phi="triplet_softmax", weighting=0.5)},
}


@pytest.mark.parametrize("kind", RECIPES)
@pytest.mark.parametrize("call", [1, 2, 5, 2 * EPOCH, 2 * EPOCH + 1, 2 * EPOCH + 4])
def test_a_stopped_run_becomes_the_same_files(workspace: Path, stop: Any, kind: str, call: int) -> None:
    recipes, asked = RECIPES[kind], teacher()
    alone = undisturbed({f"s/{name}": recipe for name, recipe in recipes.items()}, **asked)
    stop(call)
    with pytest.raises(Stopped):
        run_together({f"s/{name}": recipe for name, recipe in recipes.items()}, **asked, snapshots=EVERY_STEP)
    stop(None)
    run_together({f"s/{name}": recipe for name, recipe in recipes.items()}, **asked, snapshots=EVERY_STEP)
    assert files("s") == alone


@pytest.mark.parametrize("step", [1, EPOCH, 2 * EPOCH])
def test_sigterm_ends_a_run_after_the_step_that_it_is_in(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: int
) -> None:
    """A batch system sends it some time before it kills. Without it the next snapshot is minutes away."""
    recipe, seldom = {"s/softmax": Recipe(phi="softmax")}, SnapshotParams(epochs=100, minutes=100)
    alone, calls, forward = undisturbed(recipe), count(1), Equation5.forward

    def asked_to_end(self: Equation5, *arguments: Any) -> Any:
        if next(calls) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Equation5, "forward", asked_to_end)
        with pytest.raises(SystemExit) as ended:
            run_together(recipe, snapshots=seldom, workspace=Path("elsewhere"))
    assert ended.value.code == 128 + signal.SIGTERM
    assert f"stopped by SIGTERM after step {step}; the next run goes on from there" in capsys.readouterr().err
    assert [file.name.split("-")[0] for file in Path("elsewhere").rglob("*.safetensors")] == [f"{step:09d}"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    run_together(recipe, snapshots=seldom, workspace=Path("elsewhere"))
    assert files("s") == alone


def test_a_run_that_was_done_is_taken_as_it_is(workspace: Path, stop: Any) -> None:
    run_together({"s/softmax": Recipe(phi="softmax")})
    before = files("s")
    stop(1)
    run_together({"s/softmax": Recipe(phi="softmax")})
    assert files("s") == before


def test_dropout_goes_on_with_the_random_numbers_that_it_left(
    workspace: Path, stop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, forward = {"s/softmax": Recipe(phi="softmax")}, Objective.forward
    run_together(recipe)
    without = files("s")
    shutil.rmtree(FOLDER)

    def dropping(self: Objective, batch: Batch, targets: Any) -> Any:
        return forward(self, batch._replace(images=torch.dropout(batch.images.float(), 0.2, True)), targets)

    monkeypatch.setattr(Objective, "forward", dropping)
    alone = undisturbed(recipe)
    assert alone != without
    stop(3)
    with pytest.raises(Stopped):
        run_together(recipe, snapshots=EVERY_STEP)
    torch.rand(5)
    stop(None)
    run_together(recipe, snapshots=EVERY_STEP)
    assert files("s") == alone


def test_two_are_kept_and_a_damaged_one_falls_back_to_the_one_before(
    workspace: Path, stop: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = {"s/softmax": Recipe(phi="softmax")}
    alone = undisturbed(recipe)
    stop(6)
    with pytest.raises(Stopped):
        run_together(recipe, snapshots=EVERY_STEP)
    assert [int(file.name.split("-")[0]) for file in saved()] == [4, 5]
    newest = saved()[-1]
    newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    stop(None)
    run_together(recipe, snapshots=EVERY_STEP)
    assert re.search(rf"{newest.name}: damaged \(.*sha256.*going on from the one before", capfd.readouterr().err)
    assert files("s") == alone


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"optimisation": optimisation(learning_rate=0.02)},
        {"network": NetworkParams("resnet50", divisor=16)},
        {"task": TaskParams("softmax", "faces", SIDE, 8, 0)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_run_never_goes_on_with_what_another_began(workspace: Path, change: dict[str, Any]) -> None:
    recipe = {"s/softmax": Recipe(phi="softmax")}
    alone = undisturbed(recipe, **change)
    run_together(recipe)
    run_together(recipe, **change)
    assert files("s") == alone


def test_other_starting_weights_are_another_run(workspace: Path) -> None:
    recipe = {"s/ours": Recipe(phi="softmax", start="softmax")}
    trained = []
    for seed in (0, 1):
        run_together({"s/softmax": Recipe(phi="softmax")}, seed=seed)
        run_together(recipe)
        trained.append(weights("s/ours")["trunk.conv1.weight"])
    assert not torch.equal(*trained)
    assert model_files.read_record(Path("models/s/ours"))["seed"] == 0


def test_momenta_of_a_part_of_the_weights_come_back_to_their_own() -> None:
    frozen, used = torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)
    first, second = (Nesterov([frozen, used], momentum=0.9, weight_decay=0.0) for _ in range(2))
    assert first.momenta() == {}
    used.sum().backward()  # type: ignore[no-untyped-call]
    first.step(0.1)
    second.restore(first.momenta())
    assert second.weights[0] is used
    assert torch.equal(second.buffers[0], first.buffers[0])


def test_a_snapshot_has_the_state_at_its_save_however_long_its_writing_takes(
    workspace: Path, stop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {"s/softmax": Recipe(phi="softmax")}
    alone = undisturbed(recipe)
    order: list[str] = []

    def slow(*arguments: Any) -> None:
        order.append("begun")
        time.sleep(0.3)
        save_file(*arguments)
        order.append("done")

    stop(5)
    with monkeypatch.context() as patch:
        patch.setattr("facedistill.learning.snapshots.save_file", slow)
        with pytest.raises(Stopped):
            run_together(recipe, snapshots=EVERY_STEP)
    assert order == ["begun", "done"] * 4
    assert [int(file.name.split("-")[0]) for file in saved()] == [3, 4]
    stop(None)
    run_together(recipe, snapshots=EVERY_STEP)
    assert files("s") == alone


@pytest.mark.parametrize(("params", "steps"), [(EVERY_STEP, 2), (SnapshotParams(epochs=2, minutes=10), 2 * EPOCH)])
def test_an_error_of_writing_ends_the_run_at_the_next_save_or_at_its_end(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, params: SnapshotParams, steps: int
) -> None:
    taken, forward = count(), Equation5.forward

    def counting(self: Equation5, *arguments: Any) -> Any:
        next(taken)
        return forward(self, *arguments)

    def full(part: Path, file: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Equation5, "forward", counting)
    monkeypatch.setattr("facedistill.learning.snapshots.rename_whole", full)
    with pytest.raises(OSError, match=r"No space left on device: '\.resume/\w+/\.0000"):
        run_together({"s/softmax": Recipe(phi="softmax")}, snapshots=params)
    assert next(taken) == steps
    assert not Path("models/s/softmax/model.safetensors").exists()


def test_an_error_of_the_run_is_shown_before_an_error_of_writing(
    workspace: Path, stop: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(part: Path, file: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("facedistill.learning.snapshots.rename_whole", full)
    stop(2)
    with pytest.raises(Stopped):
        run_together({"s/softmax": Recipe(phi="softmax")}, snapshots=EVERY_STEP)
    assert "warning: the last snapshot was not saved: [Errno 28] No space left" in capsys.readouterr().err
