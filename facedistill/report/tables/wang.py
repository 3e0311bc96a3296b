"""Tables 1 to 5 in the shape of Wang et al., with its numbers in brackets after ours, and its rule on targets."""

from __future__ import annotations

from collections.abc import Iterable

from facedistill.grid.layout import CUSTOM, INIT, Student
from facedistill.report.tables.gap_closed import teacher_sentence
from facedistill.results.markdown import SEEDS, cell, gap, number, spread, table
from facedistill.results.metrics import METRIC
from facedistill.results.names import INITS, SETS, TASK_NAMES, pair_labels, student_label
from facedistill.results.reading import Reading
from facedistill.results.selection import TIE, agrees, choices, verdict


def table1(reading: Reading) -> list[str]:
    """Table 1: targets, initialisations and controls, with the top-1 of every student of the table."""
    results, paper = reading.results, reading.paper
    students = reading.layout.tables["table1"]
    teacher = cell(results["teacher", "classification", "top1"], paper.get("table2", "casia", "top1", "teacher"))
    lines = [["Teacher", *[teacher] * len(students)]]
    for row in reading.labels.rows(reading.layout.groups["table1"]):
        values = []
        for student in students:
            printed = paper.get("table1", row.recipe) if row.paper and student.divisor == 8 else None
            address = row.of(student)
            values.append(cell(results[*address, "top1"], printed) if address else "")
        lines.append([row.printed_label, *values])
    return [table(["Top-1", *map(student_label, students)], lines), _lead(reading, students)]


def table2(reading: Reading, corpus: str) -> list[str]:
    """Table 2: top-1 and the accuracy on each set of pairs, of every student.

    corpus: the half of the paper's table that is in brackets, `casia` or `msceleb`.
    """
    results, paper = reading.results, reading.paper

    def entry(pairs: str | None, address: tuple[str, ...], *place: str) -> str:
        if pairs is None:
            return cell(results.get(*address, "top1"), paper.get("table2", corpus, "top1", *place))
        # A user's own set may have the name top1, which is a place of paper.json.
        printed = paper.get("table2", corpus, pairs, *place) if pairs in SETS else None
        accuracy, error = (results[*address, "pairs", pairs, key] for key in ("accuracy", "standard_error"))
        return f"{spread(accuracy, error)} ({number(printed)})"

    students = reading.layout.tables["table2"]
    blocks = []
    for pairs, title in [(None, "Top-1"), *pair_labels(reading.layout).items()]:
        lines = []
        for i, row in enumerate(reading.labels.rows(reading.layout.groups["table2"])):
            teacher = entry(pairs, ("teacher", "classification"), "teacher") if i == 0 else ""
            cells = []
            for student in students:
                place = (row.recipe, str(student.divisor)) if row.paper else ("",)
                address = row.of(student)
                cells.append(entry(pairs, address, *place) if address else "")
            lines.append([row.printed_label, teacher, *cells])
        blocks.append(table([title, "Teacher", *map(student_label, students)], lines))
    blocks.append(f"± is the standard error over the folds, {SEEDS}.")
    blocks.append(_lead(reading, students))
    return blocks


def _lead(reading: Reading, students: Iterable[Student]) -> str:
    """Whether the classification teacher leads the undistilled students, in words."""
    results, layout, full = reading.results, reading.layout, reading.budget.undistilled
    alone = {}
    for s in students:
        for name in layout.groups[INIT].recipes:
            if (value := results.get(s.name, INIT, name, "top1")) is not None:
                alone[f"{student_label(s)} W_S0"] = value
        if full and (value := results.get(s.name, "table2", full, "top1")) is not None:
            alone[f"{student_label(s)} at full budget"] = value
    return teacher_sentence(results["teacher", "classification", "top1"], alone, "top1")


def transfer(reading: Reading, task: str) -> list[str]:
    """Table 3, 4 or 5.

    task: a task of TRANSFER.
    """
    results, paper, weights = reading.results, reading.paper, reading.layout.weights
    metric = METRIC[task]
    columns = [f"{w} (custom)" if name == CUSTOM else f"{w}" for name, w in weights.items()]
    students = reading.layout.transfer(task)

    def lines(metric: str, printed: bool) -> Iterable[list[str]]:
        teacher = cell(results["teacher", task, metric], paper.get(task, "teacher") if printed else None)
        for student in students:
            for init, name in INITS.items():
                values = []
                for target in weights:
                    custom = target == CUSTOM
                    address = (CUSTOM, student.name, task, init) if custom else (student.name, task, init, target)
                    theirs = paper.get(task, str(student.divisor), init, target) if printed else None
                    values.append(cell(results[*address, metric], theirs))
                yield [student_label(student) if init == "pretrain" else "", name, teacher, *values]
                teacher = ""

    header = ["Student", "Initialisation", "Teacher", *columns]
    alone = {
        f"{student_label(s)} Pretrain with {weights['none']}": results[s.name, task, "pretrain", "none", metric]
        for s in students
    }
    blocks = [
        table(header, lines(metric, printed=True), names=2),
        teacher_sentence(results["teacher", task, metric], alone, metric),
    ]
    if task == "alignment":
        nrmse, nme = (number(results["teacher", task, f"mean_shape_{name}"]) for name in ("nrmse", "nme"))
        blocks += [
            "The mean shape of the training landmarks is a prediction without a look at the photograph: NRMSE "
            f"{nrmse}, NME {nme}.",
            "The same cells by NME, the mean error of the points as a percentage of the distance between the eyes:",
            table(header, lines("nme", printed=False), names=2),
        ]
    return blocks


def selection(reading: Reading) -> list[str]:
    """What the paper's rule keeps, by our numbers and by the paper's. Empty if there is no task of TRANSFER."""
    targets = [name for name in reading.layout.weights if name not in ("none", CUSTOM)]
    custom = reading.layout.weights[CUSTOM]
    rows = [
        [
            TASK_NAMES[choice.task],
            choice.student,
            INITS[choice.init],
            *(f"{gap(choice.gains[t])} {verdict(choice.gains[t])}" for t in targets),
            f"**{choice.preferred}**",
            "agrees" if agrees(custom, choice.preferred) else "differs",
            "–" if choice.paper is None else str(choice.paper),
        ]
        for choice in choices(reading.results, reading.paper)
    ]
    if not rows:
        return []
    return [
        "## Which targets to keep",
        "The rule of Wang et al. (section 5.3) compares each target alone with no target, drops a target that hurts, "
        "and keeps the others. The table shows the points gained over no target, positive if the target helps (for "
        f"NRMSE, if the error is lower). A gain or loss under {TIE:g} points is a tie. A tied target is kept, as the "
        "paper keeps soft after its Table 4. The custom weights agree if they keep the same targets. In alignment, the "
        "paper itself keeps only the hidden layer, because of gaps of 0.08 to 0.25 points, which are ties here. The "
        "rule looks at the gap alone: [claims.md](claims.md) says which gaps are more than chance.",
        table(
            [
                "Task",
                "Student",
                "Initialisation",
                *(f"{t.capitalize()} over none" for t in targets),
                "Keep",
                f"Custom, {custom}",
                "From the paper's numbers",
            ],
            rows,
            names=3,
        ),
    ]
