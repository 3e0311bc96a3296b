"""Prepares items ahead of their use, in threads. OpenCV and NumPy release Python's lock while they work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(prepare: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Yield prepare(item) for each item, in their order. Meanwhile, threads prepare the next `threads` items.

    threads: 0 to prepare each item when it is asked for.

    If `prepare` raises an error, this raises it in the place of that item.
    """
    if not threads:
        yield from map(prepare, items)
        return
    begun: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            begun.append(pool.submit(prepare, item))
            if len(begun) > threads:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        # The caller may stop early, or an item may have failed.
        pool.shutdown(cancel_futures=True)
