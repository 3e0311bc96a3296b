"""Whole parameter files: put one of params/ in place of params.yaml, and keep the reports that it made.

    python -m facedistill.profile use real-faces     # params/real-faces.yaml becomes params.yaml
    dvc repro
    python -m facedistill.profile keep real-faces    # all reports, params.yaml, dvc.lock: reports/real-faces

`git restore params.yaml dvc.lock reports` brings the default back. A params.yaml that was edited is not replaced.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from facedistill import git

PARAMS, PROFILES, REPORTS = Path("params.yaml"), Path("params"), Path("reports")
DOCUMENTS = (
    "index.html",
    "tables.md",
    "claims.md",
    "claims.json",
    "datasets.json",
    "models.json",
    "plots",
    "metrics",
    "speed",
)
KEPT = (PARAMS, Path("dvc.lock"), *(REPORTS / name for name in DOCUMENTS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["use", "keep"])
    parser.add_argument("name", choices=sorted(path.stem for path in PROFILES.glob("*.yaml")))
    args = parser.parse_args()
    profile = PROFILES / f"{args.name}.yaml"
    if args.action == "use":
        if PARAMS.exists() and not _kept(PARAMS.read_bytes()):
            sys.exit(
                f"{PARAMS} was edited, and nothing else has these edits: commit it, or copy it to "
                f"{PROFILES}/NAME.yaml, or drop them by `git restore {PARAMS}`; then run this again"
            )
        shutil.copyfile(profile, PARAMS)
        # Another grid has other files: none of the last one's may stay among them.
        for name in ("metrics", "speed"):
            shutil.rmtree(REPORTS / name, ignore_errors=True)
    elif PARAMS.read_bytes() != profile.read_bytes():
        sys.exit(f"{PARAMS} is not {profile}: these reports are not of this profile")
    else:
        keep(REPORTS / args.name)


def _kept(content: bytes) -> bool:
    """Whether a parameter file of these bytes can be had again: from PROFILES, or from git."""
    return any(content == file.read_bytes() for file in PROFILES.glob("*.yaml")) or content == git.committed(PARAMS)


def keep(folder: Path) -> None:
    """Copy the reports of the last `dvc repro`, and what made them, into `folder`."""
    if missing := [str(path) for path in KEPT if not path.exists()]:
        sys.exit(f"{', '.join(missing)}: not there, so nothing is kept; run `dvc repro` to its end first")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in KEPT:
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        else:
            shutil.copyfile(path, folder / path.name)


if __name__ == "__main__":
    main()
