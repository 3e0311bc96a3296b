"""Training and test sides: stratified by identity, and stable when people are added or removed."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def held_out(identities: Sequence[str], units: Sequence[str], test: float, seed: int) -> NDArray[np.bool_]:
    """Which photographs are for testing: (n,) bool, about the share `test` of each identity's.

    units: what stays together on one side; a name of its own for each photograph, or that of its group. Draws depend on
    the seed, the identity and the unit alone, never on other people, the order or the machine. An identity with two
    units or more has one on each side; the number of its test photographs is rounded up or down by a draw, so that the
    share holds overall. A unit of several identities is drawn by itself, and the others of each make up for it.
    """
    person, unit = _codes(identities), _codes(units)
    share = np.bincount(np.unique(np.stack([unit, person]), axis=1)[0])[unit]  # identities in the unit of each row
    draws = np.array(
        [_draw(seed, *([i, u] if s == 1 else [u])) for i, u, s in zip(identities, units, share, strict=True)]
    )
    chosen = (share > 1) & (draws < test)
    order = np.lexsort((unit, draws, person))
    for rows in np.split(order, np.flatnonzero(np.diff(person[order])) + 1):
        own = rows[share[rows] == 1]
        if not len(own):
            continue
        taken = int(chosen[rows].sum())
        target = np.clip(int(test * len(rows) + _draw(seed, identities[rows[0]])), 1, len(rows) - 1)
        starts = np.flatnonzero(np.diff(unit[own], prepend=-1))
        sizes = np.diff(starts, append=len(own))
        chosen[own] = np.repeat(_take(sizes, int(target), taken, len(rows) - len(own) - taken), sizes)
    return chosen


def _take(sizes: NDArray[np.int_], target: int, taken: int, kept: int) -> NDArray[np.bool_]:
    """The units to hold out, in their order, so that `taken` comes near `target` and neither side stays empty."""
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


def _codes(names: Sequence[str]) -> NDArray[np.int64]:
    seen: dict[str, int] = {}
    return np.fromiter((seen.setdefault(name, len(seen)) for name in names), np.int64, len(names))


def _draw(*parts: int | str) -> float:
    """A number in [0, 1) that depends on `parts` alone."""
    digest = blake2b("\0".join(map(str, parts)).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56
