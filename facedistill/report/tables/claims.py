"""reports/claims.md: every claim of the papers, the numbers they print, our numbers, and whether the claim holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import get_args

from facedistill.grid.layout import TEACHER, TRANSFER
from facedistill.results.claims import METRICS, Address, Comparison, comparisons
from facedistill.results.markdown import gap, number, table
from facedistill.results.metrics import Mean, MissingResultError
from facedistill.results.names import TASK_NAMES, pair_labels, student_labels
from facedistill.results.paper import Paper
from facedistill.results.provenance import NAMES
from facedistill.results.reading import Reading
from facedistill.results.selection import TIE
from facedistill.results.statistics import LEAST, MOST, POWER, Verdict, harder, seeds_needed
from facedistill.results.verdicts import CLAIMS, Finding, Findings, asked, over, parts

VERDICTS = get_args(Verdict)

PLANNED = (0.5, 1.0, 2.0)
"""The differences, in points, that seeds are planned for."""

LEGEND = f"""\
## What the verdicts mean

- **holds**: the difference is as claimed, and larger than chance explains.
- **fails**: the difference is the other way round, and larger than chance explains.
- **level**: the difference is surely below {TIE:g} points, either way. A claim that two networks are level then
  holds, and fails if one of them is better.
- **cannot be told**: all else. There may be a difference, but these seeds and photographs do not show it.

A claim about several cells has one verdict, by the mean difference over these cells. If it says “every”, and one cell
is the other way round, it cannot be told to hold. A claim has parts if it is about several metrics, or says “A beats
B, which beats C”, or names the best or worst of several. It holds if every part holds, so its p is the largest one. It
fails if one part fails, so its p is the smallest one against it, times the number of parts. “As claimed” counts the
cells whose difference has the claimed sign, or, for a claim that two networks are level, is below {TIE:g}.

**Chance.** The square brackets have the 95 % confidence interval of the difference, and what it is taken over:

- seeds, if all cells share several. Networks of one seed saw the same data in the same order, so they are compared seed
  by seed (paired t-test). A teacher has one seed, which meets every seed of a student.
- photographs (bootstrap; one video counts as one photograph) or the folds of the pairs (t-test), if a cell has one
  seed. What another seed would give is not in this interval, so a difference below {TIE:g} is not taken for one.

There is no interval for TPR with one seed, for which no rows are kept; for fewer than {LEAST} photographs that differ;
and for the same difference in all seeds or folds.

**p** says how often chance alone shows such a difference. Of twenty claims with nothing behind them, one has p below
5 %. So a claim's p is corrected for the number of claims (Holm), and the corrected p has to be below 5 %. The test for
“level” (two one-sided tests, TOST) is corrected in the same way. The verdicts on parts and cells, below their claim,
are not corrected.

