"""The user's own recipes: a table for each group and student, with the teacher and undistilled students on top."""

from __future__ import annotations

from collections.abc import Iterator

from facedistill.grid.layout import INIT
from facedistill.report.tables.recognition import columns, line, notes
from facedistill.results.markdown import table
from facedistill.results.names import Row, addressed, student_label
from facedistill.results.reading import Reading


def custom(reading: Reading) -> list[str]:
    """All of these tables, and what their columns mean. Empty if the user has no recipe."""
    results, layout = reading.results, reading.layout
    groups = [group for group in layout.groups.values() if group.custom and group.students]
    if not groups:
        return []
    shared = groups[0].task in layout.margins
    titles, places = zip(*columns(results, shared), strict=True)
    blocks = []
    for group in groups:
        for student in layout.tables["custom"]:
            lines = [["Teacher", *line(results, places, ("teacher", group.task))]]
            rows = [*_controls(reading), *reading.labels.rows(group)]
            lines += [[row.printed_label, *line(results, places, a)] for row, a in addressed(rows, student)]
            blocks.append(table([f"`{group.name}`, {student_label(student)}", *titles], lines))
    return ["## Recipes of your own (%)", *blocks, " ".join(notes(results, shared))]


def _controls(reading: Reading) -> Iterator[Row]:
    """The undistilled students of classification: W_S0, and the one with the full budget."""
    row, groups = reading.labels.row, reading.layout.groups
    yield from (row(groups[INIT], name) for name in groups[INIT].recipes)
    if undistilled := reading.budget.undistilled:
        yield row(groups["table2"], undistilled)
