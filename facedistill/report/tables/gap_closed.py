"""How far a teacher is ahead of its undistilled students, and what share of this lead a recipe closes."""

from __future__ import annotations

from collections.abc import Mapping

from facedistill.results.markdown import number, percent, table
from facedistill.results.metrics import LOWER_IS_BETTER
from facedistill.results.names import student_label
from facedistill.results.reading import Reading

CLEAR = {"top1": 2.0, "nn_top1": 2.0, "nrmse": 0.3, "tpr": 2.0, "pairs": 2.0}
"""The points by which a teacher must lead an undistilled student to be called clearly better, for each metric."""


def closed(teacher: float, alone: float, value: float, metric: str) -> float | None:
    """The share of the teacher's lead over the undistilled student that `value` closes. None if the lead is not clear.

    0 means as good as the undistilled student, 1 as good as the teacher.

    teacher, alone, value: the metric of the teacher, of the undistilled student and of the recipe; higher is better.
    metric: a key of CLEAR.
    """
    lead = teacher - alone
    return (value - alone) / lead if lead >= CLEAR[metric] else None


def teacher_sentence(teacher: float, undistilled: Mapping[str, float], metric: str) -> str:
    """Whether the teacher is clearly better than every undistilled student, and by how much, in words.

    undistilled: the metric of each undistilled student, by its label.
    """
    sign = -1 if metric in LOWER_IS_BETTER else 1
    leads = {label: sign * (teacher - value) for label, value in undistilled.items()}
    shown = ", ".join(f"{label} {number(undistilled[label])}" for label in leads)
    if weak := [label for label, lead in leads.items() if lead < CLEAR[metric]]:
        return (
            f"**The teacher is not clearly better than the undistilled student here** (teacher {number(teacher)}; "
            f"{shown}). It is less than {CLEAR[metric]:g} points ahead of {', '.join(weak)}, so differences between "
            "recipes say little about distillation."
        )
    low, high = min(leads.values()), max(leads.values())
    by = f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"
    return f"The teacher ({number(teacher)}) leads the undistilled students by {by} points ({shown})."


def leads(reading: Reading) -> list[str]:
    """A table of the share of the teacher's lead that each distilled recipe of tables 1 and 2 closes.

    Empty if table 2 has no recipe without a teacher, because then there is no undistilled student to compare with.
    """
    results, layout = reading.results, reading.layout
    if (undistilled := reading.budget.undistilled) is None:
        return []
    groups = [layout.groups[name] for name in ("table2", "table1") if layout.tables[name]]
    rows = [row for group in groups for row in reading.labels.rows(group) if row.group is group]
    rows = [row for row in rows if (recipe := row.group.recipes[row.recipe]).needs_teacher and recipe.needs_identity]
    teacher = results["teacher", "classification", "top1"]
    lines = []
    for student in layout.tables["table2"]:
        alone = results[student.name, "table2", undistilled, "top1"]
        addresses = [row.of(student) for row in rows]
        values = [results[*address, "top1"] if address else None for address in addresses]
        shares = ["" if v is None else percent(closed(teacher, alone, v, "top1")) for v in values]
        lines.append([student_label(student), number(teacher - alone), *shares])
    return [
        "### How much of the teacher's lead does each recipe close?",
        "0 % is the student trained by softmax alone with the full budget, and 100 % is the teacher. Negative shares "
        "are worse than no distillation. An empty cell is a recipe that the student was not trained by. – means that "
        f"the lead is under {CLEAR['top1']:g} points, too small for a share.",
        table(["Student", "Lead in points", *(row.label for row in rows)], lines),
    ]
