"""What training takes from params.yaml: the section of each, as a frozen dataclass. Needs no torch to be read."""

from __future__ import annotations

import math
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from facedistill.learning.augment import AugmentationParams
from facedistill.outside import OrOutside
from facedistill.params import params
from facedistill.recipe import MARGIN_SOFTMAX, PHI, PhiName

Architecture = Literal[
    "resnet50",
    "resnet27",
    "resnet27_thin",
    "resnet43_thin",
    "resnet53_thin",
    "conv5",
    "squeezenet",
    "mobilenet",
    "shufflenet",
    "densenet",
    "inception_resnet",
]

SMALLEST_INPUT: dict[str, int] = {
    "conv5": 16,
    "squeezenet": 17,
    "densenet": 29,
    **dict.fromkeys(("resnet27", "resnet27_thin", "resnet43_thin", "resnet53_thin"), 32),
    "inception_resnet": 75,
}

Precision = Literal["auto", "fp32", "bf16"]

Reduction = Literal["sum", "mean"]


@params
class TaskParams:
    """phi: the task's own loss. dataset: the crops that it trains on. input: side of the network's input, in pixels.

    batch: crops in a step; per_identity: how many of them show one person (0: as they come). embedding: width of the
    linear layer that every network of the task has over its pooled features, and that then is K; 0 for none.
    """

    phi: PhiName
    dataset: str
    input: Annotated[int, Field(ge=16)]
    batch: Annotated[int, Field(ge=2)]
    per_identity: Annotated[int, Field(ge=0)]
    embedding: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        if "triplet" in PHI[self.phi] and self.per_identity < 2:
            raise ValueError(f"per_identity: {self.per_identity} with phi: {self.phi}, which compares two or more")
        if self.per_identity and (self.batch % self.per_identity or self.batch < 2 * self.per_identity):
            raise ValueError(
                f"batch: {self.batch} with per_identity: {self.per_identity}; make the batch a multiple of it, of two "
                "people or more"
            )

    @property
    def margin_softmax(self) -> bool:
        """Whether its networks have a cosine classifier, which a margin on angles takes."""
        return self.phi in MARGIN_SOFTMAX


@params
class ArchitectureParams:
    """A network as params.yaml has it; the width of its K is the task's.

    architecture: a built-in name, or `module:attribute` for one of the user's own.
    divisor: ResNet-50/k has every layer's kernels divided by k; 1 for all other architectures.
    """

    architecture: Annotated[str, AfterValidator(OrOutside(get_args(Architecture)))]
    divisor: Annotated[int, Field(ge=1)] = 1

    def __post_init__(self) -> None:
        if self.divisor != 1 and self.architecture != "resnet50":
            raise ValueError(f"only resnet50 has a divisor, not {self.architecture}")
        if 64 % self.divisor:
            raise ValueError(f"divisor: {self.divisor} does not divide the 64 kernels of resnet50's first layer")

    @property
    def smallest_input(self) -> int:
        """Side in pixels of the smallest image of which its last map keeps something; 1 for one of the user's own."""
        return SMALLEST_INPUT.get(self.architecture, 1)


@params
class NetworkParams(ArchitectureParams):
    """A network as it is built.

    embedding: width of a linear layer after pooling, which then is the hidden layer K; 0 for none.
    """

    embedding: Annotated[int, Field(ge=0)] = 0


@params
class EquationParams:
    """temperature: τ of Equation 1. temperature_squared: H times τ², as Hinton et al. do and the paper does not.

    margin: λ of the triplet loss. scale: s of a margin softmax, whose logits are s·cos θ. angular_margin: m of ArcFace,
    in radians. cosine_margin: m of CosFace.
    landmark_unit: unit of landmarks in their loss, as a share of the crop's side. reduction: ‖·‖² of Ψ over dimensions.
    """

    temperature: Annotated[float, Field(gt=0)]
    temperature_squared: bool
    margin: Annotated[float, Field(gt=0)]
    scale: Annotated[float, Field(gt=0)]
    angular_margin: Annotated[float, Field(ge=0, lt=math.pi / 2)]
    cosine_margin: Annotated[float, Field(ge=0, lt=1)]
    landmark_unit: Annotated[float, Field(gt=0)]
    reduction: Reduction


@params
class OptimisationParams:
    """Nesterov SGD at a constant rate, or one that falls to 0 along a cosine, after a linear warm-up.

    clip_norm: the gradient's norm is cut to this; 0 for never.
    """

    learning_rate: Annotated[float, Field(gt=0)]
    epochs: Annotated[int, Field(ge=1)]
    warmup_steps: Annotated[int, Field(ge=0)]
    schedule: Literal["constant", "cosine"]
    momentum: Annotated[float, Field(gt=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(ge=0)]

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of one of the `steps` steps of the whole run."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


@params
class TrainingParams:
    """What all training shares: the augmentation, the precision, and the steps between the points of a step curve.

    deterministic: by algorithms alone that give the same bits every time, on a GPU too.
    """

    augmentation: AugmentationParams
    precision: Precision
    deterministic: bool
    log_every: Annotated[int, Field(ge=1)]


@params
class LoaderParams:
    """How crops are read: never a matter of results.

    cache_mb: decoded crops are kept in memory where the whole set takes no more. workers: decoding processes.
    """

    cache_mb: Annotated[int, Field(ge=0)]
    workers: Annotated[int, Field(ge=0)]


@params
class ProcessParams:
    """devices: processes of a training stage on a machine, a GPU each, or all on the CPU where it has none.

    nodes: machines. endpoint: HOST:PORT of the first of them, where they meet; null for one machine.
    batch_norm: its statistics are those of the whole batch (sync, on GPUs only) or of each process's part (local).
    """

    devices: Annotated[int, Field(ge=1)]
    nodes: Annotated[int, Field(ge=1)]
    endpoint: Annotated[str, Field(pattern=r"^[\w.\-\[\]:]+:\d+$")] | None
    batch_norm: Literal["sync", "local"]

    def __post_init__(self) -> None:
        if (self.nodes > 1) != (self.endpoint is not None):
            raise ValueError(f"nodes: {self.nodes} with endpoint: {self.endpoint}; several nodes, and only these, meet")

    @property
    def world_size(self) -> int:
        """The number of processes on all machines."""
        return self.devices * self.nodes


@params
class SnapshotParams:
    """A snapshot after every `epochs` epochs, and within an epoch once `minutes` have passed since the last one."""

    epochs: Annotated[int, Field(ge=1)]
    minutes: Annotated[float, Field(gt=0)]
