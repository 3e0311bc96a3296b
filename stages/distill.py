"""Distil a teacher into a student, by all recipes of a group in params.yaml (Equations 2, 4 and others)."""

from __future__ import annotations

import argparse

from facedistill.grid.layout import Layout
from stages.common import run_together, train_group


def main() -> None:
    layout = Layout.read()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", required=True, help="a key of `students` in params.yaml")
    parser.add_argument(
        "--group", required=True, choices=layout.groups, help="a key of `recipes`; for proxyless, a margin"
    )
    args = parser.parse_args()

    train_group(layout.groups[args.group], args.student)


if __name__ == "__main__":
    run_together(main)
