"""Check a committed report: its documents have to follow from its metrics, and these have to be as good as before."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

from pydantic import Field

from facedistill.params import PARAMS_FILE, ParamsError, check, load, params, read
from facedistill.report.document import documents
from facedistill.report.page import without_pictures
from facedistill.results.metrics import LOWER_IS_BETTER, Results
from facedistill.results.provenance import Heading
from facedistill.results.reading import Reading
from facedistill.results.verdicts import CLAIMS, Findings

CHECKS = Path("checks.yaml")
SHOWN = 60
"""A message quotes at most this many characters of a line before and after its first difference."""


@params
class Checks:
    """A report's entry in checks.yaml. The comment at the top of that file explains the fields.

    tolerance: in points.
    floors: a number in percent for each address in Results, with / between the parts of the address.
    claims: names of claims, or of cells of claims.
    """

    tolerance: Annotated[float, Field(ge=0)]
    floors: dict[str, float]
    claims: tuple[str, ...]

    @classmethod
    def read(cls, root: Path) -> Checks | None:
        """The checks of the report that params.yaml is for; None if it has no entry. Raises ParamsError."""
        name, values = load(Heading, "report", root / PARAMS_FILE).name, read(root / CHECKS)
        found: dict[str, Checks] = check(dict[str, Checks], values, str(root / CHECKS))
        return found.get(name)


def stale_documents(reading: Reading) -> Iterator[str]:
    """A message for each document that does not follow from the committed metrics: the first wrong line and its text.

    Each document is written again from files that git keeps, and compared without its pictures.
    """
    for name, text in documents(reading, pictures=()).items():
        file = Path("reports") / name
        todo = f"run `dvc repro -f report` and commit {file}"
        if not (reading.root / file).is_file():
            yield f"{file}: no such file; {todo}"
            continue
        lines = (reading.root / file).read_text(encoding="utf-8").splitlines()
        expected = text.splitlines()
        if name == "index.html":
            lines, expected = without_pictures(lines), without_pictures(expected)
        elif name == "tables.md" and expected[-1] in lines:
            lines = lines[: lines.index(expected[-1]) + 1]
        wrong = [(i, a, b) for i, (a, b) in enumerate(zip_longest(lines, expected), 1) if a != b]
        if wrong:
            number, there, follows = wrong[0]
            yield (
                f"{file}: {len(wrong)} of {len(expected)} lines do not follow from the metrics. Line {number} is "
                f"{_around(there, follows)}, and should be {_around(follows, there)}; {todo}"
            )


def below_floors(results: Results, checks: Checks) -> Iterator[str]:
    """A message for each number that is worse than its floor by more than the tolerance.

    Raises ParamsError if the grid does not have the number.
    """
    for address, floor in checks.floors.items():
        place = tuple(address.split("/"))
        value = results.get(*place)
        if value is None:
            raise ParamsError(f"{CHECKS}: floors.{address}: the grid of {PARAMS_FILE} has no such number")
        lower = place[-1] in LOWER_IS_BETTER
        beyond = value - floor if lower else floor - value
        if beyond > checks.tolerance:
            yield (
                f"{address} is {value:.2f}, {beyond:.2f} points {'above' if lower else 'below'} its floor of {floor:g} "
                f"(tolerance {checks.tolerance:g}); find what made it worse, or move the floor in {CHECKS}"
            )


def flipped_claims(found: Findings, checks: Checks) -> Iterator[str]:
    """A message for each claim or cell that has to hold and does not. Raises ParamsError if one is not asked."""
    for name in checks.claims:
        todo = f"find out what changed it, or remove it from {CHECKS}"
        if name in found.claims:
            claim = found.claims[name]
            if claim.verdict != "holds":
                p = "" if claim.corrected is None else f" (corrected p {claim.corrected:.3f})"
                yield f"the claim {name} held, and now {claim.verdict}{p}; {todo}"
        elif name in found.cells:
            cell = found.cells[name]
            if cell.verdict != "holds":
                ends = "" if cell.low is None else f" [{cell.low:+.2f}, {cell.high:+.2f}]"
                yield f"the cell {name} held, and now {cell.verdict}: {cell.difference:+.2f} points{ends}; {todo}"
        else:
            raise ParamsError(f"{CHECKS}: claims: {name!r} is not in {CLAIMS}")


def check_report(root: Path) -> Iterator[str]:
    """All messages about the report of the repository at `root`. Raises ParamsError or MissingResultError."""
    reading = Reading(root)
    yield from stale_documents(reading)
    if checks := Checks.read(root):
        yield from below_floors(reading.results, checks)
        yield from flipped_claims(reading.found, checks)


def _around(line: str | None, other: str | None) -> str:
    """The part of `line` around the first character that differs from `other`, in quotes."""
    if line is None:
        return "missing"
    same = next(i for i, (a, b) in enumerate(zip_longest(line, other or "")) if a != b)
    start, end = max(0, same - SHOWN), same + SHOWN
    return f"“{'…' if start else ''}{line[start:end]}{'…' if end < len(line) else ''}”"
