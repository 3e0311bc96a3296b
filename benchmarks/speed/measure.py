"""Time two ways of doing one thing, in turns, because a machine may slow down in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median
from typing import TypeVar

import torch

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """A line of the table.

    what: what was measured.
    against: what it is compared with.
    unit: the unit of `ours` and `other`.
    ours, other: the two numbers.
    ratio: above 1 if ours is better.
    goal: the ratio to reach; None if there is no goal.
    """

    what: str
    against: str
    unit: str
    ours: float
    other: float
    ratio: float
    goal: float | None

    @property
    def reached(self) -> str:
        """Whether the ratio reaches its goal, as `yes` or `no`; empty without a goal."""
        return "" if self.goal is None else "yes" if self.ratio >= self.goal else "no"


def rates(*functions: Callable[[], int], rounds: int) -> tuple[float, ...]:
    """Return the rate of each function: the median of `rounds` turns, after one turn to warm up.

    functions: each does some things, and returns how many. The rate is things per second.
    """
    found: list[list[float]] = [[] for _ in functions]
    for turn in range(rounds + 1):
        for function, rate in zip(functions, found, strict=True):
            began = time.perf_counter()
            done = function()
            if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
                torch.cuda.synchronize()
            if turn:
                rate.append(done / (time.perf_counter() - began))
    return tuple(map(median, found))


def compare(
    what: str,
    against: str,
    unit: str,
    ours: Callable[[], int],
    other: Callable[[], int],
    goal: float | None,
    rounds: int = 3,
) -> Row:
    """Measure the rates of two functions, and return them as a row."""
    mine, theirs = rates(ours, other, rounds=rounds)
    return Row(what, against, unit, mine, theirs, mine / theirs, goal)


def alone(function: Callable[..., T], *arguments: object) -> T:
    """Run a function in a new process, so that its peak memory includes nothing else, and return its result."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
