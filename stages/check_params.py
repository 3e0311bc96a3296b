"""Check params.yaml as every stage does at its start, and try the code of your own that it names. Nothing is trained.

`dvc repro` runs no check if no stage has changed: a recipe in a group that nothing trains is found here.
"""

from __future__ import annotations

from facedistill.params import PARAMS_FILE
from facedistill.schema import check_file


def main() -> None:
    check_file()
    print(f"{PARAMS_FILE}: every value is allowed, and the values agree with each other")


if __name__ == "__main__":
    main()
