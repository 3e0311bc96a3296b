"""Each claim of the papers, compared with what was measured: the gap, how sure it is, and whether the claim holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facedistill.grid.cells import cells
from facedistill.grid.layout import TEACHER
from facedistill.params import ParamsError, check, params
from facedistill.results.claims import METRICS, Address, Comparison, comparisons
from facedistill.results.metrics import Mean, Results, address, read_json
from facedistill.results.samples import Samples
from facedistill.results.selection import TIE
from facedistill.results.statistics import Verdict, all_parts, holm, judge, over_samples, students_t

Source = tuple[str, str, str]
"""Where a model's rows are: the evaluation that wrote them, the model's name in them, and the stage to run."""

Side = tuple[float, Source]
"""The number of one cell for one seed, and where its rows are."""

Pairs = Mapping[int | None, tuple[Side, Side]]
"""The two sides of a comparison, by seed."""

CLAIMS = Path("reports/claims.json")
"""The verdicts. The file is not in the folder METRICS, because the stage that writes it depends on that folder."""


@params
class Finding:
    """What came out for one comparison, or for the mean over the comparisons of a part.

    verdict: whether it is as claimed. p is not corrected for the number of claims here.
    difference: in points, positive if it is as claimed.
    low, high: the ends of its 95 % confidence interval.
    p: the two-sided p-value.
    level: the p-value of the test of equivalence, within TIE points.
    basis: what the interval is taken over, in words.
    deviation: the standard deviation of the difference between seeds; None if the interval is not over seeds.
    All but the first two are None if there is nothing to take an interval over.
    """

    verdict: Verdict
    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    level: float | None = None
    basis: str | None = None
    deviation: float | None = None


@params
class Conclusion:
    """Whether a claim holds.

    verdict: by the corrected p. A claim about every cell cannot be told to hold if a cell is the other way round.
    p: the p-value of the claim, from those of its parts; None if nothing can be tested.
    corrected: the same, corrected for the number of claims.
    """

    verdict: Verdict
    p: float | None = None
    corrected: float | None = None


@params
class Findings:
    """What came out for every claim that the grid has cells for.

    claims: by the claim's name.
    parts: by the part's name, if it has several cells. A part with one cell is that cell.
    cells: by the comparison's name.
    """

    claims: Mapping[str, Conclusion]
    parts: Mapping[str, Finding]
    cells: Mapping[str, Finding]

    def of_part(self, members: Sequence[Comparison]) -> Finding:
        """The finding of a part. members: its comparisons that were asked."""
        return self.cells[members[0].name] if len(members) == 1 else self.parts[members[0].part]


def asked(comparison: Comparison, results: Results, corpus: str) -> Pairs | None:
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


def over(pairs: Pairs) -> tuple[Mean, Mean]:
    """The two numbers that are compared, each as the mean over the seeds that are compared."""
    sides = zip(*pairs.values(), strict=True)
    better, worse = (Mean([*{source: value for value, source in side}.values()]) for side in sides)
    return better, worse


def parts(members: Iterable[Comparison]) -> Iterator[list[Comparison]]:
    """The comparisons of one claim, by the part that they belong to. Parts are in the order of their first cells."""
    found: dict[str, list[Comparison]] = {}
    for comparison in members:
        found.setdefault(comparison.part, []).append(comparison)
    yield from found.values()


def findings(results: Results, corpus: str, root: Path) -> Findings:
    """What came out for each claim, part and comparison whose cells are in the grid.

    If all cells of a part share several seeds, its interval is over these seeds. The difference of a seed is the mean
    over the cells, so cells that share a network do not count as independent. If not, the interval is over the
    photographs or folds, with the mean over all cells and their seeds for each photograph. Then it says nothing about
    another seed. For a single comparison both rules are the same.

    corpus: the kind of the classification set.
    root: the top of the repository.
    Raises MissingResultError if evaluation has not written the rows.
    """
    samples = Samples(results.layout, root)
    everything = {c.name: (c, pairs) for c in comparisons(results.layout) if (pairs := asked(c, results, corpus))}
    single = {name: _finding([c], [pairs], samples) for name, (c, pairs) in everything.items()}
    means: dict[str, Finding] = {}
    claims, p, levels = [], [], []
    for claim, group in groupby((c for c, _ in everything.values()), key=lambda c: c.claim):
        told, of_claim = [], [*group]
        opposed = claim.every and any(single[c.name].difference < 0 for c in of_claim)
        for members in parts(of_claim):
            if len(members) > 1:
                means[members[0].part] = _finding(members, [everything[c.name][1] for c in members], samples)
            told.append(means.get(members[0].part, single[members[0].name]))
        claims.append((claim, all(f.difference > 0 for f in told), opposed))
        p.append(all_parts([f.difference for f in told], [_p(f) for f in told], claim.tie))
        # A claim is level if every part is.
        levels.append(None if any(f.level is None for f in told) else max(f.level or 0.0 for f in told))
    conclusions = {}
    for (claim, as_claimed, opposed), value, corrected, level in zip(claims, p, holm(p), holm(levels), strict=True):
        verdict = judge(as_claimed, corrected, level, claim.tie)
        verdict = "cannot be told" if verdict == "holds" and opposed else verdict
        conclusions[claim.name] = Conclusion(verdict, _rounded(value), _rounded(corrected))
    return Findings(conclusions, means, single)


def save(found: Findings, file: Path) -> None:
    """Write findings as JSON, one a line, so that a diff shows which ones changed."""
    sections = []
    for section, entries in (("claims", found.claims), ("parts", found.parts), ("cells", found.cells)):
        lines = []
        for name, entry in entries.items():
            kept = {key: value for key, value in asdict(entry).items() if value is not None}
            lines.append(f"  {json.dumps(name)}: {json.dumps(kept)}")
        sections.append(f" {json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n }")
    file.write_text("{\n" + ",\n".join(sections) + "\n}\n", encoding="utf-8")


def load_findings(file: Path) -> Findings:
    """Read what `save` wrote. Raises MissingResultError, or ParamsError if the file holds something else."""
    values = read_json(file, "report")
    if not isinstance(values, Mapping) or "claims" not in values:
        raise ParamsError(f"{file}: no verdicts on whole claims, as an older commit left it; run `dvc repro -f report`")
    found: Findings = check(Findings, values, str(file))
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


def _paired(better: Mapping[int | None, Side], worse: Mapping[int | None, Side]) -> Pairs:
    """The pairs that `asked` returns, from the sides of both cells by seed."""
    if None in better:
        better = dict.fromkeys(worse, better[None])
    if None in worse:
        worse = dict.fromkeys(better, worse[None])
    pairs = {seed: (side, worse[seed]) for seed, side in better.items() if seed in worse}
    return pairs or {next(iter(better)): (next(iter(better.values())), next(iter(worse.values())))}


def _finding(members: Sequence[Comparison], pairs: Sequence[Pairs], samples: Samples) -> Finding:
    """What came out for the mean over comparisons of one part.

    pairs: of each comparison, as `asked` returns them.
    """
    metric, tie = members[0].metric, members[0].claim.tie
    gaps = [
        {seed: METRICS[c.metric].sign * (better - worse) for seed, ((better, _), (worse, _)) in each.items()}
        for c, each in zip(members, pairs, strict=True)
    ]
    shared = [seed for seed in gaps[0] if all(seed in each for each in gaps)]
    deviation = None
    if len(shared) > 1:
        blocks = np.array([[each[seed] for seed in shared] for each in gaps]).mean(axis=0)
        interval, basis = students_t(blocks), f"{len(shared)} seeds"
        # Four digits, and not three decimals: seeds are planned by it, so it must not become 0.
        difference, deviation = float(blocks.mean()), float(f"{blocks.std(ddof=1):.4g}")
    elif (tested := _tested(members, pairs, samples)) is None:
        interval, difference = None, float(np.mean([np.mean([*each.values()]) for each in gaps]))
    else:
        difference, groups = float(tested.mean()), samples.groups(metric)
        if metric == "lfw":
            interval, basis = students_t(tested), f"{len(tested)} folds"
        else:
            interval, basis = over_samples(tested, groups), f"{len(tested):,} photographs"
        if groups is not None:
            basis += f" in {groups.max() + 1:,} groups"
    if interval is None:
        return Finding("cannot be told", round(difference, 3))
    found = Finding(
        "cannot be told",
        round(difference, 3),
        round(interval.low, 3),
        round(interval.high, 3),
        round(interval.p, 6),
        round(interval.level, 6),
        basis,
        deviation,
    )
    return replace(found, verdict=judge(difference > 0, _p(found), found.level, tie))


def _tested(members: Sequence[Comparison], pairs: Sequence[Pairs], samples: Samples) -> NDArray[np.float64] | None:
    """The mean difference of each photograph or fold, (n,), over comparisons of one part and their seeds.

    None if evaluation keeps no rows of the metric, or if the networks were tested on different photographs.
    """
    found = []
    for comparison, each in zip(members, pairs, strict=True):
        sign, seeds = METRICS[comparison.metric].sign, []
        for (_, better), (_, worse) in each.values():
            one, other = (samples.of(comparison.metric, *source) for source in (better, worse))
            # Two tasks may be tested on different photographs, which cannot be paired.
            if one is None or other is None or one.shape != other.shape:
                return None
            seeds.append(sign * (one - other))
        found.append(np.mean(seeds, axis=0))
    return np.mean(found, axis=0) if len({len(each) for each in found}) == 1 else None


def _p(finding: Finding) -> float | None:
    """The p-value that verdicts go by. One seed says nothing about chance in training, so a gap under TIE is no gap."""
    if finding.p is not None and finding.deviation is None and abs(finding.difference) < TIE:
        return 1.0
    return finding.p


def _rounded(p: float | None) -> float | None:
    return None if p is None else round(p, 6)
