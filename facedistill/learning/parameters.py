"""The parameters of training: a frozen dataclass for each section of params.yaml. Importing them needs no torch."""

from __future__ import annotations

import math
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from facedistill.learning.augment import AugmentationParams, ScatterParams
from facedistill.outside import OrOutside
from facedistill.params import params
from facedistill.recipe import MARGIN_SOFTMAX, PHI, Margin, PhiName
from facedistill.teacher.parameters import ModelTeacherParams, OnnxTeacherParams, Sha256

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
    """A task of `tasks`.

    phi: the loss of the task, Φ.
    dataset: the data set whose crops it trains on.
    input: the side of the network's input, in pixels.
    batch: the number of crops in a step.
    per_identity: how many crops of each person a batch has; 0 for a batch as the shuffle gives it.
    embedding: the width of a linear layer over the pooled features, whose output is then K; 0 for no such layer. All
        networks of the task have it.
    shrink_to: the side to which crops are shrunk before the input is cut from them; 0 for crops as they are stored. An
        imported teacher sees the stored crops, and so more pixels of the same photographs than its students.
    scatter: how training crops are moved at random, in place of a random part; None for a random part.
    """

    phi: PhiName
    dataset: str
    input: Annotated[int, Field(ge=16)]
    batch: Annotated[int, Field(ge=2)]
    per_identity: Annotated[int, Field(ge=0)]
    embedding: Annotated[int, Field(ge=0)] = 0
    shrink_to: Annotated[int, Field(ge=0)] = 0
    scatter: ScatterParams | None = None

    def __post_init__(self) -> None:
        if self.scatter and self.phi != "landmarks":
            raise ValueError(f"scatter: only for phi: landmarks, not {self.phi}, whose crops are aligned; leave it out")
        if "triplet" in PHI[self.phi] and self.per_identity < 2:
            raise ValueError(
                f"per_identity: {self.per_identity} is too small for phi: {self.phi}, which compares crops of one "
                "person; take 2 or more"
            )
        if self.per_identity and (self.batch % self.per_identity or self.batch < 2 * self.per_identity):
            raise ValueError(
                f"batch: {self.batch} does not fit per_identity: {self.per_identity}; take a multiple of "
                f"{self.per_identity}, at least {2 * self.per_identity} for two people"
            )

    @property
    def margin_softmax(self) -> bool:
        """Whether its networks have a cosine classifier, which a margin softmax needs."""
        return self.phi in MARGIN_SOFTMAX


@params
class ArchitectureParams:
    """A network as params.yaml has it. The task sets the width of its K.

    architecture: a built-in name, or `module:attribute` for the user's own.
    divisor: k of ResNet-50/k, in which every layer has 1/k of the kernels; 1 for all other architectures.
    """

    architecture: Annotated[str, AfterValidator(OrOutside(get_args(Architecture)))]
    divisor: Annotated[int, Field(ge=1)] = 1

    def __post_init__(self) -> None:
        if self.divisor != 1 and self.architecture != "resnet50":
            raise ValueError(f"only resnet50 has a divisor, not {self.architecture}; remove the divisor")
        if 64 % self.divisor:
            raise ValueError(f"divisor: {self.divisor} does not divide the 64 kernels of resnet50's first layer")

    @property
    def smallest_input(self) -> int:
        """The side in pixels of the smallest image that leaves a pixel in its last map; 1 for the user's own."""
        return SMALLEST_INPUT.get(self.architecture, 1)


@params
class NetworkParams(ArchitectureParams):
    """A network as it is built.

    embedding: the width of a linear layer over the pooled features, whose output is then K; 0 for no such layer.
    """

    embedding: Annotated[int, Field(ge=0)] = 0


@params
class ModelNetworkParams:
    """A network that another run has trained, as an imported teacher.

    network: the network.
    sha256: the sha256 of the weights that were imported.
    pixels: the side of the crops that it was trained on.
    input: the side of the middle part of a crop, which is its input.
    """

    network: NetworkParams
    sha256: Sha256
    pixels: Annotated[int, Field(ge=1)]
    input: Annotated[int, Field(ge=1)]


AnyNetwork = NetworkParams | OnnxTeacherParams | ModelNetworkParams
"""A network of this project, or an imported teacher."""


@params
class EquationParams:
    """The constants of Equation 5.

    temperature: τ of Equation 1.
    temperature_squared: whether H is multiplied by τ², as Hinton et al. do and the paper does not.
    margin: λ of the triplet loss.
    scale: s of a margin softmax, whose logits are s·cos θ.
    angular_margin: m of ArcFace, in radians.
    cosine_margin: m of CosFace.
    landmark_unit: the unit of landmarks in their loss, as a share of the crop's side.
    reduction: whether ‖·‖² of Ψ is the sum or the mean over the dimensions.
    negatives: the share of the other people that a softmax compares a batch with in each step; 1 for all.
    """

    temperature: Annotated[float, Field(gt=0)]
    temperature_squared: bool
    margin: Annotated[float, Field(gt=0)]
    scale: Annotated[float, Field(gt=0)]
    angular_margin: Annotated[float, Field(ge=0, lt=math.pi / 2)]
    cosine_margin: Annotated[float, Field(ge=0, lt=1)]
    landmark_unit: Annotated[float, Field(gt=0)]
    reduction: Reduction
    negatives: Annotated[float, Field(gt=0, le=1)] = 1


