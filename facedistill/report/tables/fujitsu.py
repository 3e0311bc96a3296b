"""Tables 6 to 9, with the columns of Fujitsu's poster on improved KD (2018) and its numbers in brackets after ours."""

from __future__ import annotations

from collections.abc import Sequence

from facedistill.report.tables.gap_closed import teacher_sentence
from facedistill.results.markdown import SEEDS, cell, number, spread, table
from facedistill.results.metrics import Results
from facedistill.results.names import SETS, addressed, pair_labels, student_label
from facedistill.results.paper import Paper
from facedistill.results.reading import Reading

COST = {"multiply_adds": "Multiply-adds (millions)", "megabytes": "MB", "milliseconds": "ms"}


def losses(reading: Reading) -> list[str]:
    """Table 6: the poster's combinations of losses, for each student, under the teacher."""
    results, paper = reading.results, reading.paper
    rows, blocks = reading.labels.rows(reading.layout.groups["losses"]), []
    for student in reading.layout.tables["losses"]:
        lines = [["Teacher", *_row(results, ("teacher", "classification"), paper, ("losses", "teacher"))]]
        lines += [
            [row.label, *_row(results, address, paper, ("losses", row.recipe))]
            for row, address in addressed(rows, student)
        ]
        blocks.append(table([student_label(student), *_columns(results)], lines))
    note = (
        "The numbers in brackets are of the poster's student, a 5-layer convolutional network, and of its teacher, a "
        "27-layer residual network. Hard alone is W_S0, hard + soft is the soft target of Table 2, and hard + feature "
        "is the hidden target of Table 1. Feature alone trains no classifier."
    )
    return [*blocks, note, _columns_in_words(results)]


def architectures(reading: Reading) -> list[str]:
    """Table 7: every architecture, undistilled and with the combination of losses that the poster found best."""
    results, paper = reading.results, reading.paper
    group, students = reading.layout.groups["architectures"], reading.layout.tables["architectures"]
    lines = [["Teacher", "", *_row(results, ("teacher", "classification"), paper, ("architectures", "teacher"))]]
    undistilled = {}
    for student in students:
        label = student_label(student)
        for row, address in addressed(reading.labels.rows(group), student):
            printed = ("architectures", student.architecture) if row.paper else ()
            lines.append([label, row.printed_label, *_row(results, address, paper, printed)])
            label = ""
            if not row.group.recipes[row.recipe].needs_teacher:
                undistilled[student_label(student)] = results[*address, "top1"]
    return [
        table(["Student", "Recipe", *_columns(results)], lines, names=2),
        _columns_in_words(results),
        f"{teacher_sentence(results['teacher', 'classification', 'top1'], undistilled, 'top1')} These numbers are "
        "top-1 on photographs of known people.",
    ]


def weighting(reading: Reading) -> list[str]:
    """Table 8: without teacher weighting, and with it: a teacher that is less sure than the student counts less."""
    results, paper = reading.results, reading.paper
    lines = [["Teacher", "", *_row(results, ("teacher", "classification"), paper, ("weighting", "teacher"))]]
    for student in reading.layout.tables["weighting"]:
        label = student_label(student)
        for row, address in addressed(reading.labels.rows(reading.layout.groups["weighting"]), student):
            printed = ("weighting", student.architecture, row.recipe)
            lines.append([label, row.label, *_row(results, address, paper, printed)])
            label = ""
    note = "Both recipes are hard + soft + featurenorm. The one that is not weighted is the row of Table 6 or 7."
    return [
        table(["Student", "Teacher weighting", *_columns(results)], lines, names=2),
        note,
        _columns_in_words(results),
    ]


def cost(reading: Reading) -> list[str]:
    """Table 9: what the teacher and every student cost to store and to run, and what the poster's networks cost."""
    results, paper, side = reading.results, reading.paper, reading.budget.side
    networks = {"Teacher": "teacher"} | {student_label(s): s.name for s in results.layout.first.values()}
    rows = []
    for label, name in networks.items():
        values = [results["cost", name, key] for key in COST]
        rows.append([label, f"{results['cost', name, 'parameters'] / 1e6:.3f}", *map(number, values)])
    for name, label in (("teacher", "teacher, ResNet-27"), ("conv5", "student, 5-layer convolution")):
        rows.append([f"*The poster's {label}*", "–", *(number(paper.get("cost", name, key)) for key in COST)])
    return [
        table(["Network", "Parameters (millions)", *COST.values()], rows),
        f"The costs are without heads, for one photograph of {side} × {side} pixels. Milliseconds are measured on one "
        "thread of this machine's CPU, as the median of warm runs. The poster does not state its input, and its CPU "
        "ran at 2.5 GHz: compare the ratio of its two rows with ratios of our rows.",
    ]


def operating_point(results: Results, subsets: Sequence[str] = ("all",)) -> str:
    """How a TPR on these subsets is measured, in words."""
    negatives = ", ".join(f"{results.subsets[name]:,}{'' if name == 'all' else f' {name}'}" for name in subsets)
    own = "all pairs of two people" if tuple(subsets) == ("all",) else "each subset's own pairs of two people"
    unknown = ""
    if not results.identified:
        own, unknown = "the set's own pairs of two people", ", because it is not known who is in which pair"
    first, *others = pair_labels(results.layout).values()
    whose = f"the unseen people of {first}" if others else "unseen people"
    without = f" There is no TPR on {', '.join(results.unresolved)}: too few pairs." if results.unresolved else ""
    set_on = f"the threshold is set on {own} ({negatives}){unknown}"
    return f"TPR at FAR {100 * results.far:g} % among {whose}: {set_on}.{without}"


def _columns_in_words(results: Results) -> str:
    sets = ", ".join(pair_labels(results.layout).values())
    return f"{sets}: ± is the standard deviation over the folds, {SEEDS}. {operating_point(results, _subsets(results))}"


def _subsets(results: Results) -> list[str]:
    """The poster's subsets. If it is not known how the photographs were taken, `all` is the only subset."""
    return [name for name in results.subsets if name != "all"] or ["all"]


def _columns(results: Results) -> list[str]:
    return [*pair_labels(results.layout).values(), *(f"TPR, {name}" for name in _subsets(results))]


def _row(results: Results, address: Sequence[str], paper: Paper, printed: Sequence[str]) -> list[str]:
    """The accuracies and TPR of a model, with the poster's numbers from the place `printed` of paper.json."""
    row = []
    for name in results.layout.pairs:
        ours = spread(*(results[*address, "pairs", name, key] for key in ("accuracy", "fold_std")))
        # A user's own set may have the name of one of the poster's columns, such as pose.
        accuracy, deviation = (paper.get(*printed, key) for key in (name, "fold_std")) if name in SETS else (None, None)
        theirs = "–" if accuracy is None or deviation is None else spread(accuracy, deviation)
        row.append(f"{ours} ({theirs})")
    return row + [cell(results[*address, "tpr", s], paper.get(*printed, s)) for s in _subsets(results)]
