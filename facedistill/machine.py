"""How much of the machine this process may use."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LAUNCHED = "FACEDISTILL_LAUNCHED"
"""An environment variable that is set in the processes of a stage that runs in several."""

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
"""Where Linux has the control groups of all processes, for example of containers, and the names of this process's own.

https://docs.kernel.org/admin-guide/cgroup-v2.html
"""


def cores() -> int:
    """How many processes or threads should work at a time; 1 or more.

    It is the least of three numbers: the cores on which this process may run (`taskset`), the cores of its control
    group (`docker --cpus`), and OMP_NUM_THREADS, which PyTorch obeys too.
    """
    limits = [float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)]
    limits += _quotas()
    with suppress(ValueError):
        # A list is for nested threads. Its first number is for the outermost ones.
        limits.append(int(os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]))
    return max(1, math.ceil(min(limits)))


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; empty without any.

    If that variable is not set, they are numbered as the NVIDIA driver lists them. No CUDA context is made, and PyTorch
    is not imported.
    """
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in named.split(",") if gpu]
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "-L"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no data in it
    found = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [str(i) for i in range(len(found))] if not listed.returncode else []


def _quotas() -> Iterator[float]:
    """The number of cores of each control group of this process that has a limit."""
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
        # A container may see its own group as the top, under another name.
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError, ZeroDivisionError):
                if controllers:
                    quota, period = ((folder / f"cpu.cfs_{part}_us").read_text() for part in ("quota", "period"))
                else:
                    quota, period = (folder / "cpu.max").read_text().split()
                # Without a limit, version 1 has -1 here, and version 2 has "max".
                if (found := int(quota) / int(period)) > 0:
                    yield found
            if folder == top:
                break
