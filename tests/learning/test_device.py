"""The device: float32 is float32 on it, and training neither leaves it nor waits for it.

No GPU is needed. Fake tensors have a device, a shape and a type, but no values. An operation that mixes devices fails,
and so does one that has to read a value from the device, such as `item` or `nonzero`: a GPU would wait there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch._dynamo
from equation import EQUATION
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from facedistill.grid.layout import Layout
from facedistill.learning import model_files
from facedistill.learning.batches import as_batch
from facedistill.learning.curves import Curves
from facedistill.learning.device import autocast
from facedistill.learning.losses.equation5 import Equation5, Targets
from facedistill.learning.nesterov import Nesterov
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.networks.registry import TRUNKS
from facedistill.learning.parameters import NetworkParams
from facedistill.learning.student import Objective, Student
from facedistill.learning.teachers import Online
from facedistill.recipe import Recipe

ROOT = Path(__file__).parents[2]
PEOPLE, CROPS, WIDTH = 12, 8, 64
OTHERS = {"triplet": Recipe("triplet", beta=1), "triplet_softmax": Recipe("triplet_softmax", alpha=1)}
OTHERS |= {"landmarks": Recipe("landmarks", beta=1), "cosface": Recipe("cosface", weighting=0.5)}


def recipes() -> dict[str, Recipe]:
    """Every recipe of the default, and the tasks of the transfers."""
    layout = Layout.read(ROOT / "params.yaml")
    found = {f"{g.name}/{name}": recipe for g in layout.groups.values() for name, recipe in g.recipes.items()}
    return found | OTHERS


def test_float32_is_float32_where_a_container_asks_for_less() -> None:
    """NVIDIA's images set this variable: then products of float32 are of ten bits, also those of cosines."""
    code = """
import torch
import torch._dynamo
from facedistill.learning.device import choose_device
flags = torch.backends.cuda.matmul
before = flags.allow_tf32
choose_device()
print(before, flags.allow_tf32, torch.backends.cudnn.allow_tf32, flags.allow_bf16_reduced_precision_reduction)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.stdout.split() == ["True", "False", "False", "False"], ran.stderr


@pytest.mark.parametrize(
    "network", [NetworkParams("resnet50", 8), NetworkParams("densenet")], ids=["resnet50", "densenet"]
)
def test_a_frozen_teacher_in_bf16_is_what_autocast_makes_of_it(tmp_path: Path, network: NetworkParams) -> None:
    """Bit for bit: its weights are rounded once, and not in every step."""
    torch.manual_seed(0)
    model_files.save(tmp_path, FaceNetwork(network, PEOPLE), {})
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8).to(memory_format=torch.channels_last)
    batch = as_batch(images.permute(0, 2, 3, 1).numpy(), [0] * 4, torch.zeros(4, 5, 2), [0] * 4)
    cpu, found = torch.device("cpu"), []
    for precision in ("fp32", "bf16"):
        teacher = Online(tmp_path, cpu, precision)
        with torch.no_grad(), autocast(cpu, "bf16"):
            found.append(teacher(batch))
    assert {part.dtype for part in teacher.network.trunk.parameters()} >= {torch.bfloat16}
    assert torch.equal(found[0].hidden, found[1].hidden)
    assert torch.equal(found[0].logits, found[1].logits)  # type: ignore[arg-type]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """A GPU that has no values."""
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda *_, **__: True)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda *_: (9, 0))
    with FakeTensorMode(), torch.device("cuda"):
        yield torch.device("cuda")


def student_of(recipe: Recipe, architecture: str = "resnet50", side: int = 48, backward: bool = False) -> None:
    """Take a training step of a recipe, on the device that is the default one."""
    margin = recipe.margin_softmax or recipe.classifier == "teacher"
    points = "landmarks" in recipe.phi_terms
    shape = (8 if architecture == "resnet50" else 1, WIDTH)
    network, teacher = (
        FaceNetwork(NetworkParams(name, divisor, shape[1]), PEOPLE, points, 16.0 if margin else 0.0)
        for name, divisor in ((architecture, shape[0]), ("resnet50", 8))
    )
    loss = Equation5(recipe, EQUATION, network, teacher.trunk)
    images = torch.empty(CROPS, 3, side, side, dtype=torch.uint8).to(memory_format=torch.channels_last)
    labels, landmarks = torch.empty(CROPS, dtype=torch.int64), torch.empty(CROPS, 5, 2)
    with torch.autocast(images.device.type, torch.bfloat16):
        with torch.no_grad():
            said = teacher(images)
        outputs = network(images)
    terms = loss(outputs, labels, landmarks, Targets(said, said))
    optimiser = Nesterov([*network.parameters(), *loss.parameters()], 0.9, 1e-4)
    if backward:
        terms["loss"].backward()
        torch.nn.utils.clip_grad_norm_(optimiser.weights, 5.0)
        optimiser.step(0.1)
    student = Student("s", network, loss, lambda *_: terms, optimiser, Curves(None, 1))
    student.count(1, terms)
    assert student.totals is not None
    assert student.totals.device.type == images.device.type
    assert terms["loss"].shape == ()


@pytest.mark.parametrize("name", recipes())
def test_no_recipe_leaves_the_gpu_or_waits_for_it(gpu: torch.device, name: str) -> None:
    student_of(recipes()[name])


@pytest.mark.parametrize("name", recipes())
def test_a_whole_step_of_no_recipe_reads_a_value(name: str) -> None:
    with FakeTensorMode():
        student_of(recipes()[name], backward=True)


@pytest.mark.parametrize("architecture", list(TRUNKS))
def test_no_architecture_leaves_the_gpu_or_waits_for_it(gpu: torch.device, architecture: str) -> None:
    student_of(Recipe("softmax", alpha=1), architecture, side=96)


def test_what_leaves_the_gpu_or_waits_is_found(gpu: torch.device) -> None:
    there = torch.empty(3)
    with pytest.raises(RuntimeError, match=r"cuda:0"):
        there + torch.empty(3, device="cpu")
    with pytest.raises(DataDependentOutputException):
        there.sum().item()
    with pytest.raises(DynamicOutputShapeException):
        there.nonzero()


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("softmax", alpha=1, beta=1, psi="attention"),
        Recipe("softmax", alpha=1, beta=1, psi="normalised", weighting=0.5),
        Recipe("arcface", beta=25, psi="rkd"),
        Recipe("triplet_softmax", beta=1),
    ],
    ids=lambda recipe: f"{recipe.phi}-{recipe.psi}",
)
def test_a_students_step_is_one_graph(recipe: Recipe) -> None:
    """So it can be compiled, or captured, as a whole."""
    network, teacher = (
        FaceNetwork(NetworkParams("resnet50", 16, WIDTH), PEOPLE, False, 16.0 if recipe.margin_softmax else 0.0)
        for _ in range(2)
    )
    objective = Objective(network, Equation5(recipe, EQUATION, network, teacher.trunk), "fp32")
    images = torch.randint(0, 256, (CROPS, 32, 32, 3), dtype=torch.uint8)
    batch = as_batch(images.numpy(), [0, 0, 1, 1, 2, 2, 3, 3], torch.zeros(CROPS, 5, 2), range(CROPS))
    with torch.no_grad():
        said = teacher(batch.images)
    found = torch._dynamo.explain(objective)(batch, Targets(said, said))
    assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons
