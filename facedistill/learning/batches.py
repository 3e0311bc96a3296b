"""Batches of crops: which crops make a batch, and how each is cut, flipped and coloured.

All that is random in a sample is drawn from (seed, epoch, row), so the number of threads never changes a result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler
from tqdm import tqdm

from facedistill.crops import DataError
from facedistill.crops.ahead import ahead
from facedistill.crops.align import transform, warp
from facedistill.crops.shards import Crops
from facedistill.learning.augment import AugmentationParams, Photometric, ScatterParams, flip
from facedistill.machine import cores

DECODERS = 8
"""The most threads that decode ahead for evaluation. Each holds a batch of crops."""


class Batch(NamedTuple):
    """A batch of N crops.

    images: (N, 3, H, W) uint8 RGB, channels_last; for crops on the device, the corners that `cut` needs instead.
    labels: (N,) int64; −1 for an identity that is not one of the classes.
    landmarks: (N, 5, 2) float32 in units of the crop's side; NaN if unknown.
    rows: (N,), the rows of the crop set.
    mirrored: (N,) bool, whether an image is the mirror image of its crop.
    whole: (N, 3, P, P) uint8, the crops as they are stored, moved and mirrored as `images` are; None if nobody asks.
    """

    images: Tensor
    labels: Tensor
    landmarks: Tensor
    rows: Tensor
    mirrored: Tensor
    whole: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        return self._replace(**{name: part.to(device, non_blocking=True) for name, part in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """Return its tensors by name."""
        return {name: part for name, part in self._asdict().items() if part is not None}


class ShuffledBatches(Sampler[list[tuple[int, int]]]):
    """Yields every row once per epoch, in an order drawn from (seed, epoch). An incomplete last batch is left out.

    epoch: the epoch that the next iteration yields, from 0.
    skip: how many batches at the start of that epoch it leaves out.
    """

    def __init__(self, rows: int, batch: int, seed: int) -> None:
        self.rows, self.batch, self.seed, self.epoch, self.skip = rows, min(batch, rows), seed, 0, 0

    def __len__(self) -> int:
        return self.rows // self.batch

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.rows)
        for i in range(self.skip, len(self)):
            yield [(self.epoch, int(row)) for row in order[i * self.batch : (i + 1) * self.batch]]


class IdentityBatches(Sampler[list[tuple[int, int]]]):
    """Yields batches of P identities x Q photographs; Q is `per_identity`.

    The photographs of each identity are cut into groups of Q, and every photograph comes about once per epoch. The last
    group of an identity is filled up with photographs that are already in its other groups. Every batch has two
    identities or more. Photographs without a name are left out.

    epoch: the epoch that the next iteration yields, from 0.
    skip: how many batches at the start of that epoch it leaves out.

    Raises DataError if fewer than two identities have two photographs, or if one identity has so many that some batches
    would show nobody else: such a batch has no triplets.
    """

    def __init__(self, labels: NDArray[np.int32], batch: int, per_identity: int, seed: int) -> None:
        order = np.argsort(labels, kind="stable")
        order = order[labels[order] >= 0]
        members = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
        self.members = [m for m in members if len(m) >= 2]
        if len(self.members) < 2:
            raise DataError("batches of several photographs of a person need two people with two photographs each")
        self.per_identity, self.seed, self.epoch, self.skip = per_identity, seed, 0, 0
        counts = [-(-len(m) // per_identity) for m in self.members]
        self.owners = np.repeat(np.arange(len(counts)), counts)
        groups = len(self.owners)
        self.groups_per_batch = min(batch // per_identity, groups)
        self.batch = self.groups_per_batch * per_identity
        self.batches = groups // self.groups_per_batch
        if max(counts) > groups - self.batches:
            raise DataError(
                f"one person has {max(map(len, self.members))} of {len(labels)} training photographs: with "
                f"per_identity {per_identity} some batches of {self.batch} would show nobody else; raise the task's "
                "batch, or leave photographs of that person out"
            )

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        groups = []
        for members in self.members:
            shuffled = rng.permutation(members)
            padded = np.resize(shuffled, -(-len(shuffled) // self.per_identity) * self.per_identity)
            groups.append(padded.reshape(-1, self.per_identity))
        order = self._mixed(rng.permutation(len(self.owners)))
        rows = np.concatenate(groups)[order]
        for i in range(self.skip, self.batches):
            chosen = rows[i * self.groups_per_batch : (i + 1) * self.groups_per_batch]
            yield [(self.epoch, int(row)) for row in chosen.ravel()]

    def _mixed(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Change the order of the groups until no batch shows one person alone, and return it.

        Such a batch exchanges a group with a batch that can spare one.
        """
        batch = np.arange(len(order)) // self.groups_per_batch
        whole = self.owners[order[: self.batches * self.groups_per_batch]].reshape(self.batches, -1)
        for alone in np.flatnonzero((whole == whole[:, :1]).all(1)):
            owners = self.owners[order]
            other = owners != owners[batch == alone][0]
            if other[batch == alone].any():
                continue  # An earlier exchange has already put somebody else into it.
            # Groups of other people that can be spared: their batch has two such groups, or the epoch leaves them out.
            spare = other & ((np.bincount(batch, other)[batch] > 1) | (batch >= self.batches))
            here, there = np.flatnonzero(batch == alone)[0], np.flatnonzero(spare)[0]
            order[[here, there]] = order[[there, here]]
        return order


