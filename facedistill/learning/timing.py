"""Where the time of a training run goes: into waiting for data, or into computing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Timing:
    """Sums over the steps of a run. crops: trained on. wait: seconds without a batch on the device. compute: with one.

    By the clock of the device: the host runs ahead of a GPU, and would time launches. Snapshots are in neither.
    """

    device: torch.device
    crops: int = 0
    wait: float = 0.0
    compute: float = 0.0
    _marks: list[Any] = field(default_factory=list)

    def mark(self) -> None:
        """Three in turn, each step: a batch is asked for, it is on the device, its step is done."""
        if self.device.type == "cuda":
            # Read in `add_up` alone: a step waits for no other.
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter())

    def add_up(self) -> None:
        """Take the marks so far into the sums; on a GPU, wait for it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        for asked, there, done in zip(self._marks[::3], self._marks[1::3], self._marks[2::3], strict=False):
            self.wait += _seconds(asked, there)
            self.compute += _seconds(there, done)
        self._marks.clear()

    @property
    def share(self) -> float:
        """Of the time, that of waiting for data."""
        return self.wait / (self.wait + self.compute)

    def metrics(self) -> dict[str, float]:
        """As JSON values for `dvc metrics`."""
        return {
            "crops_per_second": round(self.crops / (self.wait + self.compute), 1),
            "data_wait_seconds": round(self.wait, 3),
            "compute_seconds": round(self.compute, 3),
            "data_wait_share": round(self.share, 4),
        }

    def log(self) -> dict[str, float]:
        """The sums, of all marks so far, as JSON values."""
        self.add_up()
        return {"crops": self.crops, "wait": self.wait, "compute": self.compute}

    def restore(self, log: dict[str, Any]) -> None:
        """Go on from where it gave this `log`."""
        self.crops, self.wait, self.compute = log["crops"], log["wait"], log["compute"]


def _seconds(begin: Any, end: Any) -> float:
    if isinstance(begin, float):
        return float(end - begin)
    return float(begin.elapsed_time(end) / 1000)
