"""Which pictures a report has and which models they show, from the files that training and evaluation wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from facedistill.crops.shards import Crops
from facedistill.evaluation.pairs import roc
from facedistill.grid.cells import Cell, first_cells
from facedistill.grid.layout import CUSTOM, INIT, TEACHER
from facedistill.paths import CROPS, EVALUATION
from facedistill.report.pictures import distances, identities, photographs, plots
from facedistill.report.pictures.curves import CurvesFigure, curve, figures
from facedistill.report.pictures.photographs import HARDEST, Found, Pair
from facedistill.report.pictures.style import TARGET_LOOKS, looks
from facedistill.results.metrics import MissingResultError
from facedistill.results.names import MARGINS, Row, pair_labels, student_label, student_labels
from facedistill.results.reading import Reading
from facedistill.results.samples import Samples, model_rows, predicted_landmarks

PLOTS, PRIVATE = Path("reports/plots"), Path("reports/private")
"""The folder of pictures of numbers and of drawn faces, which git keeps; and of people, which git never keeps."""

PLACES = (("best", 0.0), ("", 0.0), ("", 0.5), ("median", 0.5), ("", 0.5), ("", 1.0), ("worst", 1.0))
"""The test photographs whose landmarks are drawn: a name, and the share of photographs with a lower error."""
LETTERS = 28
"""The most letters in a line above a histogram."""
SHEET = (6, 10)
"""The number of people in the sheet of crops, and of photographs of each."""


class Picture(NamedTuple):
    """A picture of the report.

    file: its file below the top of the repository, a JPEG if it shows photographs.
    shown: the Markdown that shows it, or that names it if it is private.
    draw: makes the figure; None if there is nothing to show. Raises MissingResultError if a file of training or
        evaluation is missing, ParamsError, and DataError if crops are not what `align_crop` wrote.
    """

    file: Path
    shown: str
    draw: Callable[[], Figure | None]


class Drawing:
    """The pictures of a repository."""

    def __init__(self, reading: Reading) -> None:
        self._reading, self._root, self._layout = reading, reading.root, reading.layout
        self._results, self._provenance = reading.results, reading.provenance
        self._cells = {cell.address: cell for cell in first_cells(self._layout)}
        self._samples = Samples(self._layout, self._root)

    def numbers(self) -> Iterator[Picture]:
        """The plots of numbers. Files are read when a plot is drawn."""
        tables = self._layout.tables
        yield _plot("accuracy.png", "Accuracy against cost", lambda: plots.accuracy_by_cost(self._reading))
        if tables["table2"]:
            yield _plot("roc.png", "ROC and DET on people nobody trained on", self._roc)
            yield _plot("distances.png", "Distances of genuine and impostor pairs", self._distances)
        if tables["proxyless"] and self._layout.margins:
            yield _plot("centres.png", "Distances to the teacher's class centres", self._centres)
        if self._results.get(TEACHER, "classification", "top1") is not None:
            yield _plot("confusion.png", "The people who are mixed up most", self._confusions)
        if self._results.identified:
            yield _plot("embeddings.png", "Map of embeddings", self._map)
        if self._layout.transfer("alignment"):
            yield _plot("nrmse.png", "Share of photographs under an NRMSE", self._nrmse)
        for figure in figures(self._reading):
            title = f"Learning curves, {figure.title}"
            yield _plot(f"curves_{figure.name}.png", title, partial(self._curves, figure, title))

    def photographs(self) -> Iterator[Picture]:
        """The pictures of photographs: in PLOTS if the faces are drawn, else in PRIVATE."""
        layout = self._layout
        shown = [
            (layout.first_pairs, "pairs.jpg", "The hardest pairs", self._hardest),
            (layout.datasets["classification"], "crops.jpg", "Crops, a person in each row", self._sheet),
        ]
        if layout.transfer("alignment"):
            title = "Landmarks on test photographs, best to worst"
            shown.insert(0, (layout.datasets["alignment"], "landmarks.jpg", title, self._landmarks))
        for dataset, file, title, draw in shown:
            kept = self._provenance.datasets[dataset]
            if kept.kind == "synthetic":
                yield _plot(file, title, partial(draw, title))
            else:
                words = f"{title}: [private/{file}](private/{file}), which git does not keep: these are {kept.what}."
                yield Picture(PRIVATE / file, words, partial(draw, title))

    def _rows(self, cell: Cell | None, name: str) -> pa.Table:
        """The rows of a cell in the table `name` of its evaluation. None means the classification teacher."""
        run, model, stage = (
            (cell.run, cell.name, cell.stage) if cell else (TEACHER, "classification", "evaluate_teacher")
        )
        return model_rows(self._root / EVALUATION / run / f"{name}.parquet", model, stage)

    @cached_property
    def _first(self) -> list[Row]:
        """W_S0, if the set has names to train it with, and W_S^cls, from which the transfers start."""
        row, groups = self._reading.labels.row, self._layout.groups
        group, recipe = self._layout.distilled
        return [*(row(groups[INIT], name) for name in [*groups[INIT].recipes][:1]), row(groups[group], recipe)]

    def _few(self) -> Iterator[tuple[str, Cell | None]]:
        """The models of a small picture, each after its title: the teacher, W_S0 and W_S^cls.

        The student is the smallest one of table 2; if that has no student, there is only the teacher.
        """
        yield "Teacher", None
        if students := self._layout.tables["table2"]:
            smallest = min(students, key=lambda s: self._results["cost", s.name, "parameters"])
            for row in self._first:
                if address := row.of(smallest):
                    yield f"{student_label(smallest)},\n{row.label}", self._cells[address]

    def _roc(self) -> Figure:
        curves: dict[str, dict[str, distances.Curve]] = {}
        operating: dict[str, dict[str, float]] = {}
        rows = self._reading.labels.rows(self._layout.groups["table2"])
        for student in self._layout.tables["table2"]:
            label = student_label(student)
            drawn, points = curves.setdefault(label, {}), operating.setdefault(label, {})
            addresses: dict[str, tuple[str, ...]] = {TEACHER: (TEACHER, "classification")}
            addresses |= {row.key: address for row in rows if (address := row.of(student))}
            for name, address in addresses.items():
                drawn[name] = self._curve(self._rows(self._cells.get(address), "pairs"))
                points[name] = self._results[*address, "tpr", "all"].values[0] / 100
        return distances.roc_and_det(curves, operating, self._results.far, looks(rows))

    def _distances(self) -> Figure:
        group = self._layout.groups["table2"]
        # As many as have room: W_S0, W_S^cls, and the last distilled recipe of the table.
        taught = [row for row in self._reading.labels.rows(group) if row.group.recipes[row.recipe].needs_teacher]
        shown = [*self._first, *(row for row in taught[-1:] if row.key != self._first[-1].key)]
        rows: dict[str, dict[str, Any]] = {}
        for student in self._layout.tables["table2"]:
            panels = rows.setdefault(student_label(student), {})
            named = {row.label: self._cells[address] for row in shown if (address := row.of(student))}
            for label, cell in {"Teacher": None, **named}.items():
                table = self._rows(cell, "pairs")
                distance, same = table["distance"].to_numpy(), table["same"].to_numpy()
                error = distances.equal_error(*self._curve(table))
                panels[f"{fill(label, LETTERS)}\nequal error {error:.1f} %"] = (distance[same], distance[~same])
        title = f"Distances of pairs of people nobody trained on, {next(iter(pair_labels(self._layout).values()))}"
        return distances.histograms(rows, distances.PAIRS, title, "Squared distance", "Pairs")

    def _curve(self, pairs: pa.Table) -> distances.Curve:
        far, tpr, _ = roc(pairs["distance"].to_numpy(), pairs["same"].to_numpy())
        return far, tpr

    def _centres(self) -> Figure | None:
        """For the recipes whose classifier is the teacher's class centres."""
        found: dict[str, dict[str, Any]] = {}
        for margin in self._layout.margins:
            group = self._layout.groups[margin]
            rows = [r for r in self._reading.labels.rows(group) if group.recipes[r.recipe].classifier == "teacher"]
            for student in self._layout.tables["proxyless"] if rows else []:
                panels = found[f"{MARGINS[margin]}, {student_label(student)}"] = {}
                for row in rows:
                    table = self._rows(self._cells[student.name, margin, row.recipe], "centres")
                    own, other = table["own"].to_numpy(), table["other"].to_numpy()
                    nearest = f"own centre nearest in {100 * np.mean(own < other):.0f} %"
                    panels[f"{row.label}: {nearest}"] = (own, other)
        title = "Test photographs among their teacher's class centres"
        return (
            distances.histograms(found, distances.CENTRES, title, "Distance, 1 − cos", "Photographs") if found else None
        )

    def _confusions(self) -> Figure | None:
        models = {title: self._confusion(cell) for title, cell in self._few()}
        mixed_up = any(label != answer for model in models.values() for label, answer in model)
        return identities.confusions(models) if mixed_up else None

    def _confusion(self, cell: Cell | None) -> identities.Confusion:
        columns = (self._rows(cell, "confusion")[name].to_pylist() for name in ("label", "answer", "photographs"))
        return {(label, answer): count for label, answer, count in zip(*columns, strict=True)}

    def _map(self) -> Figure:
        points = {}
        for title, cell in self._few():
            table = self._rows(cell, "embeddings")
            points[title] = (table["person"].to_numpy(), np.array(table["components"].to_pylist()))
        return identities.embedding_map(points)

    def _curves(self, figure: CurvesFigure, title: str) -> Figure:
        drawn = [curve(cell, method, self._reading) for method, cell in figure.cells]
        methods = looks(figure.rows) if figure.rows else TARGET_LOOKS
        return plots.learning_curves(drawn, methods, student_labels(self._layout), title)

    def _nrmse(self) -> Figure:
        def errors(run: str, model: str, stage: str) -> Any:
            return self._samples.of("nrmse", run, model, stage)

        teacher = (TEACHER, "", errors(TEACHER, "alignment", "evaluate_teacher"))
        panels: dict[str, list[tuple[str, str, Any]]] = {}
        for cell in self._cells.values():
            if cell.task == "alignment":
                panel = panels.setdefault(student_labels(self._layout)[cell.student], [teacher])
                panel.append((cell.method, cell.init, errors(cell.run, cell.name, cell.stage)))
        return plots.nrmse_curves(panels)

    @cached_property
    def _aligned(self) -> Crops:
        return Crops(self._root / CROPS / self._layout.datasets["alignment"], "test")

    def _landmarks(self, title: str) -> Figure:
        shown = {"Teacher": self._places(TEACHER, "alignment", "evaluate_teacher")}
        named = {("alignment", "pretrain", "none"): "undistilled", ("alignment", "distill"): CUSTOM}
        for cell in self._cells.values():
            if name := named.get(cell.path):
                label = f"{student_labels(self._layout)[cell.student]}\n{name}"
                shown[label] = self._places(cell.run, cell.name, cell.stage)
        return photographs.landmarks(shown, f"{title}, with the NRMSE")

    def _places(self, run: str, model: str, stage: str) -> list[tuple[str, Found]]:
        crops = self._aligned
        points = predicted_landmarks(self._root / EVALUATION / run, model, crops, stage)
        errors = self._samples.of("nrmse", run, model, stage)
        assert errors is not None
        order = np.argsort(errors, kind="stable")
        places = []
        for i, (name, share) in enumerate(PLACES):
            # Places with the same share take photographs next to one another in this order.
            beside = i - next(j for j, place in enumerate(PLACES) if place[1] == share)
            many = sum(place[1] == share for place in PLACES)
            row = int(order[min(len(order) - 1, round(share * max(0, len(order) - many)) + beside)])
            places.append((name, Found(crops.image(row), crops.landmarks[row], points[row], float(errors[row]))))
        return places

    def _hardest(self, title: str) -> Figure:
        dataset = self._layout.first_pairs
        crops = Crops(self._root / CROPS / dataset, "test")
        pairs = crops.pairs
        rows: dict[str, Sequence[Pair]] = {}
        for label, cell in self._few():
            distance = self._rows(cell, "pairs")["distance"].to_numpy()
            if len(distance) != len(pairs.same):
                raise MissingResultError(
                    f"{EVALUATION}: rows of {len(distance)} pairs, but {crops.folder} has {len(pairs.same)}; run "
                    f"`dvc repro -f {cell.stage if cell else 'evaluate_teacher'}`"
                )
            for same, kind, sign in ((True, "one person", -1), (False, "two people", 1)):
                candidates = np.flatnonzero(pairs.same == same)
                hardest = candidates[np.argsort(sign * distance[candidates], kind="stable")[:HARDEST]]
                rows[f"{label}:\n{kind}"] = [
                    Pair(crops.image(int(pairs.a[i])), crops.image(int(pairs.b[i])), float(distance[i]))
                    for i in hardest
                ]
        return photographs.hardest_pairs(rows, f"{title}: far apart and yet one person, near and yet two")

    def _sheet(self, title: str) -> Figure:
        crops = Crops(self._root / CROPS / self._layout.datasets["classification"], "train")
        people, each = SHEET
        rows = [np.flatnonzero(crops.labels == label)[:each] for label in np.unique(crops.labels)[:people]]
        return photographs.sheet([[crops.image(int(i)) for i in row] for row in rows], title)


def _plot(file: str, title: str, draw: Callable[[], Figure | None]) -> Picture:
    return Picture(PLOTS / file, f"![{title}](plots/{file})", draw)
