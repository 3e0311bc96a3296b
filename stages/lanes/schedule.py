"""Which stage may begin when. Dask decides where."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from distributed import Future, wait

from stages.lanes.pipeline import Stage

LOOK = 2
"""Seconds after which it asks again whether machines have come."""


def reproduce(
    stages: Mapping[str, Stage],
    seconds: Mapping[str, float],
    lanes: Callable[[], int],
    start: Callable[[str, int], Future[Any]],
    succeeded: Callable[[str, Future[Any]], bool],
    keep_going: bool = False,
) -> list[str]:
    """Run every stage as soon as those before it have succeeded. Returns the stages that failed.

    stages: in an order in which all could run one after the other.
    seconds: how long each stage took the last time. The ready stage with the longest chain after it goes first.
    lanes: returns how many stages all machines together may run at a time now.
    start: takes a stage and its priority, and returns its future.
    succeeded: takes a stage and its future, which is done, and returns whether the stage succeeded.
    keep_going: after a failure, go on with all stages that do not depend on it. Otherwise no other stage begins.

    No more stages are submitted than there are lanes, because Dask's order holds on each machine and not among them.
    """
    chains: dict[str, float] = {}
    for name in reversed([*stages]):
        after = [chains[other] for other in chains if name in stages[other].before]
        chains[name] = seconds.get(name, 0) + max(after, default=0)
    # A stage that runs alone waits until a machine is free, so the others go first.
    waiting = sorted(stages, key=lambda name: (stages[name].needs.alone, -chains[name]))
    priority = {name: -rank for rank, name in enumerate(waiting)}
    running: dict[Future[Any], str] = {}
    done, failed = set[str](), list[str]()
    while True:
        ready = [name for name in waiting if stages[name].before <= done] if keep_going or not failed else []
        for name in ready[: max(0, lanes() - len(running))]:
            waiting.remove(name)
            running[start(name, priority[name])] = name
        if not running and not ready:
            return failed
        if not running:
            time.sleep(LOOK)
            continue
        with suppress(TimeoutError):
            wait([*running], timeout=LOOK, return_when="FIRST_COMPLETED")
        for future in [future for future in running if future.done()]:
            name = running.pop(future)
            if succeeded(name, future):
                done.add(name)
            else:
                failed.append(name)