**Numbers.** “Printed” and “Ours” are of both cells, ours over the seeds that both have. “Difference” is in points of
percent, also for NRMSE, and is positive if it is as claimed. “(a tie)” marks a printed gap below {TIE:g} points."""


def summary(found: Findings) -> str:
    """How many of the claims hold, fail, are level and cannot be told, in words."""
    counts = Counter(claim.verdict for claim in found.claims.values())
    several = {"holds": "hold", "fails": "fail", "level": "are level"}
    one = {"level": "is level"}
    words = {verdict: (one if counts[verdict] == 1 else several).get(verdict, verdict) for verdict in VERDICTS}
    told = ", ".join(f"{counts[verdict]} {words[verdict]}" for verdict in VERDICTS)
    return f"Of the papers' {len(found.claims)} claims about these cells, {told}: [claims.md](claims.md)."


def claims_document(reading: Reading) -> str:
    """The whole of claims.md. Comparisons whose cells are not in the grid are listed as not asked.

    Raises MissingResultError if the findings belong to another grid.
    """
    results, provenance, found = reading.results, reading.provenance, reading.found
    everything = list(comparisons(results.layout))
    numbers = {c.name: over(pairs) for c in everything if (pairs := asked(c, results, provenance.corpus))}
    if wrong := sorted(numbers.keys() ^ found.cells.keys()):
        raise MissingResultError(
            f"{CLAIMS}: {wrong[0]} is either in this file or in the grid, but not in both; run `dvc repro -f report`"
        )
    blocks = [f"# Claims: {provenance.heading.title}"]
    if provenance.heading.note:
        blocks.append(f"> **{provenance.heading.note.strip()}**")
    blocks += [summary(found).partition(": [")[0] + ".", _overview(everything, found, reading.beside), LEGEND]
    for title, group in groupby(everything, key=lambda c: c.claim.table):
        blocks.append(f"## {title}")
        idle: list[Comparison] = []
        lines: list[list[str]] = []
        for _, members in groupby(group, key=lambda c: c.claim):
            told: list[Comparison] = []
            for c in members:
                (told if c.name in found.cells else idle).append(c)
            if told:
                lines += _claim(told, numbers, reading)
        if lines:
            header = ["Claim", "Compared", "Printed", "Ours", "Difference", "p", "Corrected p", "Verdict"]
            blocks.append(table(header, lines, names=2))
        if idle:
            why, names = _why(idle, provenance.corpus), ", ".join(f"`{c.name}`" for c in idle)
            blocks.append(f"Not asked, because {why}: {names}.")
    return "\n\n".join([*blocks, *_plan(everything, found)]) + "\n"


def _claim(
    members: Sequence[Comparison], numbers: Mapping[str, tuple[Mean, Mean]], reading: Reading
) -> Iterator[list[str]]:
    """The lines of a claim: its verdict, then its parts, then their cells. What has one member is one line.

    members: its comparisons that were asked.
    """
    found, claim = reading.found, members[0].claim
    conclusion, by_part = found.claims[claim.name], list(parts(members))
    ends = [_p(conclusion.corrected), f"**{conclusion.verdict}**"]
    if len(by_part) > 1:
        yield [claim.says, f"{len(by_part)} parts", "", "", "", _p(conclusion.p), *ends]
    for part in by_part:
        finding = found.of_part(part)
        if len(part) > 1:
            line = [f"*{compared(part, reading)}, mean of {len(part)} cells*", "", "", *_told(finding)]
            yield [claim.says, *line, *ends] if len(by_part) == 1 else ["", *line, "", finding.verdict]
        for c in part:
            ours = ", ".join(map(number, numbers[c.name]))
            line = [compared([c], reading), _printed(c, reading.paper), ours, *_told(found.cells[c.name])]
            yield [claim.says, *line, *ends] if len(members) == 1 else ["", *line, "", found.cells[c.name].verdict]


def compared(members: Sequence[Comparison], reading: Reading) -> str:
    """What is compared in all of these comparisons, in words.

    What both sides share comes first: “ResNet-50/8, Distill, top-1: Soft target > No target”.
    """
    sides = [_sides(c, reading) for c in members]
    better, worse = ([w for w in sides[0][i] if all(w in each[i] for each in sides)] for i in (0, 1))
    metric, labels = METRICS[members[0].metric], pair_labels(reading.layout)
    titles = {labels.get(c.metric, METRICS[c.metric].title) for c in members}
    # The comparisons of a part have one metric, or are all of TPR.
    title = titles.pop() if len(titles) == 1 else metric.title.partition(",")[0]
    sign = "=" if members[0].claim.tie else "<" if metric.sign < 0 else ">"
    shared = [word for word in better if word in worse]
    left, right = (" ".join(word for word in side if word not in shared) for side in (better, worse))
    return f"{', '.join([*shared, title])}: {left} {sign} {right}"


def _sides(comparison: Comparison, reading: Reading) -> tuple[list[str], list[str]]:
    cells = (comparison.better, comparison.worse)
    tasks = {cell[1] for cell in cells if cell[0] == TEACHER or cell[1] in TRANSFER}
    better, worse = (_words(cell, reading, told=len(tasks) > 1) for cell in cells)
    return better, worse


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
    """The columns Difference and p."""
    difference = gap(finding.difference)
    if finding.low is not None and finding.high is not None:
        difference += f" [{gap(finding.low)}, {gap(finding.high)}], {finding.basis}"
    return [difference, _p(finding.p)]


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _overview(everything: Iterable[Comparison], found: Findings, beside: Mapping[str, Findings]) -> str:
    """A table with a line for each claim: how many of its cells are as claimed, and its verdict.

    beside: the findings of other reports by their names, whose verdicts are shown too.
    """
    lines = []
    for claim, group in groupby(everything, key=lambda c: c.claim):
        gaps = [found.cells[c.name].difference for c in group if c.name in found.cells]
        as_claimed = sum(abs(value) < TIE if claim.tie else value > 0 for value in gaps)
        told = (each.claims.get(claim.name) for each in (found, *beside.values()))
        verdicts = [f"**{conclusion.verdict}**" if conclusion else "not asked" for conclusion in told]
        lines.append([claim.table, claim.says, f"{as_claimed} of {len(gaps)}" if gaps else "–", *verdicts])
    return table(["Where", "Claim", "As claimed", "Verdict", *beside], lines, names=2)


def _plan(everything: Iterable[Comparison], found: Findings) -> list[str]:
    """How many seeds each claim needs, for claims whose parts all have a spread between seeds."""
    lines = []
    for claim, group in groupby((c for c in everything if c.name in found.cells), key=lambda c: c.claim):
        told = [found.of_part(members) for members in parts(group)]
        spreads = [(f.deviation, f.basis) for f in told if f.deviation is not None and f.basis is not None]
        if len(spreads) < len(told):
            continue
        deviation, basis = max(spreads)
        needed = [seeds_needed(deviation, points) for points in PLANNED]
        seeds = [f"> {MOST:,}" if n is None else f"{n:,}" for n in needed]
        lines.append([claim.table, claim.says, basis.removesuffix(" seeds"), number(deviation), *seeds])
    if not lines:
        return []
    header = ["Where", "Claim", "Seeds now", "Deviation", *(f"{p:g} point{'s' * (p != 1)}" for p in PLANNED)]
    said = (
        f"With this many seeds, a true difference of 0.5, 1 or 2 points has p below 5 % in {POWER:.0%} of all cases "
        "(paired t-test, two-sided). That is before the correction: to pass it whatever the other claims show, plan at "
        f"least {harder(len(found.claims)):.1f} times as many. “Deviation” is the standard deviation of the difference "
        "between seeds, in the part of the claim where it is largest. Three seeds show it only roughly: it may be "
        "twice as large. A claim is listed if all of its parts rest on several seeds."
    ).replace("0%", "0 %")
    return ["## How many seeds to plan", said, table(header, lines, names=2)]


def _why(idle: Iterable[Comparison], corpus: str) -> str:
    """Why these comparisons are not asked, in words."""
    others = sorted({NAMES[c.corpus] for c in idle if c.corpus and c.corpus != corpus})
    words = ["the parameters do not have these cells"] if any(c.corpus in (None, corpus) for c in idle) else []
    return " or because ".join([*words, *(f"they are about {name}" for name in others)])
