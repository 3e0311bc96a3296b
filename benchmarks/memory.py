"""What a process has held at most."""

from __future__ import annotations

import resource


def peak_mb() -> int:
    """Megabytes of this process's memory, at its highest so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
