"""Table 10: ProxylessKD and its baselines, which share one embedding space with their teacher."""

from __future__ import annotations

from collections.abc import Iterable

from facedistill.grid import MARGIN
from facedistill.report.tables.fujitsu import operating_point
from facedistill.results.markdown import SEEDS, number, spread, table
from facedistill.results.metrics import Results
from facedistill.results.names import MARGINS, METHODS

ALONE = "margin"
"""The recipe without a teacher: a control."""


def table10(results: Results) -> list[str]:
    """A table for each margin and student: the teacher, the undistilled student, and every method."""
    titles, places = zip(*_columns(results), strict=True)
    blocks = []
    for margin in results.layout.margins:
        for student in results.layout.tables["proxyless"]:
            rows = [["Teacher", *_row(results, places, ("teacher", margin))]]
            for recipe in MARGIN:
                label = METHODS[recipe]
                row = _row(results, places, (margin, student.name, recipe))
                rows.append([f"*{label}*" if recipe == ALONE else label, *row])
            blocks.append(table([f"{MARGINS[margin]}, {student.label}", *titles], rows))
    return [
        *blocks,
        " ".join(["The paper's tables are not public here, so nothing stands in brackets.", *_notes(results)]),
    ]


def _notes(results: Results) -> list[str]:
    """Sentences on what the columns are."""
    rank1 = (
        "Rank-1: the nearest other photograph of unseen people, by cosine, shows the same person; the gallery is "
        "embedded by the model itself, or by the teacher while the student embeds the probes."
    )
    across = (
        "Across models: of each pair one photograph by the teacher, the other by the student; the teacher's row is "
        f"teacher against teacher. {', '.join(results.layout.sets.values())} ± the deviation between folds, {SEEDS}."
    )
    return [*([rank1] if results.identified else []), across, operating_point(results)]


def _columns(results: Results) -> list[tuple[str, tuple[str, ...]]]:
    """The title of each column and the place of its number; without those that need to know who is who, if nobody does.

    A list, for a user may call a set of pairs as another column is called.
    """
    sets = results.layout.sets
    columns: list[tuple[str, tuple[str, ...]]] = [("Top-1", ("top1",))]
    columns += [(title, ("pairs", name, "accuracy")) for name, title in sets.items()]
    columns.append(("TPR", ("tpr", "all")))
    if results.identified:
        columns += [("Rank-1, own gallery", ("rank1",)), ("Rank-1, teacher's gallery", ("cross", "rank1"))]
    return [*columns, (f"{sets[results.layout.pairs[0]]} across models", ("cross", "accuracy"))]


def _row(results: Results, places: Iterable[tuple[str, ...]], address: tuple[str, ...]) -> list[str]:
    row = []
    for place in places:
        if place[0] == "pairs":
            row.append(spread(*(results[*address, *place[:2], key] for key in ("accuracy", "fold_std"))))
        else:
            row.append(number(results.get(*address, *place)))
    return row
