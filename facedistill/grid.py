"""The cells of the tables: which trained models there are, where each lies, and under which name its metrics stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from facedistill.params import PARAMS_FILE, ParamsError, check, params, read
from facedistill.paths import MODELS

TRANSFER = ("alignment", "triplet", "triplet_softmax")
TASKS = ("classification", *TRANSFER)
CLASSIFICATION = ("softmax", "soft", "ours", "softmax_full", "soft_full")
TABLE1 = ("hidden", "logits", "fitnet")
TARGETS = ("none", "hidden", "soft")

TEACHER = "teacher"
OWN = "own"
"""The target of the cells that the user's own alpha and beta weigh."""


@params
class Weights:
    """alpha: of the soft target, H. beta: of the hidden layer, Ψ."""

    alpha: Annotated[float, Field(ge=0)]
    beta: Annotated[float, Field(ge=0)]

    def __str__(self) -> str:
        return f"α = {self.alpha:g}, β = {self.beta:g}"


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
        if taken := known.keys() & {TEACHER, OWN}:
            raise ParamsError(f"{path}: students: {taken.pop()!r} is the name of a folder of other models")

        def students(section: str) -> tuple[Student, ...]:
            names = check(tuple[str, ...], values[section]["students"], f"{path}: {section}.students")
            if unknown := [name for name in names if name not in known]:
                raise ParamsError(f"{path}: {section}.students: {unknown[0]!r} is not a key of `students`")
            return tuple(known[name] for name in names)

        targets = check(dict[str, Weights], values["targets"], f"{path}: targets")
        own = check(Weights, {key: values[key] for key in ("alpha", "beta")}, str(path))
        verification, alignment = students("verification"), students("alignment")
        if alone := [student.name for student in alignment if student not in verification]:
            raise ParamsError(f"{path}: alignment.students: {alone[0]!r} is not among verification.students")
        return cls(
            students=tuple(known.values()),
            table1=students("table1"),
            transfer={"alignment": alignment, "triplet": verification, "triplet_softmax": verification},
            weights={name: targets[name] for name in TARGETS} | {OWN: own},
        )


@dataclass(frozen=True)
class Cell:
    """One trained model of a table.

    key: its address in the results, (task, student, recipe) or (task, student, init, target). model: its folder.
    run: STUDENT or own/STUDENT, the evaluation that measures it and the name of the JSON; path: its place in there.
    """

    key: tuple[str, ...]
    run: str
    path: tuple[str, ...]
    model: Path

    @property
    def task(self) -> str:
        return self.key[0]

    @property
    def stage(self) -> str:
        """The DVC stage that evaluates it."""
        return f"evaluate_own@{self.key[1]}" if self.run.startswith(f"{OWN}/") else f"evaluate@{self.run}"


def teacher(task: str) -> Path:
    """Folder of the teacher of a task."""
    return MODELS / TEACHER / task


def inits(task: str) -> dict[str, str]:
    """The paper's name of each initialisation, and the student's model that it is."""
    return {"pretrain": f"pretrain_{task}", "distill": "ours"}


def cells(layout: Layout) -> Iterator[Cell]:
    """Every student's cell, in the order of the tables."""
    for group, recipes in (("classification", CLASSIFICATION), ("table1", TABLE1)):
        for student in layout.students if group == "classification" else layout.table1:
            for recipe in recipes:
                name = student.name
                yield Cell(("classification", name, recipe), name, (group, recipe), MODELS / name / recipe)
    for task, students in layout.transfer.items():
        for name in (student.name for student in students):
            for init, start in inits(task).items():
                for target in TARGETS:
                    model = MODELS / name / task / start / target
                    yield Cell((task, name, init, target), name, (task, init, target), model)
                run = f"{OWN}/{name}"
                yield Cell((task, name, init, OWN), run, (task, init), MODELS / run / task / start)
