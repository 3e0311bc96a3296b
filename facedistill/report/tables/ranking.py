"""The ranking: all recipes of one student, from all papers, on the same data and by the same metrics."""

from __future__ import annotations

from dataclasses import dataclass

from facedistill.grid.cells import cells
from facedistill.grid.layout import INIT, TRANSFER, Student
from facedistill.report.tables.fujitsu import operating_point
from facedistill.report.tables.gap_closed import CLEAR, closed
from facedistill.results.markdown import gap, number, percent, table
from facedistill.results.metrics import Results
from facedistill.results.names import Row, pair_labels, student_label
from facedistill.results.reading import Reading

CROSS = (
    "“Cross-model” is rank-1 of the student's probes in the teacher's gallery, – if their embeddings differ in width. "
)


@dataclass(frozen=True)
class Entry:
    """A recipe of one student.

    row: what the tables call it.
    address: the address of its cell in Results.
    top1: in percent; None without a classifier.
    tpr: in percent.
    tera: multiply-adds of its training, in units of 10¹², together with the recipes that it starts from.
    epochs: epochs of its training, together with the recipes that it starts from.
    """

    row: Row
    address: tuple[str, ...]
    top1: float | None
    tpr: float
    tera: float
    epochs: int

    @property
    def distilled(self) -> bool:
        """Whether a teacher took part."""
        return self.row.group.recipes[self.row.recipe].needs_teacher

    @property
    def whose(self) -> str:
        """The paper that it comes from; or custom, this project or control."""
        if self.row.group.custom:
            return "*custom*"
        return self.row.paper or ("*this project*" if self.distilled else "*control*")


def ranking(reading: Reading) -> list[str]:
    """A table of all recipes, best first, and a summary, for each student of the poster's losses and of custom."""
    results, layout = reading.results, reading.layout
    students = [s for s in layout.firsts(layout.students) if s in (*layout.tables["losses"], *layout.tables["custom"])]
    # Shares are of the lead over a student without a teacher. Without names there is none.
    if not students or not layout.groups[INIT].recipes:
        return []
    blocks = [
        "## All recipes, ranked",
        "“Closes” is the share that a recipe closes of the classification teacher's lead over softmax alone with the "
        f"full budget, in top-1 and in TPR; – if that lead is under {CLEAR['top1']:g} points. "
        f"{CROSS if results.identified else ''}"
        "“Training” is in 10¹² multiply-adds: crops × epochs × (3 × the student's multiply-adds, plus the teacher's if "
        "the recipe uses the teacher's outputs). It includes the models that the recipe starts from, but not the "
        f"training of the teacher. {operating_point(results)}",
    ]
    cross = ["Cross-model"] if results.identified else []
    for student in students:
        entries = rank(reading, student)
        header = ["Recipe", "Paper", "Top-1", *pair_labels(layout).values(), "TPR", *cross]
        header += ["Closes, top-1", "Closes, TPR", "Training"]
        full = _undistilled(entries)
        lines = [[entry.row.full_label, entry.whose, *_numbers(results, entry, full)] for entry in entries]
        blocks += [
            f"### {student_label(student)}",
            table(header, lines, names=2),
            sentence(entries, student_label(student)),
        ]
    return blocks


def rank(reading: Reading, student: Student) -> list[Entry]:
    """Every recipe of one student, by top-1, best first. Equals are ordered by TPR; recipes without top-1 are last."""
    results, budget = reading.results, reading.budget
    own, teacher = (results["cost", name, "multiply_adds"] for name in (student.name, "teacher"))
    entries = []
    for cell in cells(reading.layout):
        if cell.task in TRANSFER or cell.student != student.name:
            continue
        group = reading.layout.groups[cell.group]
        entries.append(
            Entry(
                row=reading.labels.row(group, cell.method),
                address=cell.address,
                top1=results.get(*cell.address, "top1"),
                tpr=results[*cell.address, "tpr", "all"],
                tera=budget.multiply_adds(group, cell.method, own, teacher),
                epochs=budget.epochs(group, cell.method),
            )
        )
    return sorted(entries, key=lambda entry: (-1 if entry.top1 is None else entry.top1, entry.tpr), reverse=True)


def sentence(entries: list[Entry], student: str) -> str:
    """The best recipe, and the distilled recipes that lose to no distillation for as many epochs, in words.

    entries: as `rank` returns them.
    student: what tables call the student.
    """
    full = _undistilled(entries)
    short = min(_alone(entries), key=lambda entry: entry.epochs)
    distilled = [entry for entry in entries if entry.distilled and entry.top1 is not None]
    words = []
    for alone, said, compared in (
        (full, "Trained for longer than W_S0", [entry for entry in distilled if entry.epochs > short.epochs]),
        (short, "Trained for as long as W_S0", [entry for entry in distilled if entry.epochs <= short.epochs]),
    ):
        lost = [entry.row.full_label for entry in compared if _top1(entry) < _top1(alone)]
        which = f": {'; '.join(lost)}" if lost else ""
        words.append(
            f"{said}, {len(lost)} of {len(compared)} distilled recipes lose to “{alone.row.full_label}” "
            f"({number(alone.top1)}){which}."
        )
    best, ahead = entries[0], gap(_top1(entries[0]) - _top1(full))
    return (
        f"**The best recipe of {student} is “{best.row.full_label}”: top-1 {number(best.top1)}, {ahead} points against "
        f"“{full.row.full_label}” ({number(full.top1)}).** {' '.join(words)}"
    )


def _alone(entries: list[Entry]) -> list[Entry]:
    """The undistilled students of classification. W_S0 is always among them."""
    return [entry for entry in entries if entry.row.group.task == "classification" and not entry.distilled]


def _undistilled(entries: list[Entry]) -> Entry:
    """The undistilled student that was trained longest. Every recipe is compared with it."""
    return max(_alone(entries), key=lambda entry: entry.epochs)


def _top1(entry: Entry) -> float:
    assert entry.top1 is not None
    return entry.top1


def _numbers(results: Results, entry: Entry, full: Entry) -> list[str]:
    teacher = ("teacher", "classification")
    shares = (
        None if entry.top1 is None else closed(results[*teacher, "top1"], _top1(full), entry.top1, "top1"),
        closed(results[*teacher, "tpr", "all"], full.tpr, entry.tpr, "tpr"),
    )
    accuracies = (results[*entry.address, "pairs", name, "accuracy"] for name in results.layout.pairs)
    cross = [results.get(*entry.address, "cross", "rank1")] if results.identified else []
    training = f"{entry.tera:,.0f}" if entry.tera >= 100 else f"{entry.tera:.3g}"
    return [*map(number, (entry.top1, *accuracies, entry.tpr, *cross)), *map(percent, shares), training]
