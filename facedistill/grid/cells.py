"""The address of each trained network. It is its folder below models/ and its place in all measurements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facedistill.grid.layout import CUSTOM, TARGETS, TEACHER, TRANSFER, Group, Layout, section
from facedistill.paths import CUSTOM_METRICS, METRICS, MODELS
from facedistill.recipe import Recipe


@dataclass(frozen=True)
class Cell:
    """One trained network of the tables.

    address: STUDENT/GROUP/RECIPE in parts; custom/STUDENT/GROUP/RECIPE for the user's own. For a transfer the group is
        the task, and the recipe is INIT/TARGET, or only INIT for the user's own weights.
    task: `classification`, one of TRANSFER, or a margin.
    recipe: the recipe that trains it; None for a transfer.
    run: the evaluation that measures it: STUDENT, or custom/STUDENT/GROUP.
    """

    address: tuple[str, ...]
    task: str
    recipe: Recipe | None
    run: str

    @property
    def custom(self) -> bool:
        """Whether the network is the user's own."""
        return self.address[0] == CUSTOM

    @property
    def student(self) -> str:
        return self.address[1] if self.custom else self.address[0]

    @property
    def path(self) -> tuple[str, ...]:
        """GROUP/RECIPE in parts, which is its place in the JSON of its evaluation."""
        return self.address[2:] if self.custom else self.address[1:]

    @property
    def group(self) -> str:
        return self.path[0]

    @property
    def method(self) -> str:
        """The name of the recipe. For a transfer it is the target, or `custom` for the user's own weights."""
        return CUSTOM if self.custom and self.task in TRANSFER else self.path[-1]

    @property
    def init(self) -> str:
        """The start of a transfer, `pretrain` or `distill`; empty for any other network."""
        return self.path[1] if self.task in TRANSFER else ""

    @property
    def name(self) -> str:
        """The name of the model in the parquet files that its evaluation writes for the plots."""
        return "/".join(self.path)

    @property
    def model(self) -> Path:
        """The folder of the model."""
        return MODELS.joinpath(*self.address)

    @property
    def stage(self) -> str:
        """The DVC stage that evaluates it."""
        if not self.custom:
            return f"evaluate@{self.run}"
        if self.task in TRANSFER:
            return f"custom_{section(self.task)}@{self.student}"
        return f"distill_custom@{self.student}-{self.group}"

    @property
    def metrics(self) -> Path:
        """The JSON of its evaluation."""
        return metrics(self.run)


def teacher(task: str) -> Path:
    """The folder of the teacher of a task."""
    return MODELS / TEACHER / task


def folder(student: str, group: Group) -> Path:
    """The folder of a group's models. It has a folder for each recipe, steps included."""
    return (MODELS / CUSTOM if group.custom else MODELS) / student / group.name


def metrics(run: str) -> Path:
    """The JSON of an evaluation. `run` is the name of a student, `teacher`, or custom/STUDENT/GROUP."""
    own = run.removeprefix(f"{CUSTOM}/")
    return (METRICS if own == run else CUSTOM_METRICS) / f"{own}.json"


def pretrained(student: str, task: str) -> Path:
    """The folder of a student that was trained only on a task of TRANSFER: "Pretrain" in tables 3 to 5."""
    return MODELS / student / f"pretrain_{task}"


def cells(layout: Layout) -> Iterator[Cell]:
    """Yield the cells of every student, group by group, then task by task. A recipe that is a step has no cell."""
    for group in layout.groups.values():
        for name in (student.name for student in group.students):
            prefix, run = ((CUSTOM,), f"{CUSTOM}/{name}/{group.name}") if group.custom else ((), name)
            for key, recipe in group.recipes.items():
                if not recipe.step:
                    yield Cell((*prefix, name, group.name, key), group.task, recipe, run)
    for task in TRANSFER:
        for name in (student.name for student in layout.members[section(task)]):
            for init in ("pretrain", "distill"):
                for target in TARGETS:
                    yield Cell((name, task, init, target), task, None, name)
                yield Cell((CUSTOM, name, task, init), task, None, f"{CUSTOM}/{name}/{section(task)}")


def first_cells(layout: Layout) -> Iterator[Cell]:
    """Yield the cells of the first seed of each network. Plots show these."""
    return (cell for cell in cells(layout) if layout.first[cell.student].name == cell.student)
