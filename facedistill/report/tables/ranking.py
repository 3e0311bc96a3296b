"""Every recipe of the three papers beside the others, for one student, on the same data and by the same yardstick."""

from __future__ import annotations

from dataclasses import dataclass

from facedistill.grid import TRANSFER, Cell, Student, cells
from facedistill.report.tables import proxyless
from facedistill.report.tables.fujitsu import operating_point
from facedistill.report.tables.gap_closed import CLEAR, closed
from facedistill.results.budget import Budget
from facedistill.results.markdown import gap, number, percent, table
from facedistill.results.metrics import Results
from facedistill.results.names import MARGINS, METHODS

UNDISTILLED = "softmax_full"
"""The student that every recipe is held against: no distillation, both rates."""

ALONE = ("softmax", UNDISTILLED, proxyless.ALONE)
"""Recipes without a teacher."""

CONTROLS = (*ALONE, "soft_full")
"""Recipes that are in no paper."""

PROJECT = "strong"
"""This project's own recipe."""

PAPERS = {
    "table2": "Wang",
    "table1": "Wang",
    "losses": "Fujitsu",
    "architectures": "Fujitsu",
    "weighting": "Fujitsu",
}
"""Whose the recipes of each group of grid.RECIPES are; those of a margin are ProxylessKD's."""


CROSS = "Cross-model: rank-1 of the student's probes in the teacher's gallery; – where the two do not share one width. "


@dataclass(frozen=True)
class Row:
    """A recipe of one student. tera: 10¹² multiply-adds of its training; epochs: of it and of what it starts from."""

    cell: Cell
    label: str
    paper: str
    top1: float | None
    tpr: float
    tera: float
    epochs: int


def ranking(results: Results, budget: Budget) -> list[str]:
    """For each student of the poster's losses a table, best top-1 first, and what it shows in words."""
    blocks = [
        "“Closes”: the share of the classification teacher's lead over softmax alone with the full budget, in top-1 "
        f"and in TPR; – where that lead is under {CLEAR['top1']:g} points. {CROSS if results.identified else ''}"
        "Training: 10¹² multiply-adds, crops × epochs × (3 × the student's, and the teacher's where the recipe listens "
        "to it), with those of the models that it starts from, but not of the teacher. "
        f"{operating_point(results)}"
    ]
    cross = ["Cross-model"] if results.identified else []
    for student in results.layout.tables["losses"]:
        rows = rank(results, budget, student)
        header = ["Recipe", "Paper", "Top-1", *results.layout.sets.values(), "TPR", *cross]
        header += ["Closes, top-1", "Closes, TPR", "Training"]
        lines = [[row.label, row.paper, *_numbers(results, row, student)] for row in rows]
        blocks += [f"### {student.label}", table(header, lines, names=2), sentence(rows, student.label)]
    return blocks


def rank(results: Results, budget: Budget, student: Student) -> list[Row]:
    """Every recipe of one student, best top-1 first, TPR between equals, those without a classifier last."""
    own, teacher = (results["cost", name, "multiply_adds"] for name in (student.name, "teacher"))
    rows = []
    for cell in cells(results.layout):
        task, name, *rest = cell.key
        if task in TRANSFER or name != student.name:
            continue
        recipe = rest[0]
        label, paper = METHODS[recipe], PAPERS.get(cell.path[0], "ProxylessKD")
        if task != "classification":
            label = f"{MARGINS[task]}: {label}"
        rows.append(
            Row(
                cell=cell,
                label=label,
                paper="*control*" if recipe in CONTROLS else "*this project*" if recipe == PROJECT else paper,
                top1=results.get(*cell.key, "top1"),
                tpr=results[*cell.key, "tpr", "all"],
                tera=budget.multiply_adds(task, recipe, own, teacher),
                epochs=budget.epochs(task, recipe),
            )
        )
    return sorted(rows, key=lambda row: (-1 if row.top1 is None else row.top1, row.tpr), reverse=True)


def sentence(rows: list[Row], student: str) -> str:
    """In words: the best recipe, and the distilled ones whose top-1 is below no distillation for as many epochs."""
    by_recipe = {row.cell.key[2]: row for row in rows if row.cell.task == "classification"}
    short, full = by_recipe["softmax"], by_recipe[UNDISTILLED]
    distilled = [row for row in rows if row.cell.key[2] not in ALONE and row.top1 is not None]
    words = []
    for alone, said, compared in (
        (full, "Trained for longer than W_S0", [row for row in distilled if row.epochs > short.epochs]),
        (short, "Trained for as long as W_S0", [row for row in distilled if row.epochs <= short.epochs]),
    ):
        lost = [row.label for row in compared if _top1(row) < _top1(alone)]
        which = f": {'; '.join(lost)}" if lost else ""
        words.append(
            f"{said}, {len(lost)} of {len(compared)} distilled recipes lose to “{alone.label}” "
            f"({number(alone.top1)}){which}."
        )
    best, ahead = rows[0], gap(_top1(rows[0]) - _top1(full))
    return (
        f"**At {student} the best is “{best.label}”, top-1 {number(best.top1)}, {ahead} against no distillation with "
        f"the full budget ({number(full.top1)}).** {' '.join(words)}"
    )


def _top1(row: Row) -> float:
    assert row.top1 is not None
    return row.top1


def _numbers(results: Results, row: Row, student: Student) -> list[str]:
    key, teacher = row.cell.key, ("teacher", "classification")
    alone = ("classification", student.name, UNDISTILLED)
    shares = (
        None if row.top1 is None else closed(results[*teacher, "top1"], results[*alone, "top1"], row.top1, "top1"),
        closed(results[*teacher, "tpr", "all"], results[*alone, "tpr", "all"], row.tpr, "tpr"),
    )
    accuracies = (results[*key, "pairs", name, "accuracy"] for name in results.layout.pairs)
    cross = [results.get(*key, "cross", "rank1")] if results.identified else []
    training = f"{row.tera:,.0f}" if row.tera >= 100 else f"{row.tera:.3g}"
    return [*map(number, (row.top1, *accuracies, row.tpr, *cross)), *map(percent, shares), training]
