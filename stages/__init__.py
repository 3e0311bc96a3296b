"""The stages of dvc.yaml, with a script for each."""

import time

import facedistill  # noqa: F401 - first, because it guards a stage that `python -m` runs
from stages.warm import hand_over

BEGAN = time.perf_counter()
"""When this process began. This is before its stage imports modules that take seconds."""

hand_over()
