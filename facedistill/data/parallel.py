"""Work in several processes, which end when the process that started them ends."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from threading import Lock, Thread, local
from typing import Any, TypeVar

import cv2

from facedistill.machine import cores

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 64
"""The number of items that a process gets at a time."""

GRACE_SECONDS = 5.0
"""How long a process may go on with its task after an error has ended the work."""

_CONTEXT = get_context("spawn")


class ProcessError(RuntimeError):
    """A process ended in the middle of a task."""


class Pool:
    """Up to `workers` processes, and a thread for each, which sends it tasks and waits for the results.

    A thread and its process share nothing but a pipe, so the wait ends if the process dies. ProcessPoolExecutor has a
    queue instead, in which a task that cannot be pickled blocks everything (CPython before 3.12).
    """

    def __init__(self, workers: int) -> None:
        self._threads = ThreadPoolExecutor(workers)
        self._mine, self._starting, self._workers = local(), Lock(), list[_Worker]()
        self._ended = False

    def submit(self, task: Callable[..., R], *arguments: Any) -> Future[R]:
        """Run `task(*arguments)` in a process. The future raises ProcessError if the process dies."""
        return self._threads.submit(self._ask, task, *arguments)

    def _ask(self, task: Callable[..., R], *arguments: Any) -> R:
        if not hasattr(self._mine, "worker"):
            with self._starting:
                if self._ended:
                    raise ProcessError("the work has ended")
                self._mine.worker = _Worker()
                self._workers.append(self._mine.worker)
        return self._mine.worker.ask(task, *arguments)  # type: ignore[no-any-return]

    def wait(self) -> None:
        """Wait until all submitted tasks are done."""
        self._threads.shutdown()

    def end(self) -> None:
        """End all processes. A process with a task may finish it first, within GRACE_SECONDS."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._starting:
            self._ended = True
        deadline = time.monotonic() + GRACE_SECONDS
        try:
            for worker in self._workers:
                if worker.busy.acquire(timeout=max(0, deadline - time.monotonic())):
                    worker.busy.release()
        finally:
            for worker in self._workers:
                worker.process.kill()
            for worker in self._workers:
                worker.process.join(GRACE_SECONDS)


class _Worker:
    """One process. busy: a lock that is held while the process has a task."""

    def __init__(self) -> None:
        self.busy = Lock()
        self.link, theirs = _CONTEXT.Pipe()
        with theirs:
            self.process = _CONTEXT.Process(target=_work, args=(theirs,), daemon=True)
            self.process.start()

    def ask(self, task: Callable[..., R], *arguments: Any) -> R:
        with self.busy:
            try:
                self.link.send((task, arguments))
                error, result = self.link.recv()
            except (EOFError, OSError):
                raise ProcessError(f"a process that shares the work {self._end()}") from None
        if error:
            raise error
        return result  # type: ignore[no-any-return]

    def _end(self) -> str:
        self.process.join(GRACE_SECONDS)
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"ended with exit code {code}; its own message is above"
        return f"was killed by {signal.Signals(-code).name}, perhaps for lack of memory; run this again"


@contextmanager
def pool(workers: int | None = None) -> Iterator[Pool]:
    """A pool of `workers` processes with one thread each. By default there is one for each core.

    On normal exit the pool finishes all submitted work. On an error or Ctrl-C it finishes only the tasks in progress,
    and kills those that take longer than GRACE_SECONDS. If this process is killed, the workers exit immediately.
    """
    processes = Pool(workers or cores())
    try:
        yield processes
        processes.wait()
    finally:
        processes.end()


def _work(link: Connection[Any, Any]) -> None:
    """The main function of each process. It runs task after task until it is killed."""
    cv2.setNumThreads(1)
    # Ctrl-C reaches the whole process group. Only the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    # If the parent is gone, nobody waits for the result.
    with suppress(EOFError, ConnectionError):
        while True:
            task, arguments = link.recv()
            try:
                result = task(*arguments)
            except Exception as error:
                error.add_note(f"in a process that shares the work:\n{traceback.format_exc()}")
                link.send((error, None))
            else:
                link.send((None, result))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent
    parent.join()
    os._exit(1)


def in_order(task: Callable[[list[T]], list[R]], items: Iterable[T], workers: int | None = None) -> Iterator[R]:
    """The results of `task` for `items`, in the order of the items. Only a few chunks are in memory at a time.

    task: maps a chunk of items to a list of as many results.
    workers: the number of processes, by default one for each core. With 1, this process does all the work.

    Raises what `task` raises, and ProcessError if a process dies.
    """
    workers = workers or cores()
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
