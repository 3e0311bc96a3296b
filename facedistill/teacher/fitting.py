"""Which colour order and which template fit a network: how well it tells a few dozen people apart with each."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facedistill.crops import DataError
from facedistill.crops.codec import decode
from facedistill.data.align_crop import crop_photograph
from facedistill.data.face_crop import CropParams
from facedistill.data.photograph import Photograph, Source
from facedistill.data.sources import SourceParams, open_source
from facedistill.data.sources.recognise import Block, recognise
from facedistill.params import check
from facedistill.teacher.template import NAMED, Template, between, warp

PEOPLE, EACH = 48, 4
"""The most people that are compared, and the most photographs of each. They are drawn at random."""

CROP = CropParams("landmarks", 112)
"""How faces are cut: as for training."""

MIDDLE = CropParams("centre", 112)

BATCH = 32

SURE = 3.0
"""How many standard errors of the mean margin, over people, have to be between two ways to tell them apart."""

Colour = Literal["rgb", "bgr"]
COLOURS: tuple[Colour, ...] = ("rgb", "bgr")
UNALIGNED = "unaligned"
"""A way beside the named templates: the middle of the photograph, in which the face is where it happens to be."""

Answers = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Sample:
    """Photographs of a few dozen people.

    name: the set that they are from.
    people: (n,) the number of the person that each shows.
    crops: (n, 112, 112, 3) uint8 RGB, aligned to ArcFace's template.
    middles: the middle of each photograph in the same form; None if the set has nothing but aligned crops.
    """

    name: str
    people: NDArray[np.int_]
    crops: NDArray[np.uint8]
    middles: NDArray[np.uint8] | None


def draw(path: Path) -> Sample:
    """Photographs of the first set at `path` that has two people with two photographs each.

    Photographs need landmarks, but for those of RecordIO, which are aligned to ArcFace's template already.
    Raises DataError, which says why each set cannot be used, if none can.
    """
    reasons = []
    for block in recognise(path):
        name = str(block.get("file") or block["root"])
        source = open_source(check(SourceParams, block, "source"))
        people = _people(source, block)
        if len(people) < 2:
            reasons.append(f"{name}: fewer than two people with two photographs that have landmarks")
            continue
        found = list(_cut(source, people, block["kind"] == "recordio"))
        numbers, crops, middles = zip(*found, strict=True) if found else ((), (), ())
        if sum(count > 1 for count in Counter(numbers).values()) < 2:
            reasons.append(f"{name}: too few of its photographs can be cut")
            continue
        whole = None if middles[0] is None else np.stack(middles)
        return Sample(name, np.array(numbers), np.stack(crops), whole)
    raise DataError("\n".join(reasons))


def _people(source: Source, block: Block) -> list[list[Photograph]]:
    """Up to EACH photographs of each of up to PEOPLE people, drawn at random."""
    found = defaultdict[str, list[Photograph]](list)
    for record in tqdm(source.scan(), "scan", unit=" photographs", disable=None):
        if not isinstance(record, Photograph) or record.identity is None:
            continue
        if record.landmarks is not None or block["kind"] == "recordio":
            found[record.identity].append(record)
    rng = random.Random(0)
    able = [photographs for photographs in found.values() if len(photographs) > 1]
    chosen = rng.sample(able, min(PEOPLE, len(able)))
    return [rng.sample(photographs, min(EACH, len(photographs))) for photographs in chosen]


def _cut(source: Source, people: list[list[Photograph]], aligned: bool) -> Iterator[tuple[int, Any, Any]]:
    """The number of a person, and a crop and the middle of a photograph. What cannot be cut is left out."""
    for number, photographs in enumerate(people):
        for photograph in photographs:
            with suppress(OSError, ValueError):
                data = source.read(photograph.key)
                if aligned:
                    yield number, decode(crop_photograph(data, photograph, MIDDLE).image), None
                    continue
                middle = crop_photograph(data, Photograph(photograph.key, None), MIDDLE)
                yield number, decode(crop_photograph(data, photograph, CROP).image), decode(middle.image)


@dataclass(frozen=True)
class Fit:
    """How well a network tells people apart.

    auc: the share, in percent, of genuine and impostor pairs of which the genuine pair has the higher cosine.
    margins: (people,) the mean cosine of each person's genuine pairs minus the mean of the person's impostor pairs, in
        standard deviations of all impostor pairs. It still tells two ways apart where both have an AUC near 100 %.
    """

    auc: float
    margins: NDArray[np.float64]

    @property
    def margin(self) -> float:
        """The mean margin."""
        return float(self.margins.mean())

    def surely_above(self, other: Fit) -> bool:
        """Whether the mean margin is higher by more than SURE standard errors, over the same people."""
        higher = self.margins - other.margins
        return bool(higher.mean() > SURE * higher.std(ddof=1) / len(higher) ** 0.5)


Way = tuple[str, Colour]
"""A named template, or UNALIGNED, and a colour order."""


def compare(answers: Answers, side: int, sample: Sample) -> dict[Way, Fit]:
    """The fit of each named template and of UNALIGNED, with each colour order.

    answers: the embeddings of (n, side, side, 3) images whose channels are in the order that the network gets.
    side: of these images, in pixels.
    """
    ways: dict[str, tuple[NDArray[np.uint8], Template]] = {name: (sample.crops, name) for name in NAMED}
    if sample.middles is not None:
        # From ArcFace's template to the same template: the square is merely resized.
        ways[UNALIGNED] = (sample.middles, "arcface")
    found = {}
    with tqdm(total=len(ways) * len(COLOURS) * len(sample.people), desc="embed", unit=" images", disable=None) as shown:
        for name, (crops, template) in ways.items():
            images = warp(crops, between("arcface", CROP.pixels, template, side), side)
            for colour in COLOURS:
                ordered, parts = images if colour == "rgb" else images[..., ::-1], []
                for start in range(0, len(images), BATCH):
                    parts.append(answers(ordered[start : start + BATCH]))
                    shown.update(len(parts[-1]))
                found[name, colour] = fit(np.concatenate(parts), sample.people)
    return found


def fit(embeddings: NDArray[np.float32], people: NDArray[np.int_]) -> Fit:
    """The fit over all pairs of photographs. Ties of cosines count half.

    embeddings: (n, width).
    people: (n,); at least two people with two photographs each.
    """
    rows = embeddings.astype(np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    cosines, same = rows @ rows.T, people[:, None] == people
    once = np.triu(np.ones_like(same), 1)
    genuine, impostors = cosines[once & same], np.sort(cosines[once & ~same])
    below = (np.searchsorted(impostors, genuine, "left") + np.searchsorted(impostors, genuine, "right")) / 2
    different = ~np.eye(len(rows), dtype=bool)
    numbers, counts = np.unique(people, return_counts=True)
    margins = [
        cosines[own][different[own] & same[own]].mean() - cosines[own][~same[own]].mean()
        for own in (people == number for number in numbers[counts > 1])
    ]
    return Fit(100 * float(below.mean()) / len(impostors), np.array(margins) / max(impostors.std(), 1e-12))
