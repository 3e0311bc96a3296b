"""The split into a training and a test side. It is stratified by identity, and stable when people come or go."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def held_out(
    identities: Iterable[str], units: Iterable[str], test: float, seed: int, fewest: int = 2
) -> NDArray[np.bool_]:
    """Which photographs are for testing: (n,) bool, true for about the share `test` of each identity's photographs.

    identities: the identity of each photograph.
    units: what stays together on one side: the group of each photograph, or else its own name.
    fewest: an identity with fewer photographs gives none for testing.

    Both may have millions of items. They are iterated over several times, and never held as a list.

    The draws depend on the seed, the identity and the unit alone, and never on other people, the order or the machine.
    An identity with two or more units has at least one on each side. A draw decides whether the number of its test
    photographs is rounded up or down, so that the share is right overall. A unit with several identities is drawn by
    itself, and the other units of each identity compensate for it.
    """
    people: dict[str, int] = {}
    person = np.fromiter((people.setdefault(name, len(people)) for name in identities), np.int64)
    unit = np.fromiter((_digest(name, 8) >> 1 for name in units), np.int64)
    alone = _of_one_person(unit, person)
    parts = zip(identities, units, alone, strict=True)
    draws = np.fromiter((_draw(seed, i, u) if one else _draw(seed, u) for i, u, one in parts), np.float64)
    names = list(people)
    chosen = ~alone & (draws < test)
    order = np.lexsort((unit, draws, person))
    for rows in np.split(order, np.flatnonzero(np.diff(person[order])) + 1):
        own = rows[alone[rows]]
        if not len(own) or len(rows) < fewest:
            continue
        taken = int(chosen[rows].sum())
        target = np.clip(int(test * len(rows) + _draw(seed, names[person[rows[0]]])), 1, len(rows) - 1)
        starts = np.flatnonzero(np.diff(unit[own], prepend=-1))
        sizes = np.diff(starts, append=len(own))
        chosen[own] = np.repeat(_take(sizes, int(target), taken, len(rows) - len(own) - taken), sizes)
    return chosen


def _take(sizes: NDArray[np.int_], target: int, taken: int, kept: int) -> NDArray[np.bool_]:
    """Which units to hold out, so that the test photographs come near `target` and neither side stays empty.

    sizes: the number of photographs in each unit.
    taken, kept: photographs of this identity, in units with other people, that are on the test and the training side.
    """
    chosen = np.zeros(len(sizes), np.bool_)
    if len(sizes) == 1 and not taken and not kept:
        return chosen
    for k, size in enumerate(sizes):
        if abs(taken + size - target) < abs(taken - target):
            chosen[k] = True
            taken += int(size)
    if not taken:
        chosen[np.argmin(sizes)] = True
    elif chosen.all() and not kept:
        chosen[-1] = False
    return chosen


def _of_one_person(unit: NDArray[np.int64], person: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) whether the unit of each row shows no other person than the row."""
    order = np.lexsort((person, unit))
    starts = np.flatnonzero(np.diff(unit[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    first, last = person[order[starts]], person[order[starts + sizes - 1]]
    alone = np.empty(len(order), np.bool_)
    alone[order] = np.repeat(first == last, sizes)
    return alone


def _draw(*parts: int | str) -> float:
    """A number in [0, 1) that depends on `parts` alone."""
    return _digest("\0".join(map(str, parts)), 7) / 2**56


def _digest(text: str, size: int) -> int:
    """A hash of `text`: a number of `size` bytes."""
    return int.from_bytes(blake2b(text.encode(), digest_size=size).digest(), "big")
