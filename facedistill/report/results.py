"""The numbers of the report: every cell that the parameters ask for, and nothing that lies in a folder beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from facedistill.grid import TASKS, TEACHER, Layout, cells
from facedistill.paths import METRICS


class MissingResultError(ValueError):
    """A number or a file of an enumerated cell is not there: the message names the stage to run."""


METRIC = {"alignment": "nrmse", "triplet": "nn_top1", "triplet_softmax": "nn_top1"}
"""The number that each table of the transfer prints."""

_NUMBERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "classification": (("top1",), ("lfw", "accuracy"), ("lfw", "standard_error"), ("parameters",)),
    "alignment": (("nrmse",), ("nme",)),
    "triplet": (("nn_top1",),),
    "triplet_softmax": (("nn_top1",),),
}
_MEAN_SHAPE = (("mean_shape_nrmse",), ("mean_shape_nme",))


class Results:
    """Every metric of every cell, by address: results["alignment", "resnet50-8", "distill", "soft", "nrmse"].

    A teacher's stand under ("teacher", task). All in percent, but `parameters`: of the trunk, without heads.
    """

    def __init__(self, layout: Layout, metrics: Path = METRICS) -> None:
        """Reads the JSON files below `metrics`. Raises MissingResultError for a cell that the files do not hold."""
        self.layout = layout
        self._values: dict[tuple[str, ...], float] = {}
        document = cache(_document)
        for task in TASKS:
            file, stage = metrics / f"{TEACHER}.json", "evaluate_teacher"
            for number in _NUMBERS[task] + (_MEAN_SHAPE if task == "alignment" else ()):
                self._values["teacher", task, *number] = _number(document(file, stage), (task, *number), file, stage)
        for cell in cells(layout):
            file = metrics / f"{cell.run}.json"
            for number in _NUMBERS[cell.task]:
                value = _number(document(file, cell.stage), (*cell.path, *number), file, cell.stage)
                self._values[*cell.key, *number] = value

    def __getitem__(self, address: tuple[str, ...]) -> float:
        return self._values[address]


def _document(file: Path, stage: str) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingResultError(f"{file}: no such file; run `dvc repro {stage}`") from None
    except json.JSONDecodeError as error:
        raise MissingResultError(f"{file}: not valid JSON ({error}); run `dvc repro -f {stage}`") from None


def _number(document: Any, path: tuple[str, ...], file: Path, stage: str) -> float:
    value = document
    for depth, name in enumerate(path):
        if not isinstance(value, Mapping) or name not in value:
            raise MissingResultError(f"{file}: no {'.'.join(path[: depth + 1])}; run `dvc repro -f {stage}`")
        value = value[name]
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise MissingResultError(f"{file}: {'.'.join(path)} is {value!r}, not a number; run `dvc repro -f {stage}`")
    return float(value)


class Paper:
    """The numbers that the paper prints on CASIA-WebFace, CelebA and LFW, in percent."""

    def __init__(self) -> None:
        self._tables = json.loads(files(__package__).joinpath("paper.json").read_text(encoding="utf-8"))

    def get(self, *path: str) -> float | None:
        """The number at this place of paper.json; None where the paper has none."""
        value = self._tables
        for name in path:
            if not isinstance(value, Mapping) or name not in value:
                return None
            value = value[name]
        return float(value) if isinstance(value, int | float) else None
