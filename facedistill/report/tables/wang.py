"""Tables 1 to 5 in the main paper's shape, its number in brackets after ours, and its rule on targets."""

from __future__ import annotations

from collections.abc import Iterable

from facedistill.grid import OWN, SETS, Student
from facedistill.report.tables.gap_closed import teacher_sentence
from facedistill.results.markdown import SEEDS, cell, gap, number, spread, table
from facedistill.results.metrics import METRIC, Results
from facedistill.results.names import INITS, TASK_NAMES
from facedistill.results.paper import Paper
from facedistill.results.selection import TIE, agrees, choices, verdict

ROWS = {
    "soft": "Scratch (Eq. 2)",
    "ours": "Ours (Eq. 4)",
    "softmax": "*W_S0: softmax alone (Eq. 3)*",
    "softmax_full": "*softmax alone, full budget*",
    "soft_full": "*Scratch, full budget*",
    "strong": "*Strong (this project's), full budget*",
}


def table1(results: Results, paper: Paper, student: Student) -> list[str]:
    """Targets, initialisations and controls of one student."""

    def row(**columns: str) -> list[str]:
        """paper's column = recipe."""
        return [
            cell(results["classification", student.name, recipe, "top1"], printed(key))
            for key, recipe in columns.items()
        ]

    def printed(key: str) -> float | None:
        return paper.get("table1", key) if student.divisor == 8 else None

    label = student.label
    teacher = cell(results["teacher", "classification", "top1"], paper.get("table2", "casia", "top1", "teacher"))
    return [
        table(
            [f"{label} with different targets", "Hidden", "Logits", "Soft"],
            [["Initialisation: scratch", *row(hidden="hidden", logits="logits", soft="soft")]],
        ),
        table(
            [f"{label} with different initialisations", "Scratch", "FitNet", "Ours"],
            [["Target: soft", *row(scratch="soft", fitnet="fitnet", ours="ours")]],
        ),
        table(
            [f"{label}: controls", "Teacher", *(ROWS[r] for r in ("softmax", "softmax_full", "soft_full"))],
            [["No distillation, and full budgets", teacher, *row(a="softmax", b="softmax_full", c="soft_full")]],
        ),
        _lead(results, [student]),
    ]


def table2(results: Results, paper: Paper, corpus: str) -> list[str]:
    """Top-1, and accuracy on each set of pairs, of every student. corpus: the half of the paper's, casia or msceleb."""

    def entry(pairs: str | None, address: tuple[str, ...], *place: str) -> str:
        if pairs is None:
            return cell(results[*address, "top1"], paper.get("table2", corpus, "top1", *place))
        # A user's own set may be called top1.
        printed = paper.get("table2", corpus, pairs, *place) if pairs in SETS else None
        accuracy, error = (results[*address, "pairs", pairs, key] for key in ("accuracy", "standard_error"))
        return f"{spread(accuracy, error)} ({number(printed)})"

    students = results.layout.tables["table2"]
    blocks = []
    for pairs, title in [(None, "Top-1"), *results.layout.sets.items()]:
        rows = []
        for i, (recipe, label) in enumerate(ROWS.items()):
            teacher = entry(pairs, ("teacher", "classification"), "teacher") if i == 0 else ""
            ours = (entry(pairs, ("classification", s.name, recipe), recipe, str(s.divisor)) for s in students)
            rows.append([label, teacher, *ours])
        blocks.append(table([title, "Teacher", *(s.label for s in students)], rows))
    blocks.append(f"± is the standard error over the folds, {SEEDS}.")
    blocks.append(_lead(results, students))
    return blocks


def _lead(results: Results, students: Iterable[Student]) -> str:
    """In words, whether the classification teacher leads the undistilled students."""
    teacher = results["teacher", "classification", "top1"]
    alone = {
        f"{s.label} {name}": results["classification", s.name, recipe, "top1"]
        for s in students
        for recipe, name in (("softmax", "W_S0"), ("softmax_full", "at full budget"))
    }
    return teacher_sentence(teacher, alone, "top1")


def transfer(results: Results, paper: Paper, task: str) -> list[str]:
    """Table 3, 4 or 5, by the task of TRANSFER."""
    metric, weights = METRIC[task], results.layout.weights
    columns = [f"{w} (yours)" if name == OWN else f"{w}" for name, w in weights.items()]
    students = results.layout.transfer(task)

    def rows(metric: str, printed: bool) -> Iterable[list[str]]:
        teacher = cell(results["teacher", task, metric], paper.get(task, "teacher") if printed else None)
        for student in students:
            for init, name in INITS.items():
                values = [
                    cell(
                        results[task, student.name, init, target, metric],
                        paper.get(task, str(student.divisor), init, target) if printed else None,
                    )
                    for target in weights
                ]
                yield [student.label if init == "pretrain" else "", name, teacher, *values]
                teacher = ""

    header = ["Student", "Initialisation", "Teacher", *columns]
    alone = {
        f"{s.label} Pretrain with {weights['none']}": results[task, s.name, "pretrain", "none", metric]
        for s in students
    }
    blocks = [
        table(header, rows(metric, printed=True), names=2),
        teacher_sentence(results["teacher", task, metric], alone, metric),
    ]
    if task == "alignment":
        nrmse, nme = (number(results["teacher", task, f"mean_shape_{name}"]) for name in ("nrmse", "nme"))
        blocks += [
            f"The mean shape of the training landmarks, without a look at the photograph: NRMSE {nrmse}, NME {nme}.",
            "The same as NME (mean point error over inter-ocular distance, %):",
            table(header, rows("nme", printed=False), names=2),
        ]
    return blocks


def selection(results: Results, paper: Paper) -> list[str]:
    """What the paper's rule keeps, from our numbers and from its own; nothing where no task was transferred to."""
    targets = [name for name in results.layout.weights if name not in ("none", OWN)]
    own = results.layout.weights[OWN]
    rows = [
        [
            TASK_NAMES[choice.task],
            choice.student,
            INITS[choice.init],
            *(f"{gap(choice.gains[t])} {verdict(choice.gains[t])}" for t in targets),
            f"**{choice.preferred}**",
            "agrees" if agrees(own, choice.preferred) else "differs",
            "–" if choice.paper is None else str(choice.paper),
        ]
        for choice in choices(results, paper)
    ]
    if not rows:
        return []
    return [
        "## Which targets to keep",
        "The paper's rule (its section 5.3): measure each target alone against none, drop the one that hurts, keep "
        "those that do not. Points gained over none, positive where the target helps (a lower NRMSE); under "
        f"{TIE:g} points is a tie, and a tied target stays, as soft does after the paper's Table 4. Your own "
        "weights agree where they keep the same targets. The paper itself "
        "keeps the hidden layer alone in alignment, on gaps of 0.08 to 0.25 points, which are ties here.",
        table(
            [
                "Task",
                "Student",
                "Initialisation",
                *(f"{t.capitalize()} over none" for t in targets),
                "Keep",
                f"Yours, {own}",
                "From the paper's numbers",
            ],
            rows,
            names=3,
        ),
    ]
