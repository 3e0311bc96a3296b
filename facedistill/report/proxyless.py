"""Table 10: ProxylessKD and its baselines, which share one embedding space with their teacher."""

from __future__ import annotations

from facedistill.grid import MARGIN
from facedistill.report.markdown import number, spread, table
from facedistill.report.results import Results
from facedistill.report.style import METHODS

ALONE = "margin"
"""The recipe without a teacher: a control."""

MARGINS = {"arcface": "ArcFace", "cosface": "CosFace"}
COLUMNS = {
    "Top-1": ("top1",),
    "LFW": ("lfw", "accuracy"),
    "TPR": ("tpr", "all"),
    "Rank-1, own gallery": ("rank1",),
    "Rank-1, teacher's gallery": ("cross", "rank1"),
    "LFW across models": ("cross", "lfw"),
}


def table10(results: Results) -> list[str]:
    """A table for each margin and student: the teacher, the undistilled student, and every method."""
    blocks = []
    for margin in results.layout.margins:
        for student in results.layout.tables["proxyless"]:
            rows = [["Teacher", *_row(results, ("teacher", margin))]]
            for recipe in MARGIN:
                label = METHODS[recipe].label
                row = _row(results, (margin, student.name, recipe))
                rows.append([f"*{label}*" if recipe == ALONE else label, *row])
            blocks.append(table([f"{MARGINS[margin]}, {student.label}", *COLUMNS], rows))
    return [
        *blocks,
        "The paper's tables are not public here, so nothing stands in brackets. Rank-1: the nearest other photograph "
        "of unseen people, by cosine, shows the same person; the gallery is embedded by the model itself, or by the "
        "teacher while the student embeds the probes. LFW across models: of each pair one photograph by the teacher, "
        "the other by the student. The teacher's row is teacher against teacher. LFW ± its deviation between folds; "
        f"TPR at FAR {100 * results.far:g} %, the threshold set on {results.subsets['all']:,} pairs of two unseen "
        "people.",
    ]


def _row(results: Results, address: tuple[str, ...]) -> list[str]:
    row = []
    for place in COLUMNS.values():
        value = results.get(*address, *place)
        if place == ("lfw", "accuracy"):
            row.append(spread(results[*address, *place], results[*address, "lfw", "fold_std"]))
        else:
            row.append(number(value))
    return row
