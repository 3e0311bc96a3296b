"""The numbers of the report: every cell that the parameters ask for, and nothing that lies in a folder beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from facedistill import grid
from facedistill.grid import Weights
from facedistill.params import PARAMS_FILE, check, read
from facedistill.paths import METRICS

TRANSFER = ("alignment", "triplet", "triplet_softmax")
OWN = "own"
"""The target of the cells that the user's own alpha and beta weigh."""


class MissingResultError(ValueError):
    """A number or a file of an enumerated cell is not there: the message names the stage to run."""


@dataclass(frozen=True)
class Student:
    """A network of `students` in params.yaml."""

    name: str
    architecture: str
    divisor: int

    @property
    def label(self) -> str:
        return f"ResNet-50/{self.divisor}" if self.architecture == "resnet50" else self.name


@dataclass(frozen=True)
class Layout:
    """What the tables hold. weights: of every target by name, the user's `own` last."""

    students: tuple[Student, ...]
    table1: tuple[Student, ...]
    transfer: Mapping[str, tuple[Student, ...]]
    weights: Mapping[str, Weights]

    @classmethod
    def read(cls, path: Path = PARAMS_FILE) -> Layout:
        """From a parameter file. Raises ParamsError, also for a student of a table that `students` does not name."""
        values = read(path)
        known = {
            name: Student(name, network["architecture"], network.get("divisor", 1))
            for name, network in check(dict[str, dict[str, Any]], values["students"], f"{path}: students").items()
        }

        def students(section: str) -> tuple[Student, ...]:
            names = check(tuple[str, ...], values[section]["students"], f"{path}: {section}.students")
            if unknown := [name for name in names if name not in known]:
                raise MissingResultError(f"{path}: {section}.students: {unknown[0]!r} is not a key of `students`")
            return tuple(known[name] for name in names)

        targets = check(dict[str, Weights], values["targets"], f"{path}: targets")
        own = check(Weights, {key: values[key] for key in ("alpha", "beta")}, str(path))
        verification = students("verification")
        return cls(
            students=tuple(known.values()),
            table1=students("table1"),
            transfer={"alignment": students("alignment"), "triplet": verification, "triplet_softmax": verification},
            weights={name: targets[name] for name in grid.TARGETS} | {OWN: own},
        )


@dataclass(frozen=True)
class Cell:
    """One trained model of a table.

    key: its address in Results, (task, student, recipe) or (task, student, init, target).
    path: where it stands in the JSON that `stage` writes as METRICS/`group`/STUDENT.json. model: its folder in MODELS.
    """

    key: tuple[str, ...]
    group: str
    path: tuple[str, ...]
    stage: str
    model: Path

    @property
    def student(self) -> str:
        return self.key[1]

    @property
    def file(self) -> Path:
        """Below METRICS."""
        return Path(self.group) / f"{self.student}.json"


def cells(layout: Layout) -> Iterator[Cell]:
    """Every student's cell, in the order of the tables."""
    for group in ("classification", "table1"):
        for student in layout.students if group == "classification" else layout.table1:
            for recipe, model in grid.cells(group, student.name).items():
                key = ("classification", student.name, recipe)
                yield Cell(key, group, (recipe,), f"evaluate_{group}@{student.name}", model)
    for task, students in layout.transfer.items():
        kind = "alignment" if task == "alignment" else "verification"
        for student in students:
            for init, targets in grid.cells(task, student.name).items():
                for target, model in targets.items():
                    stage = f"evaluate_{kind}@{student.name}"
                    yield Cell((task, student.name, init, target), task, (init, target), stage, model)
            for init, model in grid.cells(f"own_{task}", student.name).items():
                stage = f"evaluate_own_{kind}@{student.name}"
                yield Cell((task, student.name, init, OWN), f"own_{task}", (init,), stage, model)


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
        for task in ("classification", *TRANSFER):
            file, stage = metrics / "teacher.json", "evaluate_teacher"
            for number in _NUMBERS[task] + (_MEAN_SHAPE if task == "alignment" else ()):
                self._values["teacher", task, *number] = _number(document(file, stage), (task, *number), file, stage)
        for cell in cells(layout):
            file = metrics / cell.file
            for number in _NUMBERS[cell.key[0]]:
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
