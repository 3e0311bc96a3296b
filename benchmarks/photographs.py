"""Photographs as they are: what it costs that a landmark network finds the face, against landmarks of a list.

    python -m benchmarks.photographs RECOGNISER FINDER LFW    # writes benchmarks/photographs.md; half an hour

RECOGNISER and FINDER are exported folders. LFW has the folder `lfw`, `pairs.txt` and `lfw_landmark.txt` (a line for
each photograph: its path, then x and y of five points). A fourth argument, N, takes every N-th pair alone, to try it.

Each photograph of View 2 is changed in several ways, encoded, and given to the recogniser as a file would be. A pair
counts as wrong if no face is seen in one of its photographs. The milliseconds are of one photograph on one thread, from
its bytes to its embedding: run it alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from benchmarks.exports import FOLDER, processor
from facedistill.crops.ahead import ahead
from facedistill.crops.align import Points
from facedistill.crops.codec import decode
from facedistill.data.photograph import Pair, Photograph
from facedistill.data.sources.lfw import LfwParams, LfwSource
from facedistill.evaluation.landmarks import nme
from facedistill.evaluation.pairs import embedding_distances, view2
from facedistill.inference.face import FaceFinder, PhotographError
from facedistill.inference.model import FaceModel
from facedistill.machine import cores
from facedistill.results.markdown import table

TIMED = 200
"""How many photographs are timed."""

TIMES, BLUR = 3, 8.0
"""The frame around a small face: how many times as wide and high as the photograph, and the blur of its noise."""

Shown = tuple[bytes, Points]
"""An encoded photograph, and its five points in the pixels of the upright photograph."""


@dataclass(frozen=True)
class Found:
    """What came of all photographs in one form.

    embeddings: (n, width); a row of zeros where no face was seen.
    seen: (n,) bool.
    points, listed: (n, 5, 2) as found and as listed, in pixels; NaN where no face was seen.
    milliseconds: the median of TIMED photographs.
    """

    embeddings: NDArray[np.float32]
    seen: NDArray[np.bool_]
    points: NDArray[np.float32]
    listed: NDArray[np.float32]
    milliseconds: float


def as_it_is(data: bytes, points: Points, _: int) -> Shown:
    """The photograph itself."""
    return data, points


def on_its_side(data: bytes, points: Points, _: int) -> Shown:
    """Stored with a quarter turn to the left, which its EXIF takes back."""
    tags = Image.Exif()
    tags[0x0112] = 6
    return _png(np.rot90(decode(data)), tags.tobytes()), points


def mirrored(data: bytes, points: Points, _: int) -> Shown:
    """Left and right exchanged."""
    image = decode(data)
    flipped = np.stack([image.shape[1] - 1 - points[:, 0], points[:, 1]], 1)[[1, 0, 2, 4, 3]]
    return _png(image[:, ::-1]), flipped


def larger(data: bytes, points: Points, _: int) -> Shown:
    """Four times as wide and as high."""
    large = cv2.resize(decode(data), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    return _png(large), 4 * (points + np.float32(0.5)) - np.float32(0.5)


def in_a_frame(data: bytes, points: Points, seed: int) -> Shown:
    """Somewhere in a frame of smooth noise, of which the photograph is a third of the side."""
    image, rng = decode(data), np.random.default_rng(seed)
    height, width = image.shape[:2]
    noise = rng.integers(0, 256, (TIMES * height, TIMES * width, 3)).astype(np.uint8)
    frame = cv2.GaussianBlur(noise, (0, 0), BLUR)
    y, x = (int(rng.integers(0, (TIMES - 1) * side)) for side in (height, width))
    frame[y : y + height, x : x + width] = image
    return _png(frame), points + np.array([x, y], np.float32)


FORMS: Mapping[str, Callable[[bytes, Points, int], Shown]] = {
    "found": as_it_is,
    "found, on its side by EXIF": on_its_side,
    "found, mirrored": mirrored,
    "found, 4 times as large": larger,
    "found, at a third of the frame's side": in_a_frame,
}


def main() -> None:
    recogniser, finder = (FaceModel(path, threads=1) for path in sys.argv[1:3])
    root, every = Path(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 1
    source = LfwSource(LfwParams("lfw", root / "lfw", root / "pairs.txt", root / "lfw_landmark.txt"))
    pairs = source.pairs()[::every]
    named = {key for pair in pairs for key in (pair.a, pair.b)}
    photographs = [p for p in source.scan() if isinstance(p, Photograph) and p.key in named]
    cv2.setNumThreads(1)
    rows = [row("landmarks of the list", measure(source, photographs, recogniser, None, as_it_is), photographs, pairs)]
    for name, form in FORMS.items():
        found = measure(source, photographs, recogniser, finder.finder(), form)
        rows.append(row(name, found, photographs, pairs))
    text = page(rows, recogniser, finder, len(photographs), len(pairs))
    (FOLDER / "photographs.md").write_text(text, encoding="utf-8")
    print(text)


def measure(
    source: LfwSource,
    photographs: Sequence[Photograph],
    recogniser: FaceModel,
    finder: FaceFinder | None,
    form: Callable[[bytes, Points, int], Shown],
) -> Found:
    """Embed every photograph in one form. finder: None to cut the faces by their listed landmarks."""

    def shown(number: int) -> Shown:
        listed = photographs[number].landmarks
        assert listed is not None
        return form(source.read(photographs[number].key), listed, number)

    def embedded(number: int) -> tuple[NDArray[np.float32], Points, Points] | None:
        data, listed = shown(number)
        try:
            face = recogniser.face(data, None if finder else listed, finder=finder)
        except PhotographError:
            return None
        assert face.landmarks is not None
        return recogniser.embed([face])[0], face.landmarks, listed

    answers = list(
        tqdm(ahead(embedded, range(len(photographs)), cores()), form.__name__, len(photographs), disable=None)
    )
    none = np.zeros(recogniser.metadata.width, np.float32), *np.full((2, 5, 2), np.nan, np.float32)
    embeddings, points, listed = (np.stack(part) for part in zip(*(a or none for a in answers), strict=True))
    times = []
    for number in np.linspace(0, len(photographs) - 1, TIMED).astype(int).tolist():
        data, known = shown(number)
        began = perf_counter()
        try:
            recogniser.embed([recogniser.face(data, None if finder else known, finder=finder)])
        except PhotographError:
            continue
        times.append(1000 * (perf_counter() - began))
    seen = np.array([answer is not None for answer in answers])
    return Found(embeddings, seen, points, listed, median(times))


def row(name: str, found: Found, photographs: Sequence[Photograph], pairs: Sequence[Pair]) -> list[str]:
    """A row of the table. A pair with a photograph without a face is a wrong one."""
    number = {photograph.key: i for i, photograph in enumerate(photographs)}
    a, b = (np.array([number[name] for name in names]) for names in zip(*((p.a, p.b) for p in pairs), strict=True))
    same, fold = np.array([p.same for p in pairs]), np.array([p.fold for p in pairs])
    both = found.seen[a] & found.seen[b]
    # A row of zeros has no direction. It is in none of the pairs that are compared.
    whole = np.where(found.seen[:, None], found.embeddings, 1)
    result = view2(embedding_distances(whole, a[both], b[both]), same[both], fold[both])
    error = nme(found.points[found.seen], found.listed[found.seen])
    return [
        name,
        f"{result.accuracy * both.mean():.2f} ± {result.standard_error:.2f}",
        f"{100 * (1 - found.seen.mean()):.2f}",
        "–" if error == 0 else f"{error:.2f}",
        f"{found.milliseconds:.1f}",
    ]


def page(rows: Sequence[Sequence[str]], recogniser: FaceModel, finder: FaceModel, photographs: int, pairs: int) -> str:
    """The page in Markdown."""
    header = ["The face is cut by", "View 2 (%)", "no face seen (%)", "mean error of the points (%)", "ms"]
    one, other = recogniser.metadata, finder.metadata
    blocks = [
        "# Photographs as they are",
        "By `python -m benchmarks.photographs`.",
        f"{photographs:,} photographs and {pairs:,} pairs of LFW, as files. `{one.model}` recognises people, from "
        f"{one.input} pixels; `{other.model}` finds the face, from {other.input} pixels. {processor()}, one thread; "
        f"the median of {TIMED} photographs, from their bytes to the embedding.",
        table(header, [list(row) for row in rows]),
        "A pair with a photograph in which no face is seen counts as wrong; ± is the standard error over the folds. "
        "The error is in percent of the distance between the eyes, away from the points of the list, which are by "
        "dlib. The people are those of LFW, on which nothing was tuned.",
    ]
    return "\n\n".join(blocks) + "\n"


def _png(image: NDArray[Any], exif: bytes = b"") -> bytes:
    data = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(data, "PNG", exif=exif, compress_level=1)
    return data.getvalue()


if __name__ == "__main__":
    main()
