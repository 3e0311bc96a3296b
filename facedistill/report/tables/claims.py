"""reports/claims.md: every claim of the papers, the numbers they print, our numbers, and whether the claim holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import get_args

from facedistill.grid.layout import TEACHER, TRANSFER
from facedistill.results.claims import METRICS, Address, Comparison, comparisons
from facedistill.results.markdown import gap, number, table
from facedistill.results.metrics import MissingResultError
from facedistill.results.names import TASK_NAMES, pair_labels, student_labels
from facedistill.results.paper import Paper
from facedistill.results.provenance import NAMES
from facedistill.results.reading import Reading
from facedistill.results.selection import TIE
from facedistill.results.statistics import LEAST, Verdict
from facedistill.results.verdicts import CLAIMS, Finding, asked, over

VERDICTS = get_args(Verdict)

LEGEND = (
    "Each claim compares pairs of cells. **Ours** shows our numbers for both cells, over the seeds that both networks "
    "have. **Difference** is in points of percent, also for NRMSE, and is positive if it is as claimed. Its 95 % "
    "confidence interval is in square brackets, followed by what the interval is taken over:\n\n"
    "- seeds, if both networks have several: Student's paired t-test over pairs of seeds;\n"
    "- the folds of the pairs, with one seed: the same test over folds;\n"
    "- test photographs, with one seed: a bootstrap of the paired differences. Photographs of one person count as "
    "independent. Photographs of one group (the frames of a video) are drawn together.\n\n"
    "With one seed, the interval says how well the test supports the gap, and not what another seed would give. Every "
    "teacher has one seed.\n\n"
    f"Two cells differ if the interval excludes 0 and, with one seed, the gap is at least {TIE:g} points. They are "
    f"level if they do not differ and the whole interval is within ± {TIE:g}. A claim **holds** if the cells differ as "
    "claimed, and **fails** if they differ the other way or are level. A claim of a tie holds if the cells are level, "
    "and fails if they differ. Everything else **cannot be told**. This includes comparisons without an interval: TPR "
    f"with one seed, for which no rows are kept; fewer than {LEAST} photographs that differ; or the same gap in all "
    "folds or seeds, for example if both networks are always right. p is not corrected for the number of claims: of "
    "twenty true ties, one shows a gap by chance. “(a tie)” beside the paper's numbers marks a printed gap under "
    f"{TIE:g} points."
)


def summary(found: Mapping[str, Finding]) -> str:
    """How many of the claims hold, fail and cannot be told, in words."""
    counts = Counter(finding.verdict for finding in found.values())
    told = ", ".join(
        f"{counts[verdict]} {verdict.replace('holds', 'hold').replace('fails', 'fail')}" for verdict in VERDICTS
    )
    return f"Of the papers' {len(found)} claims about these cells, {told}: [claims.md](claims.md)."


def claims_document(reading: Reading) -> str:
    """The whole of claims.md. Comparisons whose cells are not in the grid are listed as not asked.

    Raises MissingResultError if the findings belong to another grid.
    """
    results, paper, provenance, found = reading.results, reading.paper, reading.provenance, reading.found
    everything = list(comparisons(results.layout))
    numbers = {c.name: over(pairs) for c in everything if (pairs := asked(c, results, provenance.corpus))}
    if wrong := sorted(numbers.keys() ^ found.keys()):
        raise MissingResultError(
            f"{CLAIMS}: {wrong[0]} is either in this file or in the grid, but not in both; run `dvc repro -f report`"
        )
    blocks = [f"# Claims: {provenance.heading.title}"]
    if provenance.heading.note:
        blocks.append(f"> **{provenance.heading.note.strip()}**")
    blocks += [summary(found).partition(": [")[0] + ".", LEGEND, _overview(everything, found)]
    for title, group in groupby(everything, key=lambda c: c.claim.table):
        blocks.append(f"## {title}")
        idle, lines, said = [], [], ""
        for c in group:
            if c.name not in found:
                idle.append(c)
                continue
            says, said = "" if c.claim.says == said else c.claim.says, c.claim.says
            better, worse = numbers[c.name]
            ours = f"{number(better)}, {number(worse)}"
            lines.append([says, compared(c, reading), _printed(c, paper), ours, *_told(found[c.name])])
        if lines:
            header = ["Claim", "Cells", "Printed", "Ours", "Difference", "p", "Verdict"]
            blocks.append(table(header, lines, names=2))
        if idle:
            why, names = _why(idle, provenance.corpus), ", ".join(f"`{c.name}`" for c in idle)
            blocks.append(f"Not asked, because {why}: {names}.")
    return "\n\n".join(blocks) + "\n"


def compared(comparison: Comparison, reading: Reading) -> str:
    """The two cells in words. What they share comes first: “ResNet-50/8, Distill, top-1: Soft target > No target”."""
    cells = (comparison.better, comparison.worse)
    tasks = {cell[1] for cell in cells if cell[0] == TEACHER or cell[1] in TRANSFER}
    sides = [_words(cell, reading, told=len(tasks) > 1) for cell in cells]
    metric = METRICS[comparison.metric]
    title = pair_labels(reading.layout).get(comparison.metric, metric.title)
    sign = "=" if comparison.claim.tie else "<" if metric.sign < 0 else ">"
    shared = [word for word in sides[0] if word in sides[1]]
    better, worse = (" ".join(word for word in side if word not in shared) for side in sides)
    return f"{', '.join([*shared, title])}: {better} {sign} {worse}"


def _words(cell: Address, reading: Reading, told: bool) -> list[str]:
    """A cell in words.

    told: whether to name the task of a transfer.
    """
    if cell[0] == TEACHER:
        return ["Teacher"]
    student, *rest = cell
    task = [TASK_NAMES[rest[0]]] if told and rest[0] in TRANSFER else []
    return [*task, student_labels(reading.layout).get(student, student), *reading.labels.words(rest)]


def _printed(comparison: Comparison, paper: Paper) -> str:
    """The paper's two numbers, marked if their gap is a tie by the rule of this report."""
    if comparison.printed is None:
        return "–"
    better, worse = (paper.get(*place) for place in comparison.printed)
    if better is None or worse is None:
        return "–"
    tie = " (a tie)" if abs(better - worse) < TIE else ""
    return f"{number(better)}, {number(worse)}{tie}"


