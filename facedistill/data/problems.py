"""Data that cannot be used. A bad record becomes a line in the stage's report; a bad file stops the stage."""

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
"""A part of the path of every workspace that DVC makes for an experiment."""

NAMED = 12
"""The most lines that are printed. One line stands for all records that are alike."""


def missing(path: Path, what: str, advice: str) -> DataError:
    """The error to raise if a file or folder of the user is missing.

    what: `file` or `folder`.
    advice: what the user can do.
    """
    if not path.is_absolute() and EXPERIMENTS in Path.cwd().as_posix():
        copied = RAW if path.is_relative_to(RAW) else path
        advice = (
            "this is a workspace of `dvc exp run --queue` or `--temp`, which has nothing but what git and "
            f"DVC keep; give the absolute path in {PARAMS_FILE}, or run it with `--copy-paths {copied}`"
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
    """Write a stage's report as JSON, and print its problems and notes, with one line for all that are alike.

    file: where the report goes.
    counts: numbers by name.
    problems: the records that are left out.
    good: the number of records in use.
    allowed: the largest share of bad records, 0 to 1.
    notes: remarks on records that are kept.

    Raises DataError, after writing, if no record is good or if the share of bad records is above `allowed`.
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
    """One line for all problems with the same ending and reason. It names the first. No more than NAMED lines."""
    kinds: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        kinds.setdefault((Path(problem.record).suffix.lower(), problem.reason), []).append(problem)
    lines = []
    for first, *others in islice(kinds.values(), NAMED):
        more = f" (and {len(others)} more such)" if others else ""
        lines.append(f"{first.file}{': ' if first.file else ''}{first.record}: {first.reason}{more}")
    return lines + ([f"… and {len(kinds) - NAMED} more kinds"] if len(kinds) > NAMED else [])
