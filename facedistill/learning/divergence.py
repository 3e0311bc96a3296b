"""Divergence: ends a run whose loss is infinite or NaN, and keeps the data that show why."""

from __future__ import annotations

import math
from collections.abc import Sequence

from safetensors.torch import save_file

from facedistill.learning.batches import BatchSampler
from facedistill.learning.feed import Feed
from facedistill.learning.snapshots import Snapshots
from facedistill.learning.student import Student

BATCH = "diverged.safetensors"


class DivergedError(RuntimeError):
    """A loss term is infinite or NaN."""


def stop_if_diverged(
    students: Sequence[Student],
    sampler: BatchSampler,
    feed: Feed,
    snapshots: Snapshots,
) -> None:
    """Raises DivergedError if a step since the last call had a term that is infinite or NaN.

    The error names the first such step, and the files that keep its batch and the last good weights. The terms are the
    same in all processes, so only the main process checks them, and its end stops the others.
    """
    if not snapshots.process.is_main:
        return
    for student in students:
        found = student.first_bad()
        if not found:
            continue
        step, terms = found
        sampler.epoch, sampler.skip = divmod(step - 1, len(sampler))
        # A crop depends only on the epoch and the row, so this is the batch that the network saw.
        batch = feed.data.batch(next(iter(sampler)))
        snapshots.folder.mkdir(parents=True, exist_ok=True)
        save_file({name: part.contiguous() for name, part in batch.tensors().items()}, snapshots.folder / BATCH)
        good = snapshots.newest() or "no snapshot yet"
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        raise DivergedError(
            f"{student.name}: epoch {sampler.epoch + 1}, step {step}: {', '.join(bad)} no longer a number (terms: "
            f"{terms}); the batch is kept in {snapshots.folder / BATCH}, the last good weights in {good}; lower "
            "the learning rate, raise warmup_steps, set clip_norm, or take `reduction: mean`"
        )
