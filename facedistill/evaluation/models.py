"""The metrics of a trained model on the test crops of its task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from facedistill.crops.shards import SIDES, Crops
from facedistill.data.photograph import COORDINATES
from facedistill.evaluation import landmarks as points
from facedistill.evaluation.centres import centre_distances
from facedistill.evaluation.classification import top1
from facedistill.evaluation.cross_model import cross_view2, rank1, rank1_hits
from facedistill.evaluation.embedding_map import map_table
from facedistill.evaluation.operating_point import OperatingPoint, tpr_at_far, tpr_of_pairs
from facedistill.evaluation.pairs import UndefinedMetricError, embedding_distances, view2
from facedistill.evaluation.predictions import ALONE, Predictions, predict
from facedistill.evaluation.retrieval import nearest_neighbour_hits, share
from facedistill.evaluation.subsets import subsets
from facedistill.grid.layout import EvaluationParams
from facedistill.learning import model_files
from facedistill.learning.parameters import TaskParams
from facedistill.learning.processes import Process
from facedistill.params import check
from facedistill.paths import CROPS
from facedistill.recipe import PHI


class Evaluation:
    """Computes the metrics of one or many models, by their tasks.

    The main process of each machine does this. The other processes of a group call `help`, and embed a part of each set
    whenever the main ones embed it. At the end, these call `dismiss`.

    far: the false accept rate of the operating points.
    rows: by name, the tables from which the report draws its plots.
    """

    def __init__(self, evaluation: EvaluationParams, process: Process = ALONE) -> None:
        self.far, self._sets, self._process = evaluation.far, evaluation.pairs, process
        names = ("pairs", "landmarks", "centres", "hits", "confusion", "embeddings")
        self.rows: dict[str, list[pa.Table]] = {name: [] for name in names}
        # Each set is opened once for all models, so its labels and pairs are read once.
        self._open = cache(lambda dataset, side, pixels: Crops(CROPS / dataset, side, pixels))
        # Two places: one for the current model, and one for its teacher, which many models share.
        self._network = lru_cache(2)(model_files.load)
        self._unseen = lru_cache(2)(lambda model, task: self._predict(model, self._sets[0], task).embeddings)

    def of(self, task: TaskParams, model: Path, name: str, teacher: Path | None = None) -> dict[str, Any]:
        """Return the metrics of the model in a folder, in percent. They depend on Φ of its task:

        landmarks: NRMSE and NME.
        triplet, triplet_softmax: nearest-neighbour top-1.
        softmax, arcface, cosface: top-1 if the test photographs have names and there is a classifier. LFW's View 2 on
            every set of pairs. On the first also TPR at the FAR for each subset, and rank-1 if identities are known.
            With a `teacher` of the same embedding space also View 2 and rank-1 across the two models, and the distances
            of the test photographs to the teacher's class centres.

        name: the model's name in the tables that `save` writes.
        """
        test = self._open(task.dataset, "test", task.shrink_to)
        if not test.classes and task.phi == "softmax":
            # All photographs without names are for training.
            return self._unseen_people(model, task, name) | {"parameters": self._network(model).trunk.size}
        predicted = self._predict(model, task.dataset, task)
        if task.phi == "landmarks":
            assert predicted.landmarks is not None
            self.rows["landmarks"].append(_landmark_table(name, test, predicted.landmarks))
            return _landmark_errors(predicted.landmarks, test)
        if "triplet" in PHI[task.phi]:
            with _naming(test):
                hits = nearest_neighbour_hits(predicted.embeddings, torch.as_tensor(test.labels))
            return {"nn_top1": self._share(name, "nn_top1", hits)}
        metrics = self._unseen_people(model, task, name)
        known = test.labels >= 0
        if predicted.answers is not None:
            with _naming(test):
                metrics["top1"] = top1(predicted.answers[known], test.labels[known])
            self._share(name, "top1", predicted.answers[known] == test.labels[known])
            self.rows["confusion"].append(_confusion_table(name, test.labels[known], predicted.answers[known]))
        if teacher:
            metrics["cross"] = self._across(model, teacher, task, name)
            metrics["centres"] = self._centres(predicted.embeddings[known], test.labels[known], teacher, name)
        return metrics | {"parameters": predicted.parameters}

    @property
    def identified(self) -> bool:
        """Whether the identities of all photographs of the first set of pairs are known."""
        return all(self._first.identities)

    def operating_points(self, embeddings: torch.Tensor) -> dict[str, OperatingPoint]:
        """Return the operating point over all photographs of the first set of pairs, and the one of each subset.

        A subset with too few pairs is left out. If identities are unknown, there is one operating point, over the pairs
        that the set lists.

        embeddings: (n, d), of all photographs of that set.

        Raises UndefinedMetricError, which names the set.
        """
        with _naming(self._first):
            if not self.identified:
                pairs = self._first.pairs
                distances = embedding_distances(embeddings.cpu(), pairs.a, pairs.b)
                return {"all": tpr_of_pairs(1 - distances / 2, pairs.same, self.far)}
            identities = np.array(self._first.identities)
            found = {"all": tpr_at_far(embeddings, identities, self.far)}
        for name, mask in subsets(self._first.attributes).items():
            with suppress(UndefinedMetricError):
                found[name] = tpr_at_far(embeddings[mask], identities[mask], self.far)
        return found

    def negatives(self, task: TaskParams, model: Path) -> dict[str, int]:
        """Return how many impostor pairs set the operating point of each subset. They are the same for every model.

        The number is 0 for a subset with too few pairs for an operating point.
        """
        found = self.operating_points(self._unseen(model, task))
        none = dict.fromkeys(subsets(self._first.attributes), 0) if self.identified else {}
        return none | {name: point.negatives for name, point in found.items()}

    def mean_shape(self, task: TaskParams) -> dict[str, float]:
        """Return the errors of the baseline that predicts the mean training landmarks for every photograph."""
        train, test = (self._open(task.dataset, side, 0) for side in SIDES)
        errors = _landmark_errors(points.mean_shape(train.landmarks, len(test)), test)
        return {f"mean_shape_{name}": value for name, value in errors.items()}

    def help(self) -> None:
        """Embed this process's part of every set that the main processes embed, until they call `dismiss`."""
        while asked := self._process.broadcast(None):
            model, dataset, task = json.loads(asked)
            self._predict(Path(model), dataset, check(TaskParams, task, "the task of a main process"))

    def dismiss(self) -> None:
        """Let the processes that help go on."""
        self._process.broadcast(b"")

    def save(self, folder: Path) -> None:
        """Write each table of `rows` that is not empty into `folder`, as parquet.

        A table has one row for each model and each pair or photograph. The table `confusion` has one for each model and
        each pair of a label and an answer that occurs.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, tables in self.rows.items():
            if tables:
                pq.write_table(pa.concat_tables(tables), folder / f"{name}.parquet")

    @property
    def _first(self) -> Crops:
        """The first set of pairs. Its people stand for unseen people in general."""
        return self._open(self._sets[0], "test", 0)

    def _predict(self, model: Path, dataset: str, task: TaskParams) -> Predictions:
        """Raises ModelError if all ReLUs of the last layer died in training: then K is 0, which has no direction."""
        if self._process.is_main:
            self._process.broadcast(json.dumps([str(model), dataset, asdict(task)]).encode())
        network = self._network(model)
        whole = network.trunk.whole
        crops = self._open(dataset, "test", 0 if whole else task.shrink_to)
        predicted = predict(network, crops, crops.pixels if whole else task.input, self._process)
        if dead := int((predicted.embeddings == 0).all(1).sum()):
            raise model_files.ModelError(
                f"{model}: K is 0 for {dead} of the {len(crops)} photographs of {crops.folder}: its last rectifiers "
                "died in training; train it at a lower rate, or take it out of the tables"
            )
        return predicted

    def _unseen_people(self, model: Path, task: TaskParams, name: str) -> dict[str, Any]:
        embeddings = self._unseen(model, task)
        metrics: dict[str, Any] = {"pairs": {}}
        for dataset in self._sets:
            crops = self._open(dataset, "test", 0)
            embedded = embeddings if crops is self._first else self._predict(model, dataset, task).embeddings
            pairs = crops.pairs
            distances = embedding_distances(embedded.cpu(), pairs.a, pairs.b)
            with _naming(crops):
                result = view2(distances, pairs.same, pairs.fold)
            metrics["pairs"][dataset] = {k: getattr(result, k) for k in ("accuracy", "standard_error", "fold_std")}
            if crops is self._first:
                columns = {"distance": distances, "same": pairs.same, "fold": pairs.fold}
                self.rows["pairs"].append(pa.table({"model": [name] * len(distances), **columns}))
        metrics["tpr"] = {subset: point.tpr for subset, point in self.operating_points(embeddings).items()}
        if self.identified:
            metrics["rank1"] = rank1(embeddings, embeddings, self._first.identities)
            self.rows["embeddings"].append(map_table(name, embeddings.cpu(), self._first.identities))
        return metrics

    def _across(self, model: Path, teacher: Path, task: TaskParams, name: str) -> dict[str, float]:
        """Compare probes that the model embeds with a gallery that the teacher embeds."""
        probes, gallery = (self._unseen(folder, task) for folder in (model, teacher))
        metrics = {"accuracy": cross_view2(probes, gallery, self._first.pairs).accuracy}
        if self.identified:
            metrics["rank1"] = self._share(name, "cross", rank1_hits(probes, gallery, self._first.identities))
        return metrics

    def _share(self, name: str, metric: str, hits: NDArray[np.bool_]) -> float:
        """Return the percentage of hits, and add the hit of each photograph to `rows`."""
        columns = {"model": [name] * len(hits), "metric": [metric] * len(hits), "hit": hits}
        self.rows["hits"].append(pa.table(columns))
        return share(hits)

    def _centres(
        self, embeddings: torch.Tensor, labels: NDArray[np.int32], teacher: Path, name: str
    ) -> dict[str, float]:
        """Return the means of 100 · (1 − cos) to the teacher's centre of the own class and to the nearest other one."""
        classifier = self._network(teacher).identity
        assert classifier is not None
        own, other = centre_distances(embeddings, torch.as_tensor(labels).long(), classifier.weight.detach())
        self.rows["centres"].append(pa.table({"model": [name] * len(own), "own": own, "other": other}))
        return {"own": 100 * float(own.mean()), "other": 100 * float(other.mean())}


