"""How far a teacher is ahead of its undistilled students, and what share of that a recipe closes."""

from __future__ import annotations

from collections.abc import Mapping

from facedistill.results.markdown import number, percent, table
from facedistill.results.metrics import LOWER_IS_BETTER, Results

CLEAR = {"top1": 2.0, "nn_top1": 2.0, "nrmse": 0.3, "tpr": 2.0}
"""By how many points a teacher must lead an undistilled student to be called clearly better."""


def closed(teacher: float, alone: float, value: float, metric: str) -> float | None:
    """The share of the teacher's lead over the undistilled student that `value` closes; None under a clear lead.

    All three are of one metric of CLEAR, higher is better. 0: as good as undistilled; 1: as good as the teacher.
    """
    lead = teacher - alone
    return (value - alone) / lead if lead >= CLEAR[metric] else None


def teacher_sentence(teacher: float, undistilled: Mapping[str, float], metric: str) -> str:
    """In words, whether the teacher is clearly better than every undistilled student (by label), and by how much."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    leads = {label: sign * (teacher - value) for label, value in undistilled.items()}
    shown = ", ".join(f"{label} {number(undistilled[label])}" for label in leads)
    if weak := [label for label, lead in leads.items() if lead < CLEAR[metric]]:
        return (
            f"**The teacher is not clearly better than the undistilled student here** (teacher {number(teacher)}; "
            f"{shown}; under {CLEAR[metric]:g} points ahead of {', '.join(weak)}): differences between recipes say "
            "little about distillation."
        )
    low, high = min(leads.values()), max(leads.values())
    by = f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"
    return f"The teacher ({number(teacher)}) leads the undistilled students by {by} points ({shown})."


def leads(results: Results) -> list[str]:
    """What share of the teacher's lead over the undistilled student, at equal budget, each recipe of table 2 closes."""
    layout, teacher = results.layout, results["teacher", "classification", "top1"]
    recipes = {"soft": "Scratch", "soft_full": "Scratch, full budget", "ours": "Ours", "strong": "Strong"}
    if layout.tables["table1"]:
        recipes |= {"hidden": "Hidden", "logits": "Logits", "fitnet": "FitNet"}
    rows = []
    for student in layout.tables["table2"]:
        alone = results["classification", student.name, "softmax_full", "top1"]
        values = [results.get("classification", student.name, recipe, "top1") for recipe in recipes]
        shares = ["" if v is None else percent(closed(teacher, alone, v, "top1")) for v in values]
        rows.append([student.label, number(teacher - alone), *shares])
    return [
        "### How much of the teacher's lead does each recipe close?",
        "0 % is the student trained by softmax alone with the full budget, 100 % the teacher; negative: worse than no "
        f"distillation. – where the lead is under {CLEAR['top1']:g} points and the share means nothing.",
        table(["Student", "Lead in points", *recipes.values()], rows),
    ]
