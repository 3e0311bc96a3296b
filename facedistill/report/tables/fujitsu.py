"""Tables 6 to 9 in the columns of the poster on improved KD (Fujitsu, 2018), its number in brackets after ours."""

from __future__ import annotations

from collections.abc import Sequence

from facedistill.grid import SETS
from facedistill.report.tables.gap_closed import teacher_sentence
from facedistill.results.markdown import SEEDS, cell, number, spread, table
from facedistill.results.metrics import Results
from facedistill.results.names import LOSSES
from facedistill.results.paper import Paper

COST = {"multiply_adds": "Multiply-adds (millions)", "megabytes": "MB", "milliseconds": "ms"}


def losses(results: Results, paper: Paper) -> list[str]:
    """Table 6: for each student the six combinations, under the teacher."""
    blocks = []
    for student in results.layout.tables["losses"]:
        rows = [["Teacher", *_row(results, ("teacher", "classification"), paper, ("losses", "teacher"))]]
        for recipe, name in LOSSES.items():
            address = ("classification", student.name, recipe)
            rows.append([name, *_row(results, address, paper, ("losses", recipe))])
        blocks.append(table([student.label, *_columns(results)], rows))
    note = (
        "In brackets the poster's student, a 5-layer convolutional network, and its teacher, a 27-layer residual one. "
        "Hard alone is W_S0, hard + soft is Scratch of Table 2, hard + feature is Hidden of Table 1. Feature alone "
        "trains no classifier."
    )
    return [*blocks, note, _columns_in_words(results)]


def architectures(results: Results, paper: Paper) -> list[str]:
    """Table 7: every architecture undistilled, and by the combination that the poster found best."""
    rows = [["Teacher", "", *_row(results, ("teacher", "classification"), paper, ("architectures", "teacher"))]]
    students = results.layout.tables["architectures"]
    for student in students:
        distilled, alone = (("classification", student.name, name) for name in ("hard_soft_featurenorm", "softmax"))
        rows += [
            [student.label, "*undistilled*", *_row(results, alone, paper, ("undistilled",))],
            [
                "",
                LOSSES["hard_soft_featurenorm"].lower(),
                *_row(results, distilled, paper, ("architectures", student.architecture)),
            ],
        ]
    undistilled = {s.label: results["classification", s.name, "softmax", "top1"] for s in students}
    return [
        table(["Student", "Recipe", *_columns(results)], rows, names=2),
        _columns_in_words(results),
        f"{teacher_sentence(results['teacher', 'classification', 'top1'], undistilled, 'top1')} These are top-1 on "
        "photographs of known people.",
    ]


def weighting(results: Results, paper: Paper) -> list[str]:
    """Table 8: the teacher followed as much on every photograph, and less where it is less sure than the student."""
    rows = [["Teacher", "", *_row(results, ("teacher", "classification"), paper, ("weighting", "teacher"))]]
    for student in results.layout.tables["weighting"]:
        label = student.label
        for recipe, name in (("hard_soft_featurenorm", "without"), ("weighted", "with")):
            printed = ("weighting", student.architecture, recipe)
            rows.append([label, name, *_row(results, ("classification", student.name, recipe), paper, printed)])
            label = ""
    note = "Both are hard + soft + featurenorm; without is the row of Table 6 or 7."
    return [
        table(["Student", "Teacher weighting", *_columns(results)], rows, names=2),
        note,
        _columns_in_words(results),
    ]


def cost(results: Results, paper: Paper, side: int) -> list[str]:
    """Table 9: what the teacher and every student cost to keep and to run, beside the poster's two networks.

    side: of the photograph that they were measured on, in pixels.
    """
    networks = {"Teacher": "teacher"} | {s.label: s.name for s in results.layout.first.values()}
    rows = []
    for label, name in networks.items():
        values = [results["cost", name, key] for key in COST]
        rows.append([label, f"{results['cost', name, 'parameters'] / 1e6:.3f}", *map(number, values)])
    for name, label in (("teacher", "teacher, ResNet-27"), ("conv5", "student, 5-layer convolution")):
        rows.append([f"*The poster's {label}*", "–", *(number(paper.get("cost", name, key)) for key in COST)])
    return [
        table(["Network", "Parameters (millions)", *COST.values()], rows),
        f"Without heads, and for one photograph of {side} × {side} pixels; milliseconds on one thread of this "
        "machine's CPU, the median of warm runs. The poster's input is not stated and its CPU ran at 2.5 GHz: compare "
        "the ratios of its two rows with those of ours.",
    ]


def operating_point(results: Results, subsets: Sequence[str] = ("all",)) -> str:
    """In words, what a TPR on these subsets is."""
    negatives = ", ".join(f"{results.subsets[name]:,}{'' if name == 'all' else f' {name}'}" for name in subsets)
    own = "all pairs of two people" if tuple(subsets) == ("all",) else "each subset's own pairs of two people"
    unknown = ""
    if not results.identified:
        own, unknown = "the set's own pairs of two people", ", for it is not known who is in two of its pairs"
    first, *others = results.layout.sets.values()
    whose = f"unseen people, those of {first}" if others else "unseen people"
    without = f" No TPR on {', '.join(results.unresolved)}: too few pairs." if results.unresolved else ""
    set_on = f"the threshold is set on {own} ({negatives}){unknown}"
    return f"TPR at FAR {100 * results.far:g} % among {whose}: {set_on}.{without}"


def _columns_in_words(results: Results) -> str:
    sets = ", ".join(results.layout.sets.values())
    return f"{sets} ± the deviation between folds, {SEEDS}. {operating_point(results, _subsets(results))}"


def _subsets(results: Results) -> list[str]:
    """The poster's subsets; all photographs where nothing is known of how they were taken."""
    return [name for name in results.subsets if name != "all"] or ["all"]


def _columns(results: Results) -> list[str]:
    return [*results.layout.sets.values(), *(f"TPR, {name}" for name in _subsets(results))]


def _row(results: Results, address: Sequence[str], paper: Paper, printed: Sequence[str]) -> list[str]:
    """Accuracies and TPR of a model, with the poster's numbers from the place `printed` of paper.json."""
    row = []
    for name in results.layout.pairs:
        ours = spread(*(results[*address, "pairs", name, key] for key in ("accuracy", "fold_std")))
        # A user's own set may be called pose, as a column of the poster's is.
        accuracy, deviation = (paper.get(*printed, key) for key in (name, "fold_std")) if name in SETS else (None, None)
        theirs = "–" if accuracy is None or deviation is None else spread(accuracy, deviation)
        row.append(f"{ours} ({theirs})")
    return row + [cell(results[*address, "tpr", s], paper.get(*printed, s)) for s in _subsets(results)]
