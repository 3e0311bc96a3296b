"""What a process has held at most."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mb() -> int:
    """Megabytes of this process's memory, at its highest so far: its own, where getrusage begins with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) // 1024
