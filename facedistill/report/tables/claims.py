"""reports/claims.md: every claim of the papers, what is printed, what came out here, and whether it holds."""

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
    "A claim is compared cell by cell, and the difference is positive where it is as claimed: in points of percent, of "
    "NRMSE too. In square brackets its 95 % confidence interval, and what that is taken over: pairs of seeds, by "
    "Student's t, where both networks have several; else, within one seed, LFW's folds, by the same, or the test "
    "photographs, by a bootstrap of the paired differences. Under Ours stand the seeds that both networks have. Within "
    "a seed that says how far the test bears the gap out, and nothing of what another "
    "seed would make of it; photographs of one person are taken for independent, but "
    "those of one group (the frames of a video) are drawn together. Teachers are of one seed.\n\n"
    "A claim **holds** where the interval lies above 0, and **fails** where it lies below. Under "
    f"{TIE:g} points a gap is a tie, unless several seeds say otherwise: two cells are level where the whole interval "
    f"lies within ± {TIE:g}, and then a claim of a tie holds and any other fails. All else **cannot be told**; so too "
    f"where no rows are left to take an interval over (TPR, with one seed), where fewer than {LEAST} photographs "
    "differ, or where the gap is the same in all folds or seeds, as where both networks are right about all. p is "
    "not corrected for the number of claims: of twenty true ties one shows a gap by chance."
)


def summary(found: Mapping[str, Finding]) -> str:
    """How many of the claims hold, in words."""
    counts = Counter(finding.verdict for finding in found.values())
    told = ", ".join(
        f"{counts[verdict]} {verdict.replace('holds', 'hold').replace('fails', 'fail')}" for verdict in VERDICTS
    )
    return f"Of the papers' {len(found)} claims about these cells, {told}: [claims.md](claims.md)."


def claims_document(reading: Reading) -> str:
    """The whole of claims.md. Comparisons that the grid has no cells of are listed as not asked.

    Raises MissingResultError if the findings of the reading are of another grid.
    """
    results, paper, provenance, found = reading.results, reading.paper, reading.provenance, reading.found
    everything = list(comparisons(results.layout))
    numbers = {c.name: over(pairs) for c in everything if (pairs := asked(c, results, provenance.corpus))}
    if wrong := sorted(numbers.keys() ^ found.keys()):
        raise MissingResultError(
            f"{CLAIMS}: {wrong[0]} is in one of it and the grid, not in both; run `dvc repro -f report`"
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
            blocks.append(f"Not asked, for {_why(idle, provenance.corpus)}: {', '.join(f'`{c.name}`' for c in idle)}.")
    return "\n\n".join(blocks) + "\n"


def compared(comparison: Comparison, reading: Reading) -> str:
    """The two cells in words, what they share first: “ResNet-50/8, Distill, top-1: Soft target > No target”."""
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
    """told: whether the task of a transfer is among the words."""
    if cell[0] == TEACHER:
        return ["Teacher"]
    student, *rest = cell
    task = [TASK_NAMES[rest[0]]] if told and rest[0] in TRANSFER else []
    return [*task, student_labels(reading.layout).get(student, student), *reading.labels.words(rest)]


def _printed(comparison: Comparison, paper: Paper) -> str:
    """The paper's two numbers; a gap that is a tie by the rule of this report is marked."""
    if comparison.printed is None:
        return "–"
    better, worse = (paper.get(*place) for place in comparison.printed)
    if better is None or worse is None:
        return "–"
    tie = " (a tie)" if abs(better - worse) < TIE else ""
    return f"{number(better)}, {number(worse)}{tie}"


def _told(finding: Finding) -> list[str]:
    """The columns difference, p and verdict."""
    difference = gap(finding.difference)
    if finding.low is not None and finding.high is not None and finding.p is not None:
        difference += f" [{gap(finding.low)}, {gap(finding.high)}], {finding.basis}"
    p = "–" if finding.p is None else "< 0.001" if finding.p < 0.001 else f"{finding.p:.3f}"
    word = finding.verdict if finding.verdict == "cannot be told" else f"**{finding.verdict}**"
    return [difference, p, word]


def _overview(everything: Iterable[Comparison], found: Mapping[str, Finding]) -> str:
    """A line for each claim: of how many cells it holds, fails, cannot be told, is not asked."""
    lines = []
    for claim, group in groupby(everything, key=lambda c: c.claim):
        counts = Counter(found[c.name].verdict if c.name in found else "" for c in group)
        lines.append([claim.table, claim.says, *(str(counts[word] or "") for word in (*VERDICTS, ""))])
    header = ["Where", "Claim", *(word.capitalize() for word in VERDICTS), "Not asked"]
    return table(header, lines, names=2)


def _why(idle: Iterable[Comparison], corpus: str) -> str:
    """Why comparisons are not asked."""
    others = sorted({NAMES[c.corpus] for c in idle if c.corpus and c.corpus != corpus})
    words = ["the parameters have no such cells"] if any(c.corpus in (None, corpus) for c in idle) else []
    return " or ".join([*words, *(f"they are about {name}" for name in others)])
