"""One task over a stream of items in several processes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

import cv2

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 64
"""Items that a process is given at a time."""


def in_order(task: Callable[[list[T]], list[R]], items: Iterable[T], workers: int | None = None) -> Iterator[R]:
    """The results of `task`, which maps a chunk of items to as many, in the order of the items, few chunks in memory.

    workers: processes, one a core by default; with 1 everything stays in this one.
    """
    workers = workers or getattr(os, "process_cpu_count", os.cpu_count)() or 1
    rest = iter(items)
    chunks = iter(lambda: list(islice(rest, CHUNK)), [])
    if workers == 1:
        for chunk in chunks:
            yield from task(chunk)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), cv2.setNumThreads, (1,)) as pool:
        ahead = deque(pool.submit(task, chunk) for chunk in islice(chunks, 2 * workers))
        while ahead:
            results = ahead.popleft().result()
            ahead.extend(pool.submit(task, chunk) for chunk in islice(chunks, 1))
            yield from results
