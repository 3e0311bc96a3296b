"""What every source of faces gives, whatever it looks like on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""The five points. Left and right are the image's, not the person's."""

COORDINATES = tuple(f"{axis}{i}" for i in range(1, 6) for axis in "xy")
"""Columns of a table that hold five landmarks, in their order."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph of one person, without its pixels: `Source.read(key)` gives those.

    key: unique in its source, the same on every machine (`0000045/001.jpg`).
    identity: whom it shows; None where that is not known.
    landmarks: (5, 2) float32, x right and y down in pixels, in the order of LANDMARKS; None if unknown.
    box: (x, y, width, height) of the face in pixels; None if unknown.
    group: photographs of one group (frames of a video, a burst) are nearly alike; None where each stands alone.
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
    """A record that was left out: where it stands, and why."""

    file: str
    record: str
    reason: str


class Note(Problem):
    """What is to be known of a set and costs none of its photographs: it does not count as a bad record."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photographs of a verification protocol, by key."""

    a: str
    b: str
    same: bool
    fold: int


class Source(Protocol):
    """A set of photographs. `scan` reads lists and names only; `read` opens one photograph."""

    def scan(self) -> Iterator[Photograph | Problem]: ...

    def read(self, key: str) -> bytes:
        """The encoded photograph (JPEG, PNG). Raises OSError where it cannot be read."""
        ...

    def pairs(self) -> list[Pair]:
        """The verification pairs that come with the set; empty where it has none."""
        ...
