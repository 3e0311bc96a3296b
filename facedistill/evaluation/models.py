"""Metrics of a trained model on the test crops of its task. Always float32, and the central part of each crop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from facedistill.data.photograph import COORDINATES
from facedistill.data.shards import SIDES, Crops, Side
from facedistill.evaluation import landmarks as points
from facedistill.evaluation.classification import top1
from facedistill.evaluation.pairs import embedding_distances, view2
from facedistill.evaluation.retrieval import nearest_neighbour_top1
from facedistill.learning import checkpoint
from facedistill.learning.batches import centre_batches
from facedistill.learning.cell import TaskParams
from facedistill.learning.device import choose_device, place
from facedistill.paths import CROPS

BATCH = 128


@dataclass(frozen=True)
class Predictions:
    """What a network says of every crop of a set, in its order; None where it has no such head.

    parameters: number of them in the trunk. embeddings: (n, width) L2-normalised K. logits: (n, classes).
    landmarks: (n, 5, 2) in pixels of the stored crop.
    """

    parameters: int
    embeddings: torch.Tensor
    logits: torch.Tensor | None
    landmarks: NDArray[np.float64] | None


@torch.inference_mode()
def predict(model: Path, crops: Crops, side: int) -> Predictions:
    """Every crop of the set, its central `side` x `side` part, once through the model in that folder."""
    device = choose_device()
    network = checkpoint.load(model).eval()
    place(network, device)
    outputs = [network(batch.images.to(device)) for batch in centre_batches(crops, side, BATCH)]
    landmarks = None
    if network.landmarks:
        offset = (crops.size - side) // 2
        landmarks = torch.cat([o.landmarks for o in outputs]).cpu().numpy().astype(np.float64) * side + offset
    return Predictions(
        parameters=sum(weight.numel() for weight in network.trunk.parameters()),
        embeddings=torch.nn.functional.normalize(torch.cat([o.hidden for o in outputs])),
        logits=torch.cat([o.logits for o in outputs]).cpu() if network.classes else None,
        landmarks=landmarks,
    )


class Evaluation:
    """Metrics by task, of one model or of many; keeps the pairs' distances and the landmarks that came with them."""

    def __init__(self) -> None:
        self.distances: list[pa.Table] = []
        self.landmarks: list[pa.Table] = []
        self._crops: dict[tuple[str, Side], Crops] = {}

    def of(self, task: TaskParams, model: Path, name: str) -> dict[str, Any]:
        """The metrics of the model in a folder; percent.

        softmax: top-1 on the test photographs and LFW's View 2. landmarks: NRMSE and NME. triplet: nearest-neighbour
        top-1. `name` is the model's in the tables that `save` writes.
        """
        test = self._open(task.dataset, "test")
        predicted = predict(model, test, task.input)
        if task.phi == "softmax":
            assert predicted.logits is not None
            known = test.labels >= 0
            accuracy = top1(predicted.logits[known], test.labels[known])
            lfw = self._view2(model, task.input, name)
            return {"top1": accuracy, "lfw": lfw, "parameters": predicted.parameters}
        if task.phi == "landmarks":
            assert predicted.landmarks is not None
            self.landmarks.append(_landmark_table(name, test, predicted.landmarks))
            return _landmark_errors(predicted.landmarks, test)
        return {"nn_top1": nearest_neighbour_top1(predicted.embeddings, torch.as_tensor(test.labels))}

    def mean_shape(self, task: TaskParams) -> dict[str, float]:
        """The errors of the baseline that never looks: the mean of the training landmarks for every photograph."""
        train, test = (self._open(task.dataset, side) for side in SIDES)
        errors = _landmark_errors(points.mean_shape(train.landmarks, len(test)), test)
        return {f"mean_shape_{name}": value for name, value in errors.items()}

    def save(self, folder: Path) -> None:
        """pairs.parquet, a row for each model and pair, and landmarks.parquet, for each model and photograph."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, tables in (("pairs", self.distances), ("landmarks", self.landmarks)):
            if tables:
                pq.write_table(pa.concat_tables(tables), folder / f"{name}.parquet")

    def _open(self, dataset: str, side: Side) -> Crops:
        """Once for all models: what it has read of labels, landmarks and pairs stays."""
        if (dataset, side) not in self._crops:
            self._crops[dataset, side] = Crops(CROPS / dataset, side)
        return self._crops[dataset, side]

    def _view2(self, model: Path, side: int, name: str) -> dict[str, float]:
        lfw = self._open("lfw", "test")
        pairs = lfw.pairs
        distances = embedding_distances(predict(model, lfw, side).embeddings.cpu(), pairs.a, pairs.b)
        result = view2(distances, pairs.same, pairs.fold)
        columns = {"distance": distances, "same": pairs.same, "fold": pairs.fold}
        self.distances.append(pa.table({"model": [name] * len(distances), **columns}))
        return {name: getattr(result, name) for name in ("accuracy", "standard_error", "fold_std")}


def _landmark_table(name: str, test: Crops, landmarks: NDArray[np.float64]) -> pa.Table:
    columns = dict(zip(COORDINATES, landmarks.reshape(-1, len(COORDINATES)).T, strict=True))
    return pa.table({"model": [name] * len(test), "key": test.keys, **columns})


def _landmark_errors(predicted: NDArray[np.float64], test: Crops) -> dict[str, float]:
    original, true = (_to_original(p, test.to_original) for p in (predicted, test.landmarks))
    return {"nrmse": points.nrmse(original, true), "nme": points.nme(original, true)}


def _to_original(landmarks: NDArray[Any], matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 5, 2) points of crops in the pixels of their photographs, by (n, 2, 3) matrices."""
    return landmarks @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
