"""The numbers of the report: all cells that the parameters ask for, and no others, even if their files are there."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Self

from facedistill.grid.cells import Cell, cells, metrics
from facedistill.grid.layout import CUSTOM, TEACHER, Layout
from facedistill.paths import COST


class MissingResultError(ValueError):
    """A number or a file of a cell of the grid is missing. The message names the stage to run."""


METRIC = {"alignment": "nrmse", "triplet": "nn_top1", "triplet_softmax": "nn_top1"}
"""The metric that each table of the transfer prints."""

LOWER_IS_BETTER = ("nrmse", "nme")
"""Metrics that are errors."""

_TRANSFER = {"alignment": (("nrmse",), ("nme",)), "triplet": (("nn_top1",),), "triplet_softmax": (("nn_top1",),)}
_MEAN_SHAPE = (("mean_shape_nrmse",), ("mean_shape_nme",))
_VIEW2 = ("accuracy", "standard_error", "fold_std")
_COST = ("parameters", "megabytes", "multiply_adds", "milliseconds")


class Mean(float):
    """The mean of a number over seeds.

    values: the number for each seed, in the order of params.yaml.
    """

    values: tuple[float, ...]

    def __new__(cls, values: Sequence[float]) -> Self:
        mean = super().__new__(cls, fmean(values))
        mean.values = tuple(values)
        return mean

    @property
    def deviation(self) -> float | None:
        """The standard deviation over the seeds; None if there is only one."""
        return stdev(self.values) if len(self.values) > 1 else None

    def __reduce__(self) -> tuple[Any, ...]:
        """How pickle makes it again, in another process."""
        return Mean, (self.values,)


def address(layout: Layout, cell: Cell) -> tuple[str, ...]:
    """The address of the mean over a cell's seeds in Results. It is the address of the first seed's cell."""
    return (*((CUSTOM,) if cell.custom else ()), layout.first[cell.student].name, *cell.path)


class Results:
    """Every metric of every cell, by address: results["resnet50-8", "alignment", "distill", "soft", "nrmse"].

    The metrics of a teacher are under ("teacher", task), the costs of a network under ("cost", name). There is no top-1
    if no photograph of the classification set has a name. Everything is in percent, except the costs and `parameters`
    (of the trunk alone, without heads). A student that was trained with
    several seeds has one address, with the name of its first seed. It holds the mean over the seeds.

    layout: the tables that the parameters ask for.
    identified: whether it is known who is on the photographs of the first set of pairs. If not, there is no rank-1.
    subsets: the subsets of these photographs, each with its number of impostor pairs; `all` is first.
    unresolved: subsets without a TPR, because they have too few impostor pairs.
    far: the share of impostor pairs that is accepted where a TPR is measured.
    """

    def __init__(self, layout: Layout, root: Path = Path()) -> None:
        """Reads the metrics of the repository at `root`. Raises MissingResultError if a cell is missing."""
        self.layout = layout
        seeds: dict[tuple[str, ...], list[float]] = defaultdict(list)
        document = cache(read_json)

        file, stage = root / metrics(TEACHER), "evaluate_teacher"
        teachers = document(file, stage)
        self.far = _number(teachers, ("far",), file, stage)
        self.identified = bool(_number(teachers, ("identified",), file, stage))
        names = ("all", *(name for name in _mapping(teachers, "negatives", file, stage) if name != "all"))
        negatives = {name: int(_number(teachers, ("negatives", name), file, stage)) for name in names}
        self.subsets = {name: count for name, count in negatives.items() if count}
        self.unresolved = [name for name, count in negatives.items() if not count]
        rank1 = (("rank1",),) if self.identified else ()
        shared = (("cross", "accuracy"), *(("cross", *number) for number in rank1))
        shared += (("centres", "own"), ("centres", "other"))
        view2 = (("pairs", name, number) for name in layout.pairs for number in _VIEW2)
        recognition = (*view2, *(("tpr", subset) for subset in self.subsets), *rank1, ("parameters",))

        top1 = (("top1",),) if "top1" in _mapping(teachers, "classification", file, stage) else ()
        for task in layout.tasks:
            numbers = _TRANSFER.get(task, (*top1, *recognition)) + (_MEAN_SHAPE if task == "alignment" else ())
            for number in numbers:
                seeds["teacher", task, *number].append(_number(teachers, (task, *number), file, stage))
        for cell in cells(layout):
            file, numbers = root / cell.metrics, _TRANSFER.get(cell.task, recognition)
            if cell.recipe and cell.recipe.needs_identity:
                numbers += (("top1",),)
            if cell.task in layout.margins:
                numbers += shared
            for number in numbers:
                value = _number(document(file, cell.stage), (*cell.path, *number), file, cell.stage)
                seeds[*address(layout, cell), *number].append(value)
        file, stage = root / COST, "measure_cost"
        for name in dict.fromkeys([TEACHER, *(student.name for student in layout.first.values())]):
            for key in _COST:
                seeds["cost", name, key].append(_number(document(file, stage), (name, key), file, stage))
        self._values = {address: Mean(values) for address, values in seeds.items()}

    def __getitem__(self, address: tuple[str, ...]) -> Mean:
        return self._values[address]

    def get(self, *address: str) -> Mean | None:
        """The number at an address; None if the grid or the recipe has no such number."""
        return self._values.get(address)


def read_json(file: Path, stage: str | None) -> Any:
    """The JSON that a stage wrote. Raises MissingResultError if the file is missing or is not JSON.

    stage: named in the message; None if the file is part of a trained model, which DVC may also fetch.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        mend = f"`dvc repro {stage}`" if stage else "`dvc pull`, or train it by `dvc repro`"
        raise MissingResultError(f"{file}: no such file; run {mend}") from None
    except json.JSONDecodeError as error:
        mend = f"`dvc repro -f {stage}`" if stage else "`dvc checkout`"
        raise MissingResultError(f"{file}: not valid JSON ({error}); run {mend}") from None


def _mapping(document: Any, name: str, file: Path, stage: str) -> Mapping[str, Any]:
    value = document.get(name) if isinstance(document, Mapping) else None
    if not isinstance(value, Mapping):
        raise MissingResultError(f"{file}: no {name} by name; run `dvc repro -f {stage}`")
    return value


def _number(document: Any, path: tuple[str, ...], file: Path, stage: str) -> float:
    value = document
    for depth, name in enumerate(path):
        if not isinstance(value, Mapping) or name not in value:
            raise MissingResultError(f"{file}: no {'.'.join(path[: depth + 1])}; run `dvc repro -f {stage}`")
        value = value[name]
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise MissingResultError(f"{file}: {'.'.join(path)} is {value!r}, not a number; run `dvc repro -f {stage}`")
    return float(value)
