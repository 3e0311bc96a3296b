"""Table 10: ProxylessKD and its baselines, which share one embedding space with their teacher."""

from __future__ import annotations

from facedistill.report.tables.recognition import columns, line, notes
from facedistill.results.markdown import table
from facedistill.results.names import MARGINS, addressed, student_label
from facedistill.results.reading import Reading


def table10(reading: Reading) -> list[str]:
    """A table for each margin and student, with the teacher, the undistilled student and every method."""
    results = reading.results
    titles, places = zip(*columns(results, shared=True), strict=True)
    blocks = []
    for margin in reading.layout.margins:
        for student in reading.layout.tables["proxyless"]:
            lines = [["Teacher", *line(results, places, ("teacher", margin))]]
            rows = reading.labels.rows(reading.layout.groups[margin])
            lines += [[row.printed_label, *line(results, places, a)] for row, a in addressed(rows, student)]
            blocks.append(table([f"{MARGINS[margin]}, {student_label(student)}", *titles], lines))
    said = ["The paper's tables are not available here, so no number is in brackets.", *notes(results, shared=True)]
    return [*blocks, " ".join(said)]
