"""Check the committed report: it has to follow from code, parameters and metrics, and to be no worse than before.

This needs no data and no models. If something is wrong, it says what, by how much and what to do, and exits with 1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facedistill.checks import CHECKS, Checks, check_report
from facedistill.entry import line, of_dvc

STAGES = 5
"""The most stages that a message explains."""


def main() -> None:
    root = Path()
    failures = list(changed_stages(root))
    try:
        failures += check_report(root)
        floors = Checks.read(root)
    except Exception as error:
        if not (said := line(error)):
            raise
        failures.append(said)
    if failures:
        sys.exit("\n".join(f"- {failure}" for failure in failures))
    held = f"{len(floors.floors)} floors and {len(floors.claims)} claims kept" if floors else f"not in {CHECKS}"
    print(f"The report is what dvc.lock, the code and the metrics make of it; {held}.")


def changed_stages(root: Path) -> Iterator[str]:
    """A message if `dvc repro` has something to do: which stages, and which of their inputs or outputs changed."""
    dry = _dvc(root, "repro", "--allow-missing", "--dry")
    would_run = [said.split("'")[1] for said in dry.stdout.splitlines() if said.startswith("Running stage ")]
    if not dry.returncode and not would_run:
        return
    status = _dvc(root, "status", "--json")
    if status.returncode:
        yield f"dvc cannot read the repository: {of_dvc((status.stderr or dry.stderr).strip())}"
        return
    reasons = {
        stage: found for stage, changes in json.loads(status.stdout).items() if (found := list(_changed(changes)))
    }
    shown = [f"{stage} ({', '.join(found)})" for stage, found in reasons.items()] or would_run
    more = f" and {len(shown) - STAGES} more" if len(shown) > STAGES else ""
    yield (
        f"dvc.lock does not match this code, these parameters and reports; {len(shown)} of the stages would run: "
        f"{'; '.join(shown[:STAGES])}{more}. Run `dvc repro` where the data is, and commit dvc.lock and reports; if "
        "a report was edited by hand, `git restore` it"
    )


def _changed(changes: list[Any]) -> Iterator[str]:
    """The names of everything that differs from dvc.lock, except files that are only missing."""
    for change in changes:
        if isinstance(change, str):
            yield change
            continue
        for files in change.values():
            for name, state in files.items():
                if isinstance(state, dict):
                    yield from (f"{name}: {key}" for key in state)
                elif state in ("modified", "new"):
                    yield name


def _dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvc", *arguments]
    # The names of stages may have letters that this terminal cannot print.
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    return subprocess.run(  # noqa: S603 - no argument is data
        command, cwd=root, env=environment, capture_output=True, encoding="utf-8"
    )


if __name__ == "__main__":
    main()