def _told(finding: Finding) -> list[str]:
    """The columns Difference, p and Verdict."""
    difference = gap(finding.difference)
    if finding.low is not None and finding.high is not None and finding.p is not None:
        difference += f" [{gap(finding.low)}, {gap(finding.high)}], {finding.basis}"
    p = "–" if finding.p is None else "< 0.001" if finding.p < 0.001 else f"{finding.p:.3f}"
    word = finding.verdict if finding.verdict == "cannot be told" else f"**{finding.verdict}**"
    return [difference, p, word]


def _overview(everything: Iterable[Comparison], found: Mapping[str, Finding]) -> str:
    """A table with a line for each claim: how many of its comparisons hold, fail, cannot be told, and are not asked."""
    lines = []
    for claim, group in groupby(everything, key=lambda c: c.claim):
        counts = Counter(found[c.name].verdict if c.name in found else "" for c in group)
        lines.append([claim.table, claim.says, *(str(counts[word] or "") for word in (*VERDICTS, ""))])
    header = ["Where", "Claim", *(word.capitalize() for word in VERDICTS), "Not asked"]
    return table(header, lines, names=2)


def _why(idle: Iterable[Comparison], corpus: str) -> str:
    """Why these comparisons are not asked, in words."""
    others = sorted({NAMES[c.corpus] for c in idle if c.corpus and c.corpus != corpus})
    words = ["the parameters do not have these cells"] if any(c.corpus in (None, corpus) for c in idle) else []
    return " or because ".join([*words, *(f"they are about {name}" for name in others)])
