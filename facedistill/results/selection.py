"""The selection rule of Wang et al. (section 5.3): measure each target alone, and drop the target that hurts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from facedistill.grid.layout import CUSTOM, TRANSFER, Weights
from facedistill.results.metrics import LOWER_IS_BETTER, METRIC, Results
from facedistill.results.names import student_label
from facedistill.results.paper import Paper

TIE = 0.3
"""In points of percent. A smaller gap is called a tie: the paper publishes no variance to compare it with."""


@dataclass(frozen=True)
class Choice:
    """What the rule keeps for one task, student and initialisation.

    task: a task of TRANSFER.
    student: what tables call the student.
    init: `pretrain` or `distill`.
    gains: the gain of each target over none, in points, positive if the target helps.
    preferred: the weights of the targets that the rule keeps.
    paper: the same by the paper's numbers; None if it prints none.
    """

    task: str
    student: str
    init: str
    gains: Mapping[str, float]
    preferred: Weights
    paper: Weights | None


def verdict(gain: float) -> str:
    """What a gain in points means: `helps`, `hurts` or `tie`."""
    if abs(gain) < TIE:
        return "tie"
    return "helps" if gain > 0 else "hurts"


def preferred(gains: Mapping[str, float], weights: Mapping[str, Weights]) -> Weights:
    """The weights with every target that does not hurt. A tie is kept, as the paper keeps soft in its Table 4."""
    kept = [weights[target] for target, gain in gains.items() if verdict(gain) != "hurts"]
    return Weights(max((w.alpha for w in kept), default=0.0), max((w.beta for w in kept), default=0.0))


def agrees(chosen: Weights, rule: Weights) -> bool:
    """Whether the weights that a user chose keep exactly the targets that the rule keeps."""
    return (chosen.alpha > 0, chosen.beta > 0) == (rule.alpha > 0, rule.beta > 0)


def choices(results: Results, paper: Paper) -> list[Choice]:
    """The rule applied to every task, student and initialisation, in the order of the tables."""
    weights = {name: w for name, w in results.layout.weights.items() if name != CUSTOM}
    rows = []
    for task in TRANSFER:
        sign = -1 if METRIC[task] in LOWER_IS_BETTER else 1
        for student in results.layout.transfer(task):
            for init in ("pretrain", "distill"):
                ours = {t: results[student.name, task, init, t, METRIC[task]] for t in weights}
                printed = {t: paper.get(task, str(student.divisor), init, t) for t in weights}
                theirs = {t: value for t, value in printed.items() if value is not None}
                rows.append(
                    Choice(
                        task=task,
                        student=student_label(student),
                        init=init,
                        gains=(gains := _gains(ours, sign)),
                        preferred=preferred(gains, weights),
                        paper=preferred(_gains(theirs, sign), weights) if len(theirs) == len(weights) else None,
                    )
                )
    return rows


def _gains(values: Mapping[str, float], sign: int) -> dict[str, float]:
    return {target: sign * (value - values["none"]) for target, value in values.items() if target != "none"}
