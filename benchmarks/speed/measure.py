"""Times of two ways of doing one thing, taken in turns, since a machine may slow down in between."""

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
    """A line of the table. ours, other: in `unit`. ratio: ours to the other's, above 1 where ours is the better.

    goal: that the ratio is to reach; None where the number stands for itself.
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
        """Whether the ratio is at its goal, in a word; empty without a goal."""
        return "" if self.goal is None else "yes" if self.ratio >= self.goal else "no"


def rates(*functions: Callable[[], int], rounds: int) -> tuple[float, ...]:
    """Things a second of functions that say how many they did: the medians of `rounds` turns after a warm one."""
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
    """A row of the rates of two functions."""
    mine, theirs = rates(ours, other, rounds=rounds)
    return Row(what, against, unit, mine, theirs, mine / theirs, goal)


def alone(function: Callable[..., T], *arguments: object) -> T:
    """What a function gives in a process of its own, whose memory nothing else has been in."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
