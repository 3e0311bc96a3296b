"""Each claim of the papers, compared with what was measured: the gap, how sure it is, and whether the claim holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np

from facedistill.grid.cells import cells
from facedistill.grid.layout import TEACHER
from facedistill.params import check, params
from facedistill.results.claims import METRICS, Address, Comparison, comparisons
from facedistill.results.metrics import Mean, Results, address, read_json
from facedistill.results.samples import Samples
from facedistill.results.statistics import Verdict, judge, over_samples, students_t

Source = tuple[str, str, str]
"""Where a model's rows are: the evaluation that wrote them, the model's name in them, and the stage to run."""

Side = tuple[float, Source]
"""The number of one cell for one seed, and where its rows are."""

CLAIMS = Path("reports/claims.json")
"""The verdicts. The file is not in the folder METRICS, because the stage that writes it depends on that folder."""


@params
class Finding:
    """What came out for one comparison.

    verdict: whether the claim holds.
    difference: in points, positive if it is as claimed.
    low, high: the ends of its 95 % confidence interval.
    p: the two-sided p-value.
    basis: what the interval is taken over, in words.
    The last four are None if there is nothing to take an interval over.
    """

    verdict: Verdict
    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    basis: str | None = None


def asked(comparison: Comparison, results: Results, corpus: str) -> list[tuple[Side, Side]] | None:
    """What a claim compares: a pair of numbers for each seed that both cells have.

    A teacher has one seed, which is paired with every seed of a student. If two cells share no seed, their first seeds
    are paired. None if the grid does not have the numbers, or if the claim is about another set than `corpus`.
    """
    place, sources = METRICS[comparison.metric].place, _sources(results)
    sides = []
    for cell in (comparison.better, comparison.worse):
        if (mean := results.get(*cell, *place)) is None or comparison.corpus not in (None, corpus):
            return None
        seeds = zip(mean.values, sources[cell].items(), strict=True)
        sides.append({seed: (value, source) for value, (seed, source) in seeds})
    return _paired(*sides)


def over(pairs: Sequence[tuple[Side, Side]]) -> tuple[Mean, Mean]:
    """The two numbers that are compared, each as the mean over the seeds that are compared."""
    better, worse = (Mean([*{source: value for value, source in side}.values()]) for side in zip(*pairs, strict=True))
    return better, worse


def findings(results: Results, corpus: str, root: Path) -> dict[str, Finding]:
    """The finding of each comparison whose cells are in the grid, by the comparison's name.

    If both cells have several seeds, the interval is over pairs of seeds. With one seed, it is over the photographs or
    folds that both cells were tested on.

    corpus: the kind of the classification set.
    root: the top of the repository.
    Raises MissingResultError if evaluation has not written the rows.
    """
    samples = Samples(results.layout, root)
    return {
        comparison.name: _finding(comparison, pairs, samples)
        for comparison in comparisons(results.layout)
        if (pairs := asked(comparison, results, corpus))
    }


def save(found: Mapping[str, Finding], file: Path) -> None:
    """Write findings as JSON, one a line, so that a diff shows which ones changed."""
    lines = []
    for name, finding in found.items():
        kept = {key: value for key, value in asdict(finding).items() if value is not None}
        lines.append(f" {json.dumps(name)}: {json.dumps(kept)}")
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def load_findings(file: Path) -> dict[str, Finding]:
    """Read what `save` wrote. Raises MissingResultError, or ParamsError if the file holds something else."""
    found: dict[str, Finding] = check(dict[str, Finding], read_json(file, "report"), str(file))
    return found


@lru_cache(1)
def _sources(results: Results) -> dict[Address, dict[int | None, Source]]:
    """The rows of each cell, by address, then by seed in the order of `Mean.values`. A teacher has the seed None."""
    layout = results.layout
    seeds = {student.name: student.seed for student in layout.students}
    found: dict[Address, dict[int | None, Source]] = {
        (TEACHER, task): {None: (TEACHER, task, "evaluate_teacher")} for task in layout.tasks
    }
    for cell in cells(layout):
        found.setdefault(address(layout, cell), {})[seeds[cell.student]] = (cell.run, cell.name, cell.stage)
    return found


def _paired(better: Mapping[int | None, Side], worse: Mapping[int | None, Side]) -> list[tuple[Side, Side]]:
    """The pairs that `asked` returns, from the sides of both cells by seed."""
    if None in better:
        better = dict.fromkeys(worse, better[None])
    if None in worse:
        worse = dict.fromkeys(better, worse[None])
    pairs = [(side, worse[seed]) for seed, side in better.items() if seed in worse]
    return pairs or [(next(iter(better.values())), next(iter(worse.values())))]


def _finding(comparison: Comparison, pairs: Sequence[tuple[Side, Side]], samples: Samples) -> Finding:
    sign = METRICS[comparison.metric].sign
    gaps = np.array([sign * (better - worse) for (better, _), (worse, _) in pairs])
    seeds, interval, basis = len(gaps), students_t(gaps), f"{len(gaps)} seeds"
    if seeds == 1:
        one, other = (samples.of(comparison.metric, *source) for _, source in pairs[0])
        # Two tasks may be tested on different photographs, which cannot be paired.
        if one is not None and other is not None and one.shape == other.shape:
            gaps = sign * (one - other)
            groups = samples.groups(comparison.metric)
            if comparison.metric == "lfw":
                interval, basis = students_t(gaps), f"{len(gaps)} folds"
            else:
                interval, basis = over_samples(gaps, groups), f"{len(gaps):,} photographs"
            if groups is not None:
                basis += f" in {groups.max() + 1:,} groups"
    difference = float(gaps.mean())
    verdict = judge(difference, interval, seeds, comparison.claim.tie)
    if interval is None:
        return Finding(verdict, round(difference, 3))
    low, high, p = round(interval.low, 3), round(interval.high, 3), round(interval.p, 4)
    return Finding(verdict, round(difference, 3), low, high, p, basis)
