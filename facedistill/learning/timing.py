"""How much of the time of a training run is spent on waiting for data, and how much on computing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Timing:
    """Sums over the steps of a run.

    We use the clock of the device: the host runs ahead of a GPU, and its clock would time the launches. The time that
    snapshots take is in neither sum.

    device: the device that computes.
    crops: how many crops it has trained on.
    wait: seconds without a batch on the device.
    compute: seconds with a batch on the device.
    """

    device: torch.device
    crops: int = 0
    wait: float = 0.0
    compute: float = 0.0
    _marks: list[Any] = field(default_factory=list)

    def mark(self) -> None:
        """Mark a moment. Each step has three, in this order: ask for a batch, batch on the device, step done."""
        if self.device.type == "cuda":
            # Only `add_up` reads the event, so that no step waits for another.
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter())

    def add_up(self) -> None:
        """Add the marks so far to the sums. On a GPU, this waits until its work is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        for asked, there, done in zip(self._marks[::3], self._marks[1::3], self._marks[2::3], strict=False):
            self.wait += _seconds(asked, there)
            self.compute += _seconds(there, done)
        self._marks.clear()

    @property
    def share(self) -> float:
        """The share of the time spent on waiting for data, from 0 to 1."""
        return self.wait / (self.wait + self.compute)

    def metrics(self) -> dict[str, float]:
        """Return the timing as JSON values, for a file in reports/speed."""
        return {
            "crops_per_second": round(self.crops / (self.wait + self.compute), 1),
            "data_wait_seconds": round(self.wait, 3),
            "compute_seconds": round(self.compute, 3),
            "data_wait_share": round(self.share, 4),
        }

    def log(self) -> dict[str, float]:
        """Return the sums of all marks so far, as JSON values."""
        self.add_up()
        return {"crops": self.crops, "wait": self.wait, "compute": self.compute}

    def restore(self, log: dict[str, Any]) -> None:
        """Go on from the state in which `log` returned these values."""
        self.crops, self.wait, self.compute = log["crops"], log["wait"], log["compute"]


def _seconds(begin: Any, end: Any) -> float:
    if isinstance(begin, float):
        return float(end - begin)
    return float(begin.elapsed_time(end) / 1000)
