"""The models that are exported. params.yaml lists their folders below models/; each is a model of the tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, get_args

from facedistill.grid.cells import Cell, cells, metrics, teacher
from facedistill.grid.layout import TEACHER, Layout
from facedistill.params import PARAMS_FILE, ParamsError, load, params
from facedistill.paths import EXPORT_METRICS, EXPORTS, MODELS
from facedistill.recipe import Margin
from facedistill.results.metrics import address


@params
class ExportParams:
    """The section `export` of params.yaml.

    models: folders below models/, of students' cells or of teachers, in the order of the report.
    """

    models: tuple[str, ...]


class Measured(NamedTuple):
    """Where the metrics of a model are.

    file: a JSON file.
    path: the keys that lead to the metrics in it.
    stage: the stage that writes it.
    """

    file: Path
    path: tuple[str, ...]
    stage: str


@dataclass(frozen=True)
class Chosen:
    """A model to export.

    name: its folder below models/.
    task: its section of `tasks`.
    network: `teacher`, or the student of the first seed.
    measured: where its own metrics are, then the metrics of the same cell from other seeds.
    """

    name: str
    task: str
    network: str
    measured: tuple[Measured, ...]

    @property
    def folder(self) -> Path:
        """The folder of its ONNX files and its card."""
        return EXPORTS / self.name

    @property
    def metrics(self) -> Path:
        """The file with what its export measured."""
        return EXPORT_METRICS / f"{self.name}.json"

    @property
    def shared_with(self) -> Path | None:
        """The teacher of the same margin, whose space a student may share. None for a teacher and other tasks."""
        return teacher(self.task) if self.network != TEACHER and self.task in get_args(Margin) else None


def chosen(layout: Layout, path: Path = PARAMS_FILE) -> dict[str, Chosen]:
    """The models to export, by name. Raises ParamsError if one is in no table, or is listed twice."""
    names, known = load(ExportParams, "export", path).models, _known(layout)
    for i, name in enumerate(names):
        if name not in known:
            near = get_close_matches(name, known, n=3, cutoff=0) or known
            raise ParamsError(
                f"{path}: export.models: {name!r} is not a model of the tables; the names most like it are "
                f"{', '.join(near)}"
            )
        if name in names[:i]:
            raise ParamsError(f"{path}: export.models: {name!r} is listed twice")
    return {name: known[name] for name in names}


def _known(layout: Layout) -> Mapping[str, Chosen]:
    file, stage = metrics(TEACHER), "evaluate_teacher"
    found = {
        name: Chosen(name, task, TEACHER, (Measured(file, (task,), stage),))
        for name, task in ((f"{TEACHER}/{task}", task) for task in layout.tasks)
    }
    seeds: dict[tuple[str, ...], list[Cell]] = defaultdict(list)
    for cell in cells(layout):
        seeds[address(layout, cell)].append(cell)
    for same in seeds.values():
        for own in same:
            name = own.model.relative_to(MODELS).as_posix()
            # The export depends on no stage that measures the user's own cells, except the one of this model.
            first = [own, *(cell for cell in same if cell is not own and not cell.custom)]
            measured = tuple(Measured(cell.metrics, cell.path, cell.stage) for cell in first)
            network = layout.first[own.student].name
            found[name] = Chosen(name, own.task, network, measured)
    return found