@contextmanager
def _naming(crops: Crops) -> Iterator[None]:
    """If the data set does not define a metric, put its folder into the message of the error."""
    try:
        yield
    except UndefinedMetricError as error:
        raise type(error)(f"{crops.folder}: {error}") from None


def _landmark_table(name: str, test: Crops, landmarks: NDArray[np.float64]) -> pa.Table:
    columns = dict(zip(COORDINATES, landmarks.reshape(-1, len(COORDINATES)).T, strict=True))
    return pa.table({"model": [name] * len(test), "key": test.keys, **columns})


def _confusion_table(name: str, labels: NDArray[np.int32], answers: NDArray[np.int64]) -> pa.Table:
    """Count the photographs of each label that got each answer."""
    pairs, photographs = np.unique(np.stack([labels, answers], axis=1), axis=0, return_counts=True)
    columns = {"label": pairs[:, 0], "answer": pairs[:, 1], "photographs": photographs}
    return pa.table({"model": [name] * len(pairs), **columns})


def _landmark_errors(predicted: NDArray[np.float64], test: Crops) -> dict[str, float]:
    original, true = (points.to_original(p, test.to_original) for p in (predicted, test.landmarks))
    with _naming(test):
        return {"nrmse": points.nrmse(original, true), "nme": points.nme(original, true)}
