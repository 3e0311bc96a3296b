"""The samples behind a metric, one for each test photograph or fold, from the rows that evaluation writes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from facedistill.crops.shards import Crops
from facedistill.data.photograph import COORDINATES
from facedistill.evaluation.landmarks import nrmse_per_image, to_original
from facedistill.evaluation.pairs import view2
from facedistill.grid.layout import Layout
from facedistill.paths import CROPS, EVALUATION
from facedistill.results.metrics import MissingResultError


class Samples:
    """The samples of every model and metric, in percent. Their mean is the metric."""

    def __init__(self, layout: Layout, root: Path) -> None:
        self._first, self._root = layout.first_pairs, root
        # Opening a set hashes its files, so each set is opened once.
        self._tested = cache(lambda task: Crops(root / CROPS / layout.datasets[task], "test"))
        # Many claims are about the same model.
        self.of = cache(self._of)
        self.groups = cache(self._groups)

    def _of(self, metric: str, run: str, model: str, stage: str) -> NDArray[np.float64] | None:
        """The samples of a model, (n,); None if evaluation keeps no rows of this metric.

        metric: a key of METRICS. For `lfw` a sample is the accuracy on a fold, if LFW is the first set of pairs; for
            the others it is a photograph.
        run: the folder of the evaluation below EVALUATION.
        model: the model's name in its rows.
        stage: the stage that writes the rows.
        Raises MissingResultError.
        """
        folder = self._root / EVALUATION / run
        if metric in ("top1", "nn_top1", "cross"):
            table = model_rows(folder / "hits.parquet", model, stage)
            hits = table.filter(pc.equal(table["metric"], metric))["hit"].to_numpy()
            return np.asarray(100.0 * hits, np.float64)
        if metric in ("own", "other"):
            distances = model_rows(folder / "centres.parquet", model, stage)[metric].to_numpy()
            return np.asarray(100.0 * distances, np.float64)
        if metric == "lfw" and self._first == "lfw":
            table = model_rows(folder / "pairs.parquet", model, stage)
            distances, same, folds = (table[name].to_numpy() for name in ("distance", "same", "fold"))
            return np.array(view2(distances, same, folds).fold_accuracies)
        if metric == "nrmse":
            crops = self._tested("alignment")
            points = predicted_landmarks(folder, model, crops, stage)
            original, true = (to_original(p, crops.to_original) for p in (points, crops.landmarks))
            return nrmse_per_image(original, true)
        return None

    def _groups(self, metric: str) -> NDArray[np.int64] | None:
        """The group of each sample of `of`, (n,) from 0; None without groups. The frames of a video are a group.

        metric: a key of METRICS.
        """
        if metric == "nrmse":
            groups = self._tested("alignment").groups
        elif metric in ("top1", "nn_top1", "own", "other"):
            crops = self._tested("classification")
            known = np.ones(len(crops), np.bool_) if metric == "nn_top1" else crops.labels >= 0
            groups = [group for group, is_known in zip(crops.groups, known, strict=True) if is_known]
        else:
            return None
        if not any(groups):
            return None
        names = [group or f"photograph {i}" for i, group in enumerate(groups)]
        return np.asarray(np.unique(names, return_inverse=True)[1], np.int64)


def predicted_landmarks(folder: Path, model: str, crops: Crops, stage: str) -> NDArray[np.float64]:
    """The landmarks that a model found, (n, 5, 2) in pixels of the crops and in their order.

    folder: the folder of the evaluation.
    Raises MissingResultError.
    """
    file = folder / "landmarks.parquet"
    table = model_rows(file, model, stage)
    if table["key"].to_pylist() != crops.keys:
        raise MissingResultError(f"{file}: its photographs are not those of {crops.folder}; run `dvc repro -f {stage}`")
    points = np.stack([table[name].to_numpy() for name in COORDINATES], axis=1)
    return points.reshape(-1, 5, 2)


def model_rows(file: Path, model: str, stage: str) -> pa.Table:
    """The rows of one model in a table that evaluation wrote. Raises MissingResultError if there are none."""
    try:
        table = pq.read_table(file, filters=[("model", "=", model)])
    except FileNotFoundError:
        raise MissingResultError(f"{file}: no such file; run `dvc repro {stage}`") from None
    if not len(table):
        raise MissingResultError(f"{file}: no rows of the model {model!r}; run `dvc repro -f {stage}`")
    return table
