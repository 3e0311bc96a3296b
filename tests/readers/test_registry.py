"""Every architecture by its name: shapes, a training step, published sizes and costs, folding, and the cosine head."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from facedistill.learning import model_files
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.networks.face_network import CosineHead
from facedistill.learning.networks.fold import fold_batch_norm
from facedistill.learning.networks.registry import build_trunk
from facedistill.learning.networks.trunk import Trunk
from facedistill.learning.parameters import Architecture, NetworkParams
from facedistill.params import ParamsError, check

ARCHITECTURES = get_args(Architecture)
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


def params(architecture: str, embedding: int = 0) -> NetworkParams:
    """The smallest network of this architecture."""
    return NetworkParams(architecture, 16 if architecture == "resnet50" else 1, embedding)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@cache
def without_data(architecture: str) -> Trunk:
    """At full size, on a device that computes shapes and nothing else."""
    with torch.device("meta"):
        return build_trunk(NetworkParams(architecture)).eval()


def multiply_adds(trunk: Trunk, height: int, width: int) -> float:
    """In millions, a library's count."""
    with FlopCounterMode(display=False) as counter:
        trunk(torch.empty(1, 3, height, width, device="meta"))
    return float(counter.get_total_flops()) / 2e6


@every_architecture
def test_trains_a_step_at_a_small_side(architecture: str) -> None:
    torch.manual_seed(0)
    network = FaceNetwork(params(architecture), classes=3)
    trunk = network.trunk
    assert isinstance(trunk, Trunk)
    side = max(32, trunk.smallest_side)
    seen: list[torch.Tensor] = []
    for stage in getattr(trunk, "stages", None) or [getattr(trunk, f"layer{i}") for i in range(1, 5)]:
        stage.register_forward_hook(lambda _module, _inputs, output: seen.append(output.clone()))
    outputs = network(torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8))

    sides = [m.shape[-1] for m in outputs.maps]
    assert sides == sorted(set(sides), reverse=True)
    assert tuple(m.shape[1] for m in outputs.maps) == trunk.map_widths
    assert outputs.hidden.shape == (3, trunk.width)
    assert torch.allclose(outputs.hidden, outputs.maps[-1].mean((2, 3)), rtol=1e-4, atol=1e-5)
    # A layer that works in place would change the map that came before it.
    assert all(torch.equal(a, b) for a, b in zip(seen, outputs.maps, strict=True))

    loss = F.cross_entropy(outputs.logits, torch.arange(3))
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize(
    ("architecture", "published", "classifier"),
    [
        ("resnet50", 25_557_032, 2048 * 1000 + 1000),
        ("squeezenet", 1_235_496 + 2 * 2_944, 512 * 1000 + 1000),  # and batch norm on its 2,944 channels
        ("mobilenet", 3_504_872, 1280 * 1000 + 1000),
        ("shufflenet", 2_278_604, 1024 * 1000 + 1000),
        ("densenet", 7_978_856, 1024 * 1000 + 1000),
        ("inception_resnet", 55_843_464, 1536 * 1000 + 1000),
    ],
)
def test_parameters_are_the_published_ones_without_the_classifier(
    architecture: str, published: int, classifier: int
) -> None:
    input_norm = 6
    assert parameters(without_data(architecture)) == published - classifier + input_norm


@pytest.mark.parametrize(
    ("architecture", "side", "published", "classifier"),
    [
        ("resnet50", 224, 4_100, 2.048),
        ("squeezenet", 224, 350, 512 * 1000 * 13 * 13 / 1e6),  # a convolution on its last map
        ("mobilenet", 224, 300, 1.28),
        ("shufflenet", 224, 146, 1.024),
        ("densenet", 224, 2_830, 1.024),
        ("inception_resnet", 299, 13_180, 1.536),
    ],
)
def test_multiply_adds_are_the_published_ones(
    architecture: str, side: int, published: float, classifier: float
) -> None:
    assert multiply_adds(without_data(architecture), side, side) + classifier == pytest.approx(published, rel=0.05)


class TestFujitsuPoster:
    """Its Table 1, at the 112 x 96 of Wen et al.: multiply-adds in millions, and MiB of float32 weights."""

    @pytest.mark.parametrize(("architecture", "printed"), [("resnet27", 2049), ("conv5", 570)])
    def test_multiply_adds_are_those_printed(self, architecture: str, printed: float) -> None:
        assert multiply_adds(without_data(architecture), 112, 96) == pytest.approx(printed, rel=0.05)

    @pytest.mark.parametrize(
        ("architecture", "flattened", "classes", "printed"),
        [("resnet27", 512 * 5 * 4, 10_575, 126), ("conv5", 768 * 3 * 3, 0, 27)],
    )
    def test_sizes_are_those_printed_with_the_layer_that_pooling_replaces(
        self, architecture: str, flattened: int, classes: int, printed: float
    ) -> None:
        weights = parameters(without_data(architecture)) + flattened * 512 + 512 * classes
        assert weights * 4 / 2**20 == pytest.approx(printed, rel=0.01)

    @pytest.mark.parametrize(
        ("architecture", "layers"), [("resnet27_thin", 27), ("resnet43_thin", 43), ("resnet53_thin", 53)]
    )
    def test_thinner_deeper_ones_cost_a_quarter_of_the_teacher(self, architecture: str, layers: int) -> None:
        teacher, student = without_data("resnet27"), without_data(architecture)
        assert sum(isinstance(module, nn.Conv2d) for module in student.modules()) == layers
        assert multiply_adds(student, 112, 96) / multiply_adds(teacher, 112, 96) == pytest.approx(1 / 4, rel=0.05)


