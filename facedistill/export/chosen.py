"""The models that are exported: a list in params.yaml, each the folder of a model of the tables, below models/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from facedistill.grid import TEACHER, Layout, cells, teacher
from facedistill.params import PARAMS_FILE, ParamsError, load, params
from facedistill.paths import METRICS, MODELS

EXPORTS = Path("exports")
"""A folder for each exported model: its ONNX files and its card."""

EXPORT_METRICS = METRICS / "export"


@params
class ExportParams:
    """models: folders below models/ of students' cells and of teachers, in the order of the report."""

    models: tuple[str, ...]


@dataclass(frozen=True)
class Chosen:
    """name: its folder below models/. task: its section of `tasks`. address: in the results of the report.

    seed: which of the results' seeds it is, from 0. student: a key of `students`, or `teacher`.
    """

    name: str
    task: str
    student: str
    address: tuple[str, ...]
    seed: int = 0

    @property
    def folder(self) -> Path:
        """Where its ONNX files and its card lie."""
        return EXPORTS / self.name

    @property
    def metrics(self) -> Path:
        """What its export measured."""
        return EXPORT_METRICS / f"{self.name}.json"

    @property
    def shared_with(self) -> Path | None:
        """The teacher of its margin softmax, whose space it may share; None for a teacher and other tasks."""
        return teacher(self.task) if len(self.address) == 3 and self.task in ("arcface", "cosface") else None


def chosen(layout: Layout, path: Path = PARAMS_FILE) -> dict[str, Chosen]:
    """The models to export, by name. Raises ParamsError for one that is in no table, and one that is named twice."""
    names, known = load(ExportParams, "export", path).models, _known(layout)
    for i, name in enumerate(names):
        if name not in known:
            near = [other for other in known if other.partition("/")[0] == name.partition("/")[0]]
            raise ParamsError(
                f"{path}: export.models: {name!r} is no model of the tables; "
                f"{'there ' if near else ''}are: {', '.join(near or known)}"
            )
        if name in names[:i]:
            raise ParamsError(f"{path}: export.models: {name!r} is there twice")
    return {name: known[name] for name in names}


def _known(layout: Layout) -> Mapping[str, Chosen]:
    found = {f"{TEACHER}/{task}": Chosen(f"{TEACHER}/{task}", task, TEACHER, (TEACHER, task)) for task in layout.tasks}
    seeds: dict[tuple[str, ...], int] = {}
    for cell in cells(layout):
        name = cell.model.relative_to(MODELS).as_posix()
        address = (cell.task, layout.first[cell.student].name, *cell.key[2:])
        seed = seeds[address] = seeds.get(address, -1) + 1
        found[name] = Chosen(name, cell.task, cell.student, address, seed)
    return found
