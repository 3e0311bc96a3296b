"""What cannot be used: a record becomes a line in the stage's report, a whole file stops the stage."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from facedistill.crops import DataError
from facedistill.data.photograph import Problem
from facedistill.files import write_json
from facedistill.params import PARAMS_FILE

SHOWN = 5
RAW = Path("data/raw")
EXPERIMENTS = "/.dvc/tmp/exps/"
"""In the path of every workspace that DVC makes for an experiment."""

NAMED = 12
"""Lines for records, one for all that are alike."""


def missing(path: Path, what: str, advice: str) -> DataError:
    """The error to raise where `path`, a file or folder (`what`) of the user's, is not there. advice: what to do."""
    if not path.is_absolute() and EXPERIMENTS in Path.cwd().as_posix():
        copied = RAW if path.is_relative_to(RAW) else path
        advice = (
            "this is a workspace of `dvc exp run --queue` or `--temp`, which has what git and DVC keep, and nothing "
            f"else; give the absolute path in {PARAMS_FILE}, or run it with `--copy-paths {copied}`"
        )
    return DataError(f"{path}: no such {what}; {advice}")


def report(
    file: Path,
    counts: dict[str, int],
    problems: Sequence[Problem],
    good: int,
    allowed: float,
    notes: Sequence[Problem] = (),
) -> None:
    """Write a stage's report: `counts`, every record left out (`problems`), and what to know of records kept (`notes`).

    Both are printed too, a line for all that are alike.
    good: records in use. allowed: the largest share of bad records, 0 to 1.
    Raises DataError, after writing, where nothing is good or more than `allowed` of all records is bad.
    """
    share = len(problems) / max(good + len(problems), 1)
    lines = {"left_out": [asdict(p) for p in problems], "notes": [asdict(p) for p in notes]}
    write_json(file, counts | {"bad_share": round(share, 6)} | lines)
    if good and share <= allowed:
        for what, records in (("left out", problems), ("note", notes)):
            for line in alike(records):
                print(f"{file.parent.name}: {what}: {line}", file=sys.stderr)
        return
    found = f"{len(problems)} of {good + len(problems)} records are bad, more than bad_share = {allowed} allows"
    first = "".join(f"\n  {p.file}: {p.record}: {p.reason}" for p in problems[:SHOWN])
    raise DataError(f"{found if problems else 'no photographs found'}; every line is in {file}{first}")


def alike(problems: Sequence[Problem]) -> list[str]:
    """A line for those of one ending and reason, which names the first of them; the first lines alone."""
    kinds: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        kinds.setdefault((Path(problem.record).suffix.lower(), problem.reason), []).append(problem)
    lines = []
    for first, *others in islice(kinds.values(), NAMED):
        more = f" (and {len(others)} more such)" if others else ""
        lines.append(f"{first.file}{': ' if first.file else ''}{first.record}: {first.reason}{more}")
    return lines + ([f"… and {len(kinds) - NAMED} more kinds"] if len(kinds) > NAMED else [])