@every_architecture
def test_the_smallest_side_works_and_nothing_below_it_does(architecture: Architecture) -> None:
    trunk = without_data(architecture)
    side = trunk.smallest_side
    assert side == NetworkParams(architecture).smallest_input, "the parameters are checked without torch"
    assert side <= (75 if architecture == "inception_resnet" else 32)
    assert trunk(torch.empty(1, 3, side, 224, device="meta")).hidden.shape == (1, trunk.width)
    if side > 1:
        smaller = torch.empty(1, 3, side - 1, 224, device="meta")
        with pytest.raises(ValueError, match=f"needs images of {side} px or more, found 224 x {side - 1}"):
            trunk(smaller)
        with pytest.raises(RuntimeError):
            trunk.maps(smaller)


@every_architecture
def test_a_folded_trunk_is_the_same_function(architecture: str) -> None:
    torch.manual_seed(0)
    trunk = build_trunk(params(architecture))
    side = max(32, trunk.smallest_side)
    images = torch.rand(4, 3, side, side) * 255
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    with torch.no_grad():
        trunk(images)  # moves every running mean and variance away from 0 and 1
        trunk.eval()
        expected = trunk(images)
        fold_batch_norm(trunk)
        folded = trunk(images)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in trunk.modules())
    # DenseNet's first in each of 58 layers, in 3 transitions and the last stand before a convolution or none.
    assert norms == (1 + 58 + 3 + 1 if architecture == "densenet" else 1)
    for a, b in zip((folded.hidden, *folded.maps), (expected.hidden, *expected.maps), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


def test_an_embedding_is_a_linear_layer_on_the_pooled_map_and_then_the_hidden_layer() -> None:
    network = FaceNetwork(params("conv5", embedding=24), classes=5, landmarks=True).eval()
    outputs = network(torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8))
    assert network.trunk.width == 24
    assert isinstance(network.trunk, Trunk)
    layer = network.trunk.embedding
    assert layer is not None
    expected = outputs.maps[-1].mean((2, 3)) @ layer.weight.T + layer.bias
    assert torch.allclose(outputs.hidden, expected, rtol=1e-4, atol=1e-5)
    assert outputs.logits is not None
    assert outputs.logits.shape == (2, 5)


def test_cosine_logits_are_the_scaled_cosines_also_under_autocast() -> None:
    torch.manual_seed(0)
    head, hidden = CosineHead(16, 5, scale=64.0), torch.randn(3, 16) * 10
    h, w = hidden.double(), head.weight.detach().double()
    expected = torch.tensor([[64 * (a @ b) / (a.norm() * b.norm()) for b in w] for a in h])
    with torch.autocast("cpu", torch.bfloat16):
        found = head(hidden)
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), expected, atol=1e-4)
    assert list(head.state_dict()) == ["weight"]
    with torch.no_grad():
        head.weight *= torch.rand(5, 1) + 0.5
    assert torch.allclose(head(hidden * 3), found, atol=1e-4)


def test_a_cosine_network_comes_back_from_the_disk(tmp_path: Path) -> None:
    network = FaceNetwork(params("resnet50", embedding=8), classes=4, scale=30.0).eval()
    model_files.save(tmp_path, network, {})
    loaded = model_files.load(tmp_path).eval()
    assert (loaded.scale, loaded.params, loaded.classes) == (30.0, network.params, 4)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    before, after = network(images), loaded(images)
    assert torch.equal(before.hidden, after.hidden)
    assert torch.equal(before.logits, after.logits)
    assert before.logits.abs().max() <= 30.001


def test_a_start_with_another_embedding_is_refused(tmp_path: Path) -> None:
    for saved, wanted in ((8, 0), (8, 16)):
        model_files.save(tmp_path, FaceNetwork(params("resnet50", saved)), {})
        with pytest.raises(model_files.ModelError, match="not the same trunk"):
            model_files.warm_start(FaceNetwork(params("resnet50", wanted)), tmp_path)


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "resnet50"])
def test_a_divisor_of_another_architecture_is_refused(architecture: str) -> None:
    with pytest.raises(ParamsError, match=f"students.s.*only resnet50 has a divisor, not {architecture}"):
        check(NetworkParams, {"architecture": architecture, "divisor": 2}, "params.yaml: students.s")


def test_torchvision_and_timm_are_imported_only_to_build_a_network_of_theirs() -> None:
    """They take seconds to import, in each of a hundred stages."""
    for file in (Path(__file__).parents[2] / "facedistill/learning/networks").glob("*.py"):
        assert not re.search(r"^(from|import) (torchvision|timm)", file.read_text(encoding="utf-8"), re.MULTILINE), file
