"""The steps of dvc.yaml, a script each."""

import time

import facedistill  # noqa: F401 - first, for what it does where `python -m` runs a stage

BEGAN = time.perf_counter()
"""When this process began: before its stage imports what takes seconds."""
