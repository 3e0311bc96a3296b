"""Exact nearest neighbours, against the matrix product alone and against faiss."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.memory import peak_mb
from benchmarks.speed.measure import Row, alone, rates
from facedistill.evaluation.retrieval import nearest_neighbour_hits

ROWS, WIDTH = 20_000, 2_048
BLOCK = 1_000
"""Queries in one matrix product. The scores of all queries at once would take 1.6 GB."""

MEMORY_MB = 512


def neighbours(device: torch.device) -> Iterator[Row]:
    """Search each of ROWS embeddings among all others."""
    what = f"nearest neighbour, {ROWS:,} x {ROWS:,} x {WIDTH:,}"
    if device.type == "cpu":
        held = alone(_held_mb)
        yield Row(what, "memory beyond the inputs", "MB", held, MEMORY_MB, MEMORY_MB / max(held, 1), 1)
    embeddings, labels = _embeddings(device)

    def ours() -> int:
        return len(nearest_neighbour_hits(embeddings, labels))

    def product() -> int:
        for start in range(0, ROWS, BLOCK):
            embeddings[start : start + BLOCK] @ embeddings.T
        return ROWS

    functions = [ours, product]
    if device.type == "cpu":
        functions += _faiss(embeddings)
    mine, *theirs = rates(*functions, rounds=2)
    names = (("the matrix product alone", 0.8), ("faiss-cpu, IndexFlatL2", 1.0))
    for (against, goal), rate in zip(names, theirs, strict=False):
        yield Row(what, against, "queries/s", mine, rate, mine / rate, goal)


def _faiss(embeddings: Tensor) -> list[Callable[[], int]]:
    """Return the search by faiss, on as many threads as torch has; an empty list if faiss is not installed."""
    try:
        import faiss
    except ModuleNotFoundError:
        print("faiss-cpu is not installed (pip install faiss-cpu): its row is left out")
        return []
    rows = embeddings.numpy()
    faiss.omp_set_num_threads(torch.get_num_threads())

    def search() -> int:
        index = faiss.IndexFlatL2(WIDTH)
        index.add(rows)
        index.search(rows, 2)  # the nearest is the query itself
        return ROWS

    return [search]


def _embeddings(device: torch.device) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(ROWS, WIDTH, generator=generator).to(device), torch.arange(ROWS, device=device) // 10


def _held_mb() -> int:
    embeddings, labels = _embeddings(torch.device("cpu"))
    embeddings[:64] @ embeddings[:64].T  # the library's own buffers
    before = peak_mb()
    nearest_neighbour_hits(embeddings, labels)
    return peak_mb() - before
