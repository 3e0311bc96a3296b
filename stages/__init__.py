"""The steps of dvc.yaml, a script each."""

import time

BEGAN = time.perf_counter()
"""When this process began: before its stage imports what takes seconds."""
