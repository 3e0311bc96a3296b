"""Checks that an exported file computes what the trained network computes, and measures what a smaller one loses."""

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
from facedistill.export.histograms import judged
from facedistill.inference.metadata import Histograms, Threshold
from facedistill.learning.batches import centre_batches

Run = Callable[[NDArray[np.uint8]], Mapping[str, NDArray[np.float32]]]
"""A function from (n, 3, side, side) images to outputs by name."""

COSINE = 0.99999
"""The least cosine allowed between the embeddings of one crop by PyTorch and by the float32 file."""

LOGIT, PIXELS = 1e-3, 0.01
"""How far the two may be apart in a logit, as a share of the largest, and in a landmark, in pixels of the input."""

BATCH = 128


class ExportError(RuntimeError):
    """An exported file does not compute what the trained network computes."""


@dataclass(frozen=True)
class Answers:
    """The outputs of one version of a network for a set of crops, by name; each is (n, …) float32."""

    outputs: Mapping[str, NDArray[np.float32]]

    @classmethod
    def of(cls, run: Run, crops: Crops, side: int, where: str) -> Answers:
        """Run on the central part of every crop. Raises ExportError if a value is not finite or an embedding is 0."""
        parts = [run(np.ascontiguousarray(b.images.numpy())) for b in centre_batches(crops, side, BATCH)]
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for name, values in outputs.items():
            if not np.isfinite(values).all():
                raise ExportError(f"{where}: the {name} of some crops of {crops.folder} are not finite")
        # The cosine with a zero embedding is NaN. Comparisons with NaN are false, so the check would pass.
        if not outputs["embedding"].any(axis=1).all():
            raise ExportError(f"{where}: the embedding of some crops of {crops.folder} is 0, which has no direction")
        return cls(outputs)

    def cosine(self, reference: Answers) -> float:
        """The least cosine between the embedding of a crop in these answers and in `reference`."""
        a, b = (answers.outputs["embedding"].astype(np.float64) for answers in (self, reference))
        return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def recognition(answers: Answers, crops: Crops) -> dict[str, float]:
    """The accuracy of View 2 in percent, on the pairs of `crops`."""
    pairs = crops.pairs
    distances = embedding_distances(answers.outputs["embedding"], pairs.a, pairs.b)
    return {"accuracy": view2(distances, pairs.same, pairs.fold).accuracy}


def alignment(answers: Answers, crops: Crops, side: int) -> dict[str, float]:
    """NRMSE in percent. Distances are in pixels of the original photographs."""
    predicted = answers.outputs["landmarks"] * side + (crops.pixels - side) // 2
    original, true = (
        to_original(points.astype(np.float64), crops.to_original) for points in (predicted, crops.landmarks)
    )
    return {"nrmse": nrmse(original, true)}


def threshold(
    answers: Answers, evaluation: Evaluation, crops: Crops, dataset: str, faces: str
) -> tuple[Threshold, Histograms]:
    """The threshold for pairs embedded by this version, at evaluation.far, and the histograms of these pairs.

    crops: those of the first set of pairs.
    dataset, faces: what to call these pairs, and how their faces were found.
    """
    embeddings = answers.outputs["embedding"]
    point = evaluation.operating_points(torch.from_numpy(embeddings))["all"]
    distance = min(4.0, max(0.0, 2 - 2 * point.threshold))
    counted, interval = judged(embeddings, crops, distance)
    found = Threshold(distance, evaluation.far, interval, point.tpr, point.negatives, dataset, faces)
    return found, counted


def check_parity(found: Answers, reference: Answers, side: int, where: str) -> None:
    """Compare a float32 file with its network. Raises ExportError, which names the output that differs."""
    if (cosine := found.cosine(reference)) < COSINE:
        raise ExportError(f"{where}: an embedding has cosine {cosine:.7f} to PyTorch's, below {COSINE}")
    for name, bound in (("logits", LOGIT), ("landmarks", PIXELS / side)):
        if name in reference.outputs:
            ours, theirs = found.outputs[name], reference.outputs[name]
            limit = bound * (max(1.0, float(np.abs(theirs).max())) if name == "logits" else 1.0)
            if (apart := float(np.abs(ours - theirs).max())) > limit:
                raise ExportError(f"{where}: {name} are {apart:.3g} from PyTorch's, more than {limit:.3g}")


def check_accuracy(found: float, reference: float, pairs: int, where: str) -> None:
    """Raises ExportError if two accuracies, in percent, differ by more than one pair out of `pairs`."""
    if abs(found - reference) > 100 / pairs + 1e-9:
        raise ExportError(
            f"{where}: accuracy {found:.3f}, PyTorch {reference:.3f}: they differ by more than one of {pairs} pairs"
        )
