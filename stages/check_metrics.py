"""Check the committed report: it is what code, parameters and metrics make of it, and no worse than it was.

Needs no data and no models. Ends with 1 where something is wrong, and says what, by how much, and what to do.
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
"""Most stages that a message explains."""


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
    """A message where `dvc repro` has something to do: which stages, and what changed that they read or wrote."""
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
        f"dvc.lock is not of this code, these parameters and these reports; {len(shown)} of the stages would run: "
        f"{'; '.join(shown[:STAGES])}{more}. Run `dvc repro` where the data is, and commit dvc.lock and reports; a "
        "report that was edited by hand: `git restore` it"
    )


def _changed(changes: list[Any]) -> Iterator[str]:
    """Names of what is not as in dvc.lock; files that are only missing are not among them."""
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
    # The names of stages may have letters that this terminal lacks.
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    return subprocess.run(  # noqa: S603 - no word of it is data
        command, cwd=root, env=environment, capture_output=True, encoding="utf-8"
    )


if __name__ == "__main__":
    main()
