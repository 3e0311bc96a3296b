"""Feeds a network: the batches of an epoch, prepared ahead in threads and copied to the device while it computes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from facedistill.crops.ahead import ahead
from facedistill.learning.batches import Batch, TrainingCrops


class Feed:
    """Yields the batches of an epoch in the order of `sampler`, on the device. Threads never change a batch.

    sampler: yields the keys of this process's part of each batch.
    threads: how many threads prepare the next batches; 0 to prepare each batch when it is asked for.
    """

    def __init__(
        self, data: TrainingCrops, sampler: Sampler[list[tuple[int, int]]], threads: int, device: torch.device
    ) -> None:
        self.data, self.sampler, self.threads, self.device = data, sampler, threads, device

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Batch]:
        if self.device.type == "cuda":
            yield from self._copied()
        else:
            yield from ahead(self.data.batch, self.sampler, self.threads)

    def _copied(self) -> Iterator[Batch]:
        """Copy each batch while the GPU computes on the one before: from pinned memory, on a stream of its own."""
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        waiting: tuple[Batch, torch.cuda.Event] | None = None
        for pinned in ahead(self._pinned, self.sampler, self.threads):
            with torch.cuda.stream(stream):
                begun = pinned.to(self.device), stream.record_event()
            if waiting:
                yield self._there(*waiting)
            waiting = begun
        if waiting:
            yield self._there(*waiting)

    def _pinned(self, keys: list[tuple[int, int]]) -> Batch:
        # A new thread would pin memory for the first GPU, whatever the GPU of this process.
        torch.cuda.set_device(self.device.index or torch.cuda.current_device())
        batch = self.data.batch(keys)
        return batch._replace(**{name: part.pin_memory() for name, part in batch.tensors().items()})

    @staticmethod
    def _there(batch: Batch, copied: torch.cuda.Event) -> Batch:
        """Let the computing stream wait for the copy, and keep the memory until it has read the batch."""
        computing = torch.cuda.current_stream()
        computing.wait_event(copied)
        for part in batch.tensors().values():
            part.record_stream(computing)
        return batch
