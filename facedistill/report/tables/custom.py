"""The user's own recipes: a table for each group and student, below the teacher and students without a teacher."""

from __future__ import annotations

from collections.abc import Iterator

from facedistill.grid.layout import INIT
from facedistill.report.tables.gap_closed import CLEAR, closed
from facedistill.report.tables.recognition import columns, line, notes
from facedistill.results.markdown import percent, table
from facedistill.results.names import Row, addressed, pair_labels, student_label
from facedistill.results.reading import Reading

Place = tuple[str, ...]


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
            controls = addressed(_controls(reading), student)
            closes = [f"Closes, {title}" for title in pair_labels(layout).values()] if controls else []
            teacher, nothing = ("teacher", group.task), [""] * len(closes)
            lines = [["Teacher", *line(results, places, teacher), *nothing]]
            lines += [[f"*{row.full_label}*", *line(results, places, a), *nothing] for row, a in controls]
            for row, address in addressed(reading.labels.rows(group), student):
                shares = _shares(reading, teacher, [a for _, a in controls], address) if controls else []
                lines.append([row.printed_label, *line(results, places, address), *shares])
            blocks.append(table([f"`{group.name}`, {student_label(student)}", *titles, *closes], lines))
    share = (
        "“Closes” is the share that a recipe closes of the teacher's lead over the best student above it that learns "
        f"without a teacher; – if that lead is under {CLEAR['pairs']:g} points."
    )
    return ["## Recipes of your own (%)", *blocks, " ".join([share, *notes(results, shared)])]


def _controls(reading: Reading) -> Iterator[Row]:
    """The students without a teacher: W_S0, the one with the full budget, and those of each margin."""
    row, layout = reading.labels.row, reading.layout
    yield from (row(layout.groups[INIT], name) for name in layout.groups[INIT].recipes)
    if undistilled := reading.budget.undistilled:
        yield row(layout.groups["table2"], undistilled)
    for margin in layout.margins:
        group = layout.groups[margin]
        yield from (row(group, name) for name, recipe in group.recipes.items() if not recipe.needs_teacher)


def _shares(reading: Reading, teacher: Place, controls: list[Place], address: Place) -> list[str]:
    """The share of the teacher's lead over the best control that a recipe closes, on each set of pairs."""
    shares = []
    for name in reading.layout.pairs:
        place = ("pairs", name, "accuracy")
        best, ours, theirs = (
            max(reading.results[*other, *place] for other in of) for of in (controls, [address], [teacher])
        )
        shares.append(percent(closed(theirs, best, ours, "pairs")))
    return shares
