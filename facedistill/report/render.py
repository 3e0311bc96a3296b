"""From parameters, metrics and what training and evaluation left, to tables.md, claims.md and their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from facedistill.data.shards import Crops
from facedistill.evaluation.pairs import roc
from facedistill.grid import TEACHER, Layout, first_cells
from facedistill.params import PARAMS_FILE, read
from facedistill.paths import CROPS, EVALUATION
from facedistill.report import pictures, plots, style
from facedistill.report.curves import curves, figures
from facedistill.report.document import documents
from facedistill.report.provenance import Provenance, write_datasets
from facedistill.report.proxyless import MARGINS
from facedistill.report.results import Results
from facedistill.report.samples import model_rows, predicted_landmarks
from facedistill.report.style import METHODS
from facedistill.report.verdicts import CLAIMS, findings, save

DRAWN = 7
"""Test photographs in the picture of landmarks, evenly spread over the test side."""

CENTRES = ("l2kd", "proxyless")
"""Recipes in the plot of distances to the teacher's class centres."""

SHEET = (6, 10)
"""People in the sheet of crops, and photographs of each."""


def render(root: Path = Path()) -> None:
    """Write what the stage `report` has for outputs below `root`, the top of a repository.

    Raises ParamsError, DataError or MissingResultError where anything that the parameters ask for is not there.
    """
    layout, params = Layout.read(root / PARAMS_FILE), read(root / PARAMS_FILE)
    results = Results(layout, root)
    # All that the documents say rests on what git has: they can be written again, and compared, without data.
    write_datasets(layout, root)
    provenance = Provenance.read(layout, root)
    save(findings(results, provenance.corpus, root), root / CLAIMS)
    shown = [*_plots(root, layout, results, params), *_pictures(root, layout, provenance)]
    for name, text in documents(root, shown).items():
        (root / "reports" / name).write_text(text, encoding="utf-8")


def _plots(root: Path, layout: Layout, results: Results, params: Mapping[str, Any]) -> Iterator[str]:
    """Save the plots of numbers; the Markdown that shows each."""
    folder = root / "reports/plots"
    teacher = _roc(root, TEACHER, "classification", "evaluate_teacher")
    panels = {student.label: {TEACHER: teacher} for student in layout.tables["table2"]}
    for cell in first_cells(layout):
        if cell.path[0] == "table2":
            panels[layout.labels[cell.student]][cell.key[-1]] = _roc(root, cell.run, cell.name, cell.stage)

    style.save(plots.accuracy_by_parameters(results), folder / "accuracy.png")
    yield "![Accuracy against parameters](plots/accuracy.png)"
    style.save(plots.roc_curves(panels), folder / "roc.png")
    yield "![ROC on pairs of people nobody trained on](plots/roc.png)"
    if rows := _centres(root, layout):
        style.save(plots.centre_distances(rows), folder / "centres.png")
        yield "![Distances to the teacher's class centres](plots/centres.png)"
    for name, group, drawn in figures(layout, list(curves(layout, params, root))):
        title = f"Learning curves, {group}"
        style.save(plots.learning_curves(drawn, layout.labels, title), folder / f"curves_{name}.png")
        yield f"![{title}](plots/curves_{name}.png)"


def _pictures(root: Path, layout: Layout, provenance: Provenance) -> Iterator[str]:
    """Save the pictures of drawn faces; the Markdown that shows each, or says why there is none."""
    folder = root / "reports/plots"
    drawn = [("alignment", "landmarks", _landmarks)] if layout.transfer("alignment") else []
    for name, what, draw in (*drawn, ("classification", "crops", _sheet)):
        dataset = provenance.datasets[name]
        if dataset.kind == "synthetic":
            style.save(draw(root, layout), folder / f"{what}.png")
            yield f"![{what.capitalize()}](plots/{what}.png)"
        else:
            (folder / f"{what}.png").unlink(missing_ok=True)
            yield f"No picture of {what}: only drawn faces are shown in a report, and these are {dataset.what}."


def _landmarks(root: Path, layout: Layout) -> Figure:
    crops = Crops(root / CROPS / "alignment", "test")
    rows = np.linspace(0, len(crops) - 1, min(DRAWN, len(crops))).astype(int)
    shown = {"Teacher": predicted_landmarks(root / EVALUATION / TEACHER, "alignment", crops, "evaluate_teacher")}
    named = {("alignment", "pretrain", "none"): "undistilled", ("alignment", "distill"): "yours"}
    for cell in first_cells(layout):
        if name := named.get(cell.path):
            points = predicted_landmarks(root / EVALUATION / cell.run, cell.name, crops, cell.stage)
            shown[f"{layout.labels[cell.student]}\n{name}"] = points
    images = [crops.image(int(i)) for i in rows]
    return pictures.landmarks(images, crops.landmarks[rows], {label: p[rows] for label, p in shown.items()})


def _sheet(root: Path, layout: Layout) -> Figure:
    crops = Crops(root / CROPS / "classification", "train")
    people, each = SHEET
    rows = [np.flatnonzero(crops.labels == label)[:each] for label in range(min(people, len(crops.classes)))]
    return pictures.sheet([[crops.image(int(i)) for i in row] for row in rows])


def _roc(root: Path, run: str, model: str, stage: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pairs = model_rows(root / EVALUATION / run / "pairs.parquet", model, stage)
    far, tpr, _ = roc(pairs["distance"].to_numpy(), pairs["same"].to_numpy())
    return far, tpr


def _centres(root: Path, layout: Layout) -> dict[str, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    """(own, other) distances by margin and student, then by method."""
    found = {cell.key: cell for cell in first_cells(layout)}
    rows: dict[str, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for margin in layout.margins:
        for student in layout.tables["proxyless"]:
            row = rows[f"{MARGINS[margin]}, {student.label}"] = {}
            for recipe in CENTRES:
                cell = found[margin, student.name, recipe]
                table = model_rows(root / EVALUATION / cell.run / "centres.parquet", cell.name, cell.stage)
                row[METHODS[recipe].label] = (table["own"].to_numpy(), table["other"].to_numpy())
    return rows
