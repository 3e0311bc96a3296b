"""The one training loop, for teachers and students, for every task and every recipe."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tqdm import tqdm

from facedistill.learning.batches import BatchSampler
from facedistill.learning.device import autocast
from facedistill.learning.divergence import stop_if_diverged
from facedistill.learning.feed import Feed
from facedistill.learning.parameters import OptimisationParams, Precision
from facedistill.learning.snapshots import Snapshots
from facedistill.learning.student import Student
from facedistill.learning.teachers import Teachers
from facedistill.learning.timing import Timing


def train(
    students: Sequence[Student],
    teachers: Teachers,
    sampler: BatchSampler,
    feed: Feed,
    optimisation: OptimisationParams,
    device: torch.device,
    precision: Precision,
    snapshots: Snapshots,
) -> Timing:
    """Train the networks in place, each by its own loss. If there is a snapshot, training goes on from the last one.

    The students see the same batches, and the teachers' outputs are computed once for all of them. Still, each student
    takes the same steps as if it trained alone, bit for bit.

    sampler: yields the rows of full batches.
    feed: yields this process's shard of each batch.

    Returns the timing of all steps, including the steps before a stop. Raises DivergedError if a term is infinite or
    NaN.
    """
    timing = Timing(device)
    epoch_steps = len(feed)
    steps = optimisation.epochs * epoch_steps
    step = snapshots.restore(students, timing)
    bar = tqdm(
        total=steps * sampler.batch,
        initial=step * sampler.batch,
        unit=" crops",
        unit_scale=True,
        # None means: show the bar only if standard error is a terminal.
        disable=None if snapshots.process.is_main else True,
    )

    for epoch in range(step // epoch_steps, optimisation.epochs):
        sampler.epoch, sampler.skip = epoch, step % epoch_steps
        timing.mark()
        for batch in feed:
            timing.mark()
            # Once for all networks.
            batch = batch._replace(images=batch.images.float())
            rate = optimisation.rate(step, steps)
            step += 1

            with autocast(device, precision):
                targets = teachers(batch)
            for student in students:
                terms = student.objective(batch, targets)
                student.optimiser.zero_grad()
                terms["loss"].backward()  # type: ignore[no-untyped-call]
                if optimisation.clip_norm:
                    student.clip(optimisation.clip_norm)
                student.optimiser.step(rate)

                student.count(step, terms)
                if student.curves.wants(step):
                    values = torch.stack([term.detach() for term in terms.values()]).tolist()
                    student.curves.step(step, dict(zip(terms, values, strict=True)))
            timing.mark()
            timing.crops += sampler.batch
            if snapshots.due() and step % epoch_steps:
                stop_if_diverged(students, sampler, feed, snapshots)
                snapshots.save(step, students, timing)
            bar.update(sampler.batch)
            timing.mark()

        stop_if_diverged(students, sampler, feed, snapshots)
        for student in students:
            student.end_epoch(epoch_steps)
            student.curves.epoch(epoch + 1, student.means | {"learning_rate": rate})
        timing.add_up()
        if snapshots.due(epoch + 1):
            snapshots.save(step, students, timing)
        losses = ", ".join(f"{student.means['loss']:.3f}" for student in students)
        bar.set_postfix_str(
            f"epoch {epoch + 1}/{optimisation.epochs}, loss {losses}, waiting for data {timing.share:.0%}"
        )

    bar.close()
    return timing
