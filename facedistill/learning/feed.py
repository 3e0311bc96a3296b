"""Feeds a network: the batches of an epoch, prepared ahead in threads and copied to the device while it computes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from facedistill.crops.ahead import ahead
from facedistill.learning.batches import Batch, TrainingCrops, cut

ROOM = 0.25
"""The share of a GPU's free memory that crops may take. The rest is for networks and their outputs."""


class Feed:
    """Yields the batches of an epoch in the order of `sampler`, on the device. Threads never change a batch.

    On a GPU with room for them, crops that are in memory are on the GPU too, and cut there.

    sampler: yields the keys of this process's part of each batch.
    threads: how many threads prepare the next batches; 0 to prepare each batch when it is asked for.
    """

    def __init__(
        self, data: TrainingCrops, sampler: Sampler[list[tuple[int, int]]], threads: int, device: torch.device
    ) -> None:
        self.data, self.sampler, self.threads, self.device = data, sampler, threads, device
        self.crops: torch.Tensor | None = None
        # What colours or turns a crop, and who sees it whole, works on the host.
        cache = None if data.photometric or data.whole or data.scatter else data.cache
        if device.type == "cuda" and cache is not None and cache.nbytes <= ROOM * torch.cuda.mem_get_info()[0]:
            self.crops = torch.from_numpy(cache).to(device)

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Batch]:
        if self.device.type == "cuda":
            yield from self._copied()
        else:
            yield from ahead(self.data.batch, self.sampler, self.threads)

    def _copied(self) -> Iterator[Batch]:
        """Copy each batch while the GPU computes on the one before: from pinned memory, on a stream of its own."""
        gpu, stream = torch.cuda.current_device(), torch.cuda.Stream()  # type: ignore[no-untyped-call]

        def pinned(keys: list[tuple[int, int]]) -> Batch:
            torch.cuda.set_device(gpu)  # a new thread begins with the first GPU, whatever the GPU of its process
            batch = self.data.batch(keys, resident=self.crops is not None)
            return batch._replace(**{name: part.pin_memory() for name, part in batch.tensors().items()})

        waiting: tuple[Batch, torch.cuda.Event] | None = None
        for batch in ahead(pinned, self.sampler, self.threads):
            with torch.cuda.stream(stream):
                begun = batch.to(self.device), stream.record_event()
            if waiting:
                yield self._there(*waiting)
            waiting = begun
        if waiting:
            yield self._there(*waiting)

    def _there(self, batch: Batch, copied: torch.cuda.Event) -> Batch:
        """Let the computing stream wait for the copy, and keep the memory until it has read the batch."""
        computing = torch.cuda.current_stream()
        computing.wait_event(copied)
        for part in batch.tensors().values():
            part.record_stream(computing)
        if self.crops is None:
            return batch
        return batch._replace(images=cut(self.crops, batch.images, batch.rows, batch.mirrored, self.data.side))
