"""How much of the machine is ours."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
"""Where Linux keeps the control groups of all processes, as those of a container are, and says which are ours."""


def cores() -> int:
    """How many processes, or threads, may be at work at a time; 1 or more.

    That is how many cores this process may run on (`taskset`), no more than its control group has (`docker --cpus`),
    and no more than OMP_NUM_THREADS says, by which PyTorch goes as well.
    """
    limits = [float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)]
    limits += _quotas()
    with suppress(ValueError):
        # A list is for threads within threads: the first is ours.
        limits.append(int(os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]))
    return max(1, math.ceil(min(limits)))


def shares_memory() -> bool:
    """Whether processes can share memory, as those of PyTorch's loader do. A container may have no /dev/shm."""
    return sys.platform != "linux" or os.access("/dev/shm", os.W_OK)  # noqa: S108 - nothing is put there


def _quotas() -> Iterator[float]:
    """The cores of each control group that this process is in; of one without a limit nothing."""
    try:
        lines = OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = GROUPS / "cpu" if controllers else GROUPS
        group = top / name.lstrip("/")
        # A container may see its own group as the top, under whatever name.
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError, ZeroDivisionError):
                if controllers:
                    quota, period = ((folder / f"cpu.cfs_{part}_us").read_text() for part in ("quota", "period"))
                else:
                    quota, period = (folder / "cpu.max").read_text().split()
                # Version 1 says -1 where there is no limit, version 2 "max".
                if (found := int(quota) / int(period)) > 0:
                    yield found
            if folder == top:
                break
