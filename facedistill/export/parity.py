"""Whether an exported file is the network that was trained, and what a smaller one loses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facedistill.crops.shards import Crops
from facedistill.evaluation.landmarks import nrmse, to_original
from facedistill.evaluation.models import Evaluation
from facedistill.evaluation.pairs import embedding_distances, view2
from facedistill.inference.metadata import Threshold
from facedistill.learning.batches import centre_batches

Run = Callable[[NDArray[np.uint8]], Mapping[str, NDArray[np.float32]]]
"""(n, 3, side, side) images to outputs by name."""

COSINE = 0.99999
"""Least cosine between the embeddings of one crop by PyTorch and by the float32 file."""

LOGIT, PIXELS = 1e-3, 0.01
"""Furthest apart that these two may be in a logit, as a share of the largest, and in a landmark."""

BATCH = 128


class ExportError(RuntimeError):
    """An exported file that does not do what the trained network does."""


@dataclass(frozen=True)
class Answers:
    """What one version of a network says of a set of crops. outputs: by name, each (n, …) float32."""

    outputs: Mapping[str, NDArray[np.float32]]

    @classmethod
    def of(cls, run: Run, crops: Crops, side: int, where: str) -> Answers:
        """Of the central part of every crop. Raises ExportError where a value is not finite, or an embedding is 0."""
        parts = [run(np.ascontiguousarray(b.images.numpy())) for b in centre_batches(crops, side, BATCH)]
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for name, values in outputs.items():
            if not np.isfinite(values).all():
                raise ExportError(f"{where}: the {name} of some crops of {crops.folder} are not finite")
        # No comparison with a NaN is true, so a cosine to it would pass.
        if not outputs["embedding"].any(axis=1).all():
            raise ExportError(f"{where}: the embedding of some crops of {crops.folder} is 0, which has no direction")
        return cls(outputs)

    def cosine(self, reference: Answers) -> float:
        """The least cosine between the embeddings of a crop here and there."""
        a, b = (answers.outputs["embedding"].astype(np.float64) for answers in (self, reference))
        return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def recognition(answers: Answers, crops: Crops) -> dict[str, float]:
    """View 2 accuracy in percent, on the pairs of `crops`."""
    pairs = crops.pairs
    distances = embedding_distances(answers.outputs["embedding"], pairs.a, pairs.b)
    return {"accuracy": view2(distances, pairs.same, pairs.fold).accuracy}


def alignment(answers: Answers, crops: Crops, side: int) -> dict[str, float]:
    """NRMSE in percent, in the photographs' own pixels."""
    predicted = answers.outputs["landmarks"] * side + (crops.pixels - side) // 2
    original, true = (
        to_original(points.astype(np.float64), crops.to_original) for points in (predicted, crops.landmarks)
    )
    return {"nrmse": nrmse(original, true)}


def threshold(answers: Answers, evaluation: Evaluation, dataset: str) -> Threshold:
    """For pairs that this version embeds, at the FAR of `evaluation`, on its first set of pairs, `dataset`."""
    point = evaluation.operating_points(torch.from_numpy(answers.outputs["embedding"]))["all"]
    return Threshold(
        distance=min(4.0, max(0.0, 2 - 2 * point.threshold)),
        far=evaluation.far,
        tpr=point.tpr,
        negatives=point.negatives,
        dataset=dataset,
    )


def check_parity(found: Answers, reference: Answers, side: int, where: str) -> None:
    """Compare a float32 file with the network that it is of. Raises ExportError naming the output that differs."""
    if (cosine := found.cosine(reference)) < COSINE:
        raise ExportError(f"{where}: an embedding has cosine {cosine:.7f} to PyTorch's, below {COSINE}")
    for name, bound in (("logits", LOGIT), ("landmarks", PIXELS / side)):
        if name in reference.outputs:
            ours, theirs = found.outputs[name], reference.outputs[name]
            limit = bound * (max(1.0, float(np.abs(theirs).max())) if name == "logits" else 1.0)
            if (apart := float(np.abs(ours - theirs).max())) > limit:
                raise ExportError(f"{where}: {name} are {apart:.3g} from PyTorch's, more than {limit:.3g}")


def check_accuracy(found: float, reference: float, pairs: int, where: str) -> None:
    """Raises ExportError where the accuracies, in percent, are more than one of `pairs` apart."""
    if abs(found - reference) > 100 / pairs + 1e-9:
        raise ExportError(
            f"{where}: accuracy {found:.3f}, PyTorch {reference:.3f}: more than one of {pairs} pairs apart"
        )
