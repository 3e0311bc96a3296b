"""What every source of faces gives, whatever its form on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""The five points. Left and right are the image's, not the person's."""

COORDINATES = tuple(f"{axis}{i}" for i in range(1, 6) for axis in "xy")
"""The columns of a table that hold the five landmarks: x1, y1 … x5, y5."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph of one person, without its pixels, which `Source.read(key)` gives.

    key: unique in its source, and the same on every machine (`0000045/001.jpg`).
    identity: the person that it shows; None if unknown.
    landmarks: (5, 2) float32 pixels, x to the right and y down, in the order of LANDMARKS; None if unknown.
    box: (x, y, width, height) of the face in pixels; None if unknown.
    group: photographs of one group (frames of a video, a burst) are nearly alike; None if it belongs to no group.
    attributes: anything else that is known (pose in degrees, lighting, occlusion).
    """

    key: str
    identity: str | None
    landmarks: NDArray[np.float32] | None = None
    box: tuple[float, float, float, float] | None = None
    group: str | None = None
    attributes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """A record that was left out: the file that it is in, its name, and the reason."""

    file: str
    record: str
    reason: str


class Note(Problem):
    """A remark on a set that costs none of its photographs. It does not count as a bad record."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photographs of a verification protocol, given by their keys a and b."""

    a: str
    b: str
    same: bool
    fold: int


class Source(Protocol):
    """A set of photographs. `scan` reads only lists and names, and `read` opens one photograph."""

    def scan(self) -> Iterator[Photograph | Problem]: ...

    def read(self, key: str) -> bytes:
        """The encoded photograph (JPEG, PNG). Raises OSError if it cannot be read."""
        ...

    def pairs(self) -> list[Pair]:
        """The verification pairs that come with the set; empty if it has none."""
        ...
