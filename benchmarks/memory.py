"""The peak memory of a process."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mb() -> int:
    """Return the peak memory of this process so far, in MiB. (getrusage would include the peak of its parent.)"""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) // 1024
