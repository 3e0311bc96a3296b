"""Work in several processes, which end with the one that asked for it."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

import cv2

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 64
"""Items that a process is given at a time."""


@contextmanager
def pool(workers: int | None = None) -> Iterator[ProcessPoolExecutor]:
    """Processes of one thread each, `workers` or one a core.

    They end with the block, after all that was submitted; where an error or Ctrl-C ends it, after what they are at; and
    when this process is killed, at once.
    """
    processes = ProcessPoolExecutor(workers, get_context("spawn"), _begin)
    try:
        yield processes
        processes.shutdown()
    except BaseException:
        processes.shutdown(cancel_futures=True)
        raise


def _begin() -> None:
    """In each process, before its first task."""
    cv2.setNumThreads(1)
    # Ctrl-C reaches the whole group: the process that asked answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent
    parent.join()
    os._exit(1)


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
    with pool(workers) as processes:
        ahead = deque(processes.submit(task, chunk) for chunk in islice(chunks, 2 * workers))
        while ahead:
            results = ahead.popleft().result()
            ahead.extend(processes.submit(task, chunk) for chunk in islice(chunks, 1))
            yield from results
