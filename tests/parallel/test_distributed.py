"""Several processes train the same as one, and go on from a snapshot of another number of processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from processes import assert_alike, begin, end, failure, parameters
from processes_toy import ROUNDS
from squares import SIDE
from torch import nn
from torch._C._distributed_c10d import HashStore
from torch.nn.parallel import DistributedDataParallel

from facedistill.crops.shards import Crops
from facedistill.entry import REPORT
from facedistill.learning import model_files
from facedistill.learning.batches import ShuffledBatches, as_batch, centre_batches
from facedistill.learning.losses.equation5 import Targets
from facedistill.learning.networks import FaceNetwork, Outputs
from facedistill.learning.parameters import NetworkParams, ProcessParams
from facedistill.learning.processes import distributed
from facedistill.learning.processes.distributed import ShardSampler
from facedistill.learning.student import Objective
from facedistill.params import ParamsError, check

CELLS = [name for recipes in ROUNDS.values() for name in recipes]


@pytest.fixture(scope="module")
def one(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(start, tmp_path_factory.mktemp("runs") / "one"))
    parameters(folder, 1)
    end(begin(folder, *ROUNDS))
    return folder


@pytest.fixture(scope="module")
def two(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(start, tmp_path_factory.mktemp("runs") / "two"))
    parameters(folder, 2)
    assert end(begin(folder, *ROUNDS)) == ""
    return folder


@pytest.mark.parametrize("cell", CELLS)
def test_two_processes_with_half_the_batch_each_train_as_one(one: Path, two: Path, cell: str) -> None:
    assert_alike(one, two, cell)
    assert model_files.read_record(two / "models/s" / cell)["processes"] == 2


@pytest.mark.parametrize("name", ["softmax", "triplet"])
def test_synchronised_batch_norm_in_two_processes_is_that_of_the_whole_batch(
    start: Path, tmp_path: Path, name: str
) -> None:
    one, two = (Path(shutil.copytree(start, tmp_path / folder)) for folder in ("one", "two"))
    for devices, folder in ((1, one), (2, two)):
        parameters(folder, devices, batch_norm="sync")
        end(begin(folder, name))
    for cell in ROUNDS[name]:
        assert_alike(one, two, cell)


def test_what_they_trained_is_measured_exactly_alike(one: Path, two: Path) -> None:
    images = next(iter(centre_batches(Crops(one / "data/crops/faces", "test"), SIDE, 64))).images
    for cell in CELLS:
        first, second = (model_files.load(folder / "models/s" / cell).eval()(images) for folder in (one, two))
        if first.logits is not None:
            assert second.logits is not None
            assert torch.equal(first.logits.argmax(1), second.logits.argmax(1))
        nearest = [
            torch.cdist(found.hidden, found.hidden).fill_diagonal_(torch.inf).argmin(1) for found in (first, second)
        ]
        assert torch.equal(*nearest)


def test_weights_without_a_gradient_stay_where_they_began(two: Path) -> None:
    torch.manual_seed(0)
    hint = model_files.load_state(two / "models/s/hint")
    # The last stage is behind the hint: its first random weights, in float64 as the toy draws them.
    torch.set_default_dtype(torch.float64)
    try:
        fresh = FaceNetwork(NetworkParams("resnet50", divisor=32)).state_dict()
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(hint["trunk.layer4.0.conv1.weight"], fresh["trunk.layer4.0.conv1.weight"])
    assert not torch.equal(hint["trunk.layer1.0.conv1.weight"], fresh["trunk.layer1.0.conv1.weight"])


def test_one_process_imports_nothing_of_it(one: Path, two: Path) -> None:
    elastic, ours = "torch.distributed.elastic", "facedistill.learning.processes.distributed"
    assert not {elastic, ours} & set((one / "modules").read_text().split())
    assert ours in (two / "modules1").read_text().split()


def test_a_stopped_run_goes_on_in_another_number_of_processes_and_each_end_is_told(
    start: Path, one: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(start, tmp_path / "stopped"))
    parameters(folder, 1)
    assert "what this process alone found" in failure(folder, "triplet", fail=(3, "", "raise"))
    parameters(folder, 2, restarts=0)
    said = failure(folder, "triplet", fail=(3, "1", "raise"))
    assert said.startswith("process 1 of 2: Traceback")
    assert said.endswith(f"LookupError: what this process alone found\n{REPORT}\n")
    assert "gloo" not in said
    # From the first snapshot it took a step more: from the beginning it would have taken one.
    assert list(folder.glob(".resume/*/000000002-*.safetensors"))
    said = failure(folder, "triplet", fail=(1, "1", "kill"))
    assert said.startswith("process 1 of 2: killed by SIGKILL")
    parameters(folder, 1)
    end(begin(folder, "triplet"))
    for cell in ROUNDS["triplet"]:
        assert_alike(one, folder, cell)


def test_shards_are_the_whole_batch_in_its_order() -> None:
    whole = ShuffledBatches(50, 12, seed=0)
    shards = [ShardSampler(whole, rank, 3) for rank in range(3)]
    assert [[key for shard in batch for key in shard] for batch in zip(*shards, strict=True)] == list(whole)
    assert [len(shard) for shard in shards] == [4, 4, 4]
    whole.skip = 3
    assert len(list(shards[0])) == 1


@pytest.mark.parametrize("count", [5, 12, 24])
def test_a_batch_without_equal_parts_is_refused(count: int) -> None:
    with pytest.raises(ParamsError, match=f"batch of 12 crops has no {count} equal parts of two or more"):
        ShardSampler(ShuffledBatches(50, 12, seed=0), 0, count)


class OfHidden(nn.Module):
    """In place of Equation 5: half of K, drawn at random, squared."""

    negatives = None

    def forward(self, outputs: Outputs, *_others: object) -> dict[str, torch.Tensor]:
        return {"loss": nn.functional.dropout(outputs.hidden, 0.5).square().mean()}


class Unwrapped(DistributedDataParallel):
    """In place of the wrapper, which would hold a reference to the group after its end: the module itself."""

    def __new__(cls, module: nn.Module, **_options: object) -> nn.Module:  # type: ignore[misc]
        return module


@pytest.fixture
def alone_in_a_group() -> Iterator[None]:
    dist.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("architecture", ["resnet50", "inception_resnet"])
def test_synchronised_batch_norm_takes_the_place_of_every_other(
    alone_in_a_group: None, monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    """In a group of one it is PyTorch's batch norm, also with the activations that batch norms of timm contain."""
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setattr(distributed, "DistributedDataParallel", Unwrapped)
    network = FaceNetwork(check(NetworkParams, {"architecture": architecture}, "p")).double()
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    plain = deepcopy(network)
    process = distributed.DistributedProcess(ProcessParams(devices=1, nodes=1, endpoint=None, batch_norm="sync"))
    process.objective(Objective(network, OfHidden(), "fp32"))  # type: ignore[arg-type]
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert len(norms) > 50
    assert all("forward" in vars(norm) for norm in norms)
    images = torch.randint(0, 256, (4, 3, 96, 96), dtype=torch.uint8)
    for model in (network, plain):
        torch.manual_seed(0)
        model.train()(images).hidden.square().sum().backward()
    gradients = [
        (name, ours.grad, theirs.grad)
        for (name, ours), theirs in zip(network.named_parameters(), plain.parameters(), strict=True)
        if theirs.grad is not None
    ]
    largest = max(float(theirs.abs().max()) for _, _, theirs in gradients)
    for name, ours, theirs in gradients:
        # Where a batch norm follows, the gradient of a bias is 0 but for rounding.
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-10 * largest, msg=name)
    for (name, found), expected in zip(network.state_dict().items(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(found, expected, msg=name)
    plain.load_state_dict(network.state_dict())
    assert torch.equal(network.eval()(images).hidden, plain.eval()(images).hidden)


def test_a_batch_that_does_not_divide_among_those_that_are_left_says_so(
    alone_in_a_group: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    params = ProcessParams(devices=1, nodes=2, endpoint="first:29400", batch_norm="sync")
    with pytest.raises(ParamsError, match="processes: 1 of 2 are left, and a batch of 1 crops has no 1 equal parts"):
        distributed.DistributedProcess(params).shard(ShuffledBatches(50, 1, seed=0))


def test_dropout_differs_by_process_and_leaves_one_random_state(alone_in_a_group: None) -> None:
    network = FaceNetwork(NetworkParams("resnet50", divisor=32))
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    batch = as_batch(images.permute(0, 2, 3, 1).numpy(), [0] * 4, torch.zeros(4, 5, 2), [0] * 4)
    losses, states = [], []
    for rank in (0, 0, 1):
        loss = distributed._FullBatchLoss(Objective(network, OfHidden(), "fp32"), rank, 1, True)  # type: ignore[arg-type]
        torch.manual_seed(5)
        losses.append(loss(batch, Targets(None, None))["loss"].item())
        states.append(torch.get_rng_state())
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(states[0], states[2])


def test_several_machines_need_a_place_to_meet() -> None:
    values = {"devices": 1, "nodes": 2, "endpoint": None, "batch_norm": "sync"}
    with pytest.raises(ParamsError, match="nodes: 2 with endpoint: None"):
        check(ProcessParams, values, "p")
    with pytest.raises(ParamsError, match="endpoint"):
        check(ProcessParams, values | {"endpoint": "no port"}, "p")
