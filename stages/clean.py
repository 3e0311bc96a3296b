"""List what the teacher finds odd in a training set: wrong names, people under two names, photographs twice.

It needs stored answers (`teacher.stored`). Nothing is left out unless you ask for it: `--drop LIST` adds what was found
to a list for `leave_out`. This is no stage of dvc.yaml: run it by hand, and look at what it lists.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from facedistill.learning.parameters import TaskParams
from facedistill.learning.teachers.answers import Answers
from facedistill.learning.teachers.cleaning import Finding, findings
from facedistill.learning.training_set import training_crops
from facedistill.params import PARAMS_FILE, ParamsError, load
from facedistill.paths import CLEANING, LEAVE_OUT
from stages.common import run, stored_answers

SHOWN = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="classification", help="a task of `teacher.stored` in params.yaml")
    parser.add_argument("--drop", type=Path, metavar="LIST", help=f"add what was found to this list in {LEAVE_OUT}")
    args = parser.parse_args()

    crops = training_crops(load(TaskParams, f"tasks.{args.task}"))
    if not (folder := stored_answers(args.task)):
        raise ParamsError(
            f"{PARAMS_FILE}: teacher.stored: no answers of {args.task} are stored; add it, and `dvc repro`"
        )
    if args.drop and LEAVE_OUT not in args.drop.parents:
        raise ParamsError(f"{args.drop} is outside {LEAVE_OUT}, where `dvc repro` notices a list; take a file in it")
    found = findings(Answers(folder), crops.keys, crops.labels, crops.classes)
    write(found, CLEANING / f"{args.task}.csv")
    if args.drop:
        drop(found, args.drop)
        print(f"{args.drop}: now has them; name it in datasets.{crops.folder.name}.leave_out, then `dvc repro`")


def write(found: list[Finding], file: Path) -> None:
    """Write the findings as CSV, and print how many there are of each kind, with the first few."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as text:
        table = csv.DictWriter(text, Finding.__dataclass_fields__)
        table.writeheader()
        table.writerows(asdict(finding) for finding in found)
    for kind, count in Counter(finding.kind for finding in found).items():
        print(f"{count:>7,} {kind}")
        for finding in [finding for finding in found if finding.kind == kind][:SHOWN]:
            said = f"{finding.key} ({finding.name})"
            said += f", rather {finding.likely}" if finding.likely not in ("", finding.name) else ""
            said += f", like {finding.other}" if finding.other else ""
            print(f"        {said}: {finding.distance:.3f}")
    print(f"{file}: all {len(found):,}, with their distances")


def drop(found: list[Finding], file: Path) -> None:
    """Add the photographs that are odd to a list, and of each person under two names the second name."""
    lines = [finding.name if finding.kind == "two names" else finding.key for finding in found]
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    named = {line.partition("#")[0].strip() for line in before.splitlines()}
    new = [line for line in dict.fromkeys(lines) if line not in named]
    file.write_text(before + "".join(f"{line}\n" for line in new), encoding="utf-8")


if __name__ == "__main__":
    run(main)
