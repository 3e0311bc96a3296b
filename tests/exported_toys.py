"""Toys of every exported kind, trained on coloured squares: classification, alignment, and two with one space."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from squares import EQUATION, PEOPLE, SIDE, SIZE, draw, run

from facedistill.data.face_crop import CropParams
from facedistill.export import latency
from facedistill.export.exporting import export
from facedistill.files import write_json
from facedistill.grid.layout import EvaluationParams
from facedistill.learning.parameters import TaskParams
from facedistill.learning.teachers import Guide
from facedistill.recipe import Recipe
from facedistill.results.chosen import Chosen

OURS, POINTS = (
    Chosen("small/table2/wang", "classification", "small", ()),
    Chosen("small/alignment", "alignment", "small", ()),
)
TEACHER = Chosen("teacher/arcface", "arcface", "teacher", ())
PROXYLESS = Chosen("small/arcface/proxyless", "arcface", "small", ())
FAR = 0.1
FOUND = "by landmarks that the set lists"


def task(model: Chosen) -> TaskParams:
    phi, width = {"classification": ("softmax", 0), "alignment": ("landmarks", 0), "arcface": ("arcface", 8)}[
        model.task
    ]
    return TaskParams(phi, dataset="faces", input=SIDE, batch=16, per_identity=0, embedding=width)  # type: ignore[arg-type]


def crop(model: Chosen) -> CropParams:
    return CropParams("photograph" if model is POINTS else "landmarks", SIZE)


def build(root: Path) -> Path:
    """Train and export the toys in `root`.

    Each person has two test photographs. They make a genuine pair, and one of them makes an impostor pair with a
    neighbour's. The pairs have two folds.
    """
    folder = root / "data/crops/faces"
    folder.mkdir(parents=True)
    draw(folder)
    same = [(2 * i, 2 * i + 1) for i in range(PEOPLE)]
    apart = [(2 * i, (2 * i + 3) % (2 * PEOPLE)) for i in range(PEOPLE)]
    a, b = np.array(same + apart, np.int32).T
    fold = np.tile(np.arange(PEOPLE, dtype=np.int32) % 2, 2)
    parquet.write_table(
        pa.table({"a": a, "b": b, "same": np.arange(2 * PEOPLE) < PEOPLE, "fold": fold}), folder / "pairs.parquet"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run(OURS.name, Recipe("softmax"))
        run(POINTS.name, Recipe("landmarks"))
        run(TEACHER.name, Recipe("arcface"))
        teacher = {"soft_teacher": Guide(Path("models") / TEACHER.name), "task": task(TEACHER), "equation": EQUATION}
        run(PROXYLESS.name, Recipe("arcface", classifier="teacher"), **teacher)
        # No test reads the times, so one run is enough.
        patch.setattr(latency, "RUNS", 1)
        patch.setattr(latency, "WARM_UP", 0)
        for model in (OURS, POINTS, TEACHER, PROXYLESS):
            write_json(
                model.metrics,
                export(model, task(model), crop(model), EvaluationParams(("faces",), FAR), {"faces": "faces"}, FOUND),
            )
    return root


def metrics(root: Path, model: Chosen) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads((root / model.metrics).read_text())
    return found