BatchSampler = ShuffledBatches | IdentityBatches


class TrainingCrops:
    """A set of crops, cut into batches for training.

    Each image is a random `side` x `side` part of a crop, mirrored half of the time if `augmentation.flip` is set. The
    decoded crops stay in memory if all of them take `cache_mb` megabytes (2²⁰ bytes) or less.

    whole: whether batches have `whole`.
    scatter: moves each crop at random, in place of taking a random part of it. Batches then have no `whole`.
    """

    def __init__(
        self,
        crops: Crops,
        side: int,
        seed: int,
        augmentation: AugmentationParams,
        cache_mb: int,
        whole: bool = False,
        scatter: ScatterParams | None = None,
    ) -> None:
        if side > crops.pixels:
            raise ValueError(
                f"input of {side} px from crops of {crops.pixels} px: raise the crop's size or lower the input"
            )
        self.crops, self.side, self.seed, self.flip, self.whole = crops, side, seed, augmentation.flip, whole
        self.scatter = scatter
        self.photometric = Photometric(augmentation.photometric) if augmentation.photometric else None
        fits = len(crops) * crops.pixels**2 * 3 <= cache_mb * 2**20
        self.cache = _decoded(crops) if fits else None

    def __len__(self) -> int:
        return len(self.crops)

    def batch(self, keys: list[tuple[int, int]], resident: bool = False) -> Batch:
        """Make a batch of the crops in `keys`, each an epoch and a row. Several threads may call this.

        resident: whether the crops are on the device too. Then `images` are only the corners of their parts, (N, 2)
            int64 x and y, from which `cut` makes the images there.
        """
        rows = np.array([row for _, row in keys])
        landmarks = self.crops.landmarks[rows]
        corners, mirrored = np.empty((len(keys), 2), np.int64), np.zeros(len(keys), np.bool_)
        images = corners if resident else np.empty((len(keys), self.side, self.side, 3), np.uint8)
        stored = self.crops.stored
        whole = np.empty((len(keys), stored, stored, 3), np.uint8) if self.whole else None
        for i, (epoch, row) in enumerate(keys):
            rng = np.random.default_rng((self.seed, epoch, row))
            matrix = self.scatter.draw(rng, self.crops.pixels, self.side) if self.scatter else None
            if matrix is None:
                x, y = corners[i] = rng.integers(0, self.crops.pixels - self.side, size=2, endpoint=True)
                landmarks[i] -= (x, y)
            else:
                landmarks[i] = transform(landmarks[i], matrix)
            if rng.random() < 0.5 and self.flip:
                mirrored[i] = True
                landmarks[i] = flip(landmarks[i], self.side)
            if not resident:
                crop = self.crops.image(row) if self.cache is None else self.cache[row]
                part = crop[y : y + self.side, x : x + self.side] if matrix is None else warp(crop, matrix, self.side)
                images[i] = self._changed(part, mirrored[i], rng)
            if whole is not None:
                moved = self._moved(row, x, y)
                whole[i] = cv2.flip(moved, 1) if mirrored[i] else moved
        return as_batch(images, self.crops.labels[rows], landmarks / self.side, rows, mirrored, whole)

    def _changed(self, image: NDArray[np.uint8], mirrored: np.bool_, rng: np.random.Generator) -> NDArray[np.uint8]:
        """The part of a crop, mirrored and coloured."""
        if mirrored:
            # NumPy would copy a mirrored view pixel by pixel, which takes four times as long.
            image = np.asarray(cv2.flip(image, 1), np.uint8)
        return image if self.photometric is None else self.photometric(image, rng)

    def _moved(self, row: int, x: int, y: int) -> NDArray[np.uint8]:
        """A whole crop, moved so that the part at (x, y) comes to its middle. Its edges are repeated outside."""
        larger, middle = self.crops.stored / self.crops.pixels, (self.crops.pixels - self.side) / 2
        columns, rows = (
            np.clip(np.arange(self.crops.stored) + round(larger * (start - middle)), 0, self.crops.stored - 1)
            for start in (x, y)
        )
        return self.crops.whole(row)[rows[:, None], columns]