@params
class OptimisationParams:
    """Nesterov SGD, with a linear warm-up and then a constant rate or one that falls to 0 along a cosine.

    clip_norm: the largest norm that a gradient may have; 0 for no limit.
    """

    learning_rate: Annotated[float, Field(gt=0)]
    epochs: Annotated[int, Field(ge=1)]
    warmup_steps: Annotated[int, Field(ge=0)]
    schedule: Literal["constant", "cosine"]
    momentum: Annotated[float, Field(gt=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(ge=0)]

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of `step`, counted from 0, in a run of `steps` steps."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


@params
class Rates:
    """The two ways to optimise.

    scratch: for a training that starts from random weights.
    initialised: for a training that starts from the weights of another model.
    """

    scratch: OptimisationParams
    initialised: OptimisationParams


@params
class TeacherParams:
    """The teachers.

    source: whether the teacher of recognition is trained, or is imported: the ONNX file of `onnx`, or the model of
        `model`.
    onnx: an ONNX file; null if there is none.
    model: a model of another run; null if there is none.
    scale: s of an imported teacher's logits, s times the cosine to a class centre; null to fit it.
    stored: the tasks whose students learn from stored answers of the teacher. An imported teacher is asked once for all
        tasks, under `classification`.
    network: the network of every teacher that is trained.
    rates: its two rates.
    """

    source: Literal["trained", "onnx", "model"]
    onnx: OnnxTeacherParams | None
    model: ModelTeacherParams | None
    scale: Annotated[float, Field(gt=0)] | None
    stored: tuple[Literal["classification", Margin], ...]
    network: ArchitectureParams
    rates: Rates

    @property
    def imported(self) -> OnnxTeacherParams | ModelTeacherParams | None:
        """What to import; None if all teachers are trained, or if the key of that name is null."""
        return {"onnx": self.onnx, "model": self.model, "trained": None}[self.source]


@params
class TrainingParams:
    """The settings of every training.

    augmentation: the random changes of the training crops.
    precision: `auto` is bf16 if the hardware multiplies in it.
    deterministic: whether only algorithms run that give the same bits every time, on a GPU too.
    log_every: the steps between two points of a step curve.
    """

    augmentation: AugmentationParams
    precision: Precision
    deterministic: bool
    log_every: Annotated[int, Field(ge=1)]


@params
class LoaderParams:
    """How crops are read. No result depends on it.

    cache_mb: decoded crops stay in memory if the whole set needs at most so many megabytes.
    threads: how many threads prepare the next batches; 0 to prepare each batch when it is asked for.
    """

    cache_mb: Annotated[int, Field(ge=0)]
    threads: Annotated[int, Field(ge=0)]


@params
class ProcessParams:
    """The processes of a stage that trains, asks a teacher or evaluates.

    devices: the processes on each machine, each with its own GPU, or all on the CPU of a machine without GPUs.
    nodes: the number of machines.
    endpoint: HOST:PORT of the first machine, where all meet; null for one machine.
    batch_norm: `sync` for statistics of the whole batch; `local` for those of each process's part.
    restarts: how many times a stage goes on by itself if a process was killed or a machine is lost.
    shard_classes: a classifier of so many people or more is cut into shards, one for each process; null for never.
    """

    devices: Annotated[int, Field(ge=1)]
    nodes: Annotated[int, Field(ge=1)]
    endpoint: Annotated[str, Field(pattern=r"^[\w.\-\[\]:]+:\d+$")] | None
    batch_norm: Literal["sync", "local"]
    restarts: Annotated[int, Field(ge=0)] = 3
    shard_classes: Annotated[int, Field(ge=2)] | None = 1_000_000

    def __post_init__(self) -> None:
        if (self.nodes > 1) != (self.endpoint is not None):
            raise ValueError(
                f"nodes: {self.nodes} with endpoint: {self.endpoint}; several nodes need an endpoint, and one "
                "node needs null"
            )

    @property
    def world_size(self) -> int:
        """The number of processes on all machines."""
        return self.devices * self.nodes


@params
class SnapshotParams:
    """How often training saves a snapshot.

    epochs: after every so many epochs.
    minutes: and within an epoch, as soon as so many minutes have passed since the last one.
    """

    epochs: Annotated[int, Field(ge=1)]
    minutes: Annotated[float, Field(gt=0)]