def cut(crops: Tensor, corners: Tensor, rows: Tensor, mirrored: Tensor, side: int) -> Tensor:
    """The parts of crops, (N, 3, side, side), channels_last, by one gather on the device of all of these.

    crops: (n, P, P, 3).
    corners: (N, 2), x and y of each part.
    rows, mirrored: as in Batch.
    """
    along = torch.arange(side, device=crops.device)
    lines = corners[:, 1, None] + along
    columns = corners[:, :1] + torch.where(mirrored[:, None], side - 1 - along, along)
    return crops[rows[:, None, None], lines[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


def _decoded(crops: Crops) -> NDArray[np.uint8]:
    """(n, pixels, pixels, 3): all crops of a set, decoded by all cores."""
    found = np.empty((len(crops), crops.pixels, crops.pixels, 3), np.uint8)
    parts = [range(start, min(start + 256, len(crops))) for start in range(0, len(crops), 256)]

    def decode(part: range) -> int:
        for row in part:
            found[row] = crops.image(row)
        return len(part)

    # None means: show the bar only if standard error is a terminal.
    with tqdm(desc="decode", total=len(crops), unit=" crops", unit_scale=True, disable=None, leave=False) as bar:
        for done in ahead(decode, parts, cores()):
            bar.update(done)
    return found


def centre_batches(crops: Crops, side: int, batch: int, rows: range | None = None) -> Iterator[Batch]:
    """Yield every crop of `rows` in order, cut to its central `side` x `side` part, as evaluation needs them.

    Threads decode the next batches meanwhile.

    rows: consecutive rows; None for all.
    """
    part = range(len(crops)) if rows is None else rows
    offset = (crops.pixels - side) // 2

    def prepare(start: int) -> Batch:
        rows = np.arange(start, min(start + batch, part.stop))
        images = np.stack([centre(crops.image(int(row)), side) for row in rows])
        return as_batch(images, crops.labels[rows], (crops.landmarks[rows] - offset) / side, rows)

    return ahead(prepare, range(part.start, part.stop, batch), min(cores(), DECODERS))


def centre(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The central `side` x `side` part of a square image."""
    offset = (len(image) - side) // 2
    return image[offset : offset + side, offset : offset + side]


def as_batch(
    images: NDArray[np.uint8] | NDArray[np.int64],
    labels: Any,
    landmarks: Any,
    rows: Any,
    mirrored: Any = None,
    whole: NDArray[np.uint8] | None = None,
) -> Batch:
    """Make a Batch from (N, H, W, 3) images. They become (N, 3, H, W) as a view, which is channels_last.

    images: or the corners that `cut` makes images of, which stay as they are.
    mirrored: None if no image is mirrored.
    """
    given = torch.from_numpy(images)
    return Batch(
        given.permute(0, 3, 1, 2) if given.ndim == 4 else given,
        torch.as_tensor(labels, dtype=torch.int64),
        torch.as_tensor(landmarks, dtype=torch.float32),
        torch.as_tensor(rows),
        torch.zeros(len(images), dtype=torch.bool) if mirrored is None else torch.from_numpy(mirrored),
        None if whole is None else torch.from_numpy(whole).permute(0, 3, 1, 2),
    )
