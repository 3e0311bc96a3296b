"""benchmarks/photographs changes photographs as it says, and its table counts a pair without a face as a wrong one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from photographs import png

from benchmarks import photographs
from facedistill.crops.align import TEMPLATE
from facedistill.data.face_crop import upright
from facedistill.data.photograph import Pair

COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255]])


@pytest.mark.parametrize("form", photographs.FORMS.values(), ids=lambda form: form.__name__)
def test_the_points_stay_on_what_they_mark(form: object) -> None:
    image, points = np.full((120, 140, 3), 128, np.uint8), np.round(TEMPLATE + np.array([10, 4])).astype(np.float32)
    for (x, y), colour in zip(points.astype(int), COLOURS, strict=True):
        image[y - 2 : y + 3, x - 2 : x + 3] = colour
    data, moved = form(png(image), points, 7)  # type: ignore[operator]
    shown = upright(data)
    # In a mirror, the eye on the left is the one that was on the right.
    order = [1, 0, 2, 4, 3] if form is photographs.mirrored else range(5)
    for (x, y), colour in zip(np.round(moved).astype(int), COLOURS[list(order)], strict=True):
        assert np.abs(shown[y, x].astype(int) - colour).max() <= 8
    assert shown.shape[0] in (120, 480, 360)


def test_a_pair_without_a_face_is_wrong_and_its_error_is_not_counted() -> None:
    names = [f"{i}.jpg" for i in range(8)]
    listed_pairs = [
        (0, 1, True, 0),
        (0, 2, False, 0),
        (2, 3, True, 1),
        (1, 3, False, 1),
        (4, 5, True, 0),
        (4, 2, False, 1),
    ]
    pairs = [Pair(names[a], names[b], same, fold) for a, b, same, fold in listed_pairs]
    embeddings = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 2, 2, 3, 3]]
    listed = np.tile(TEMPLATE.astype(np.float32), (8, 1, 1))
    seen, points = np.arange(8) != 5, listed + np.float32(3)
    points[5], embeddings[5] = np.nan, 0
    found = photographs.Found(embeddings, seen, points, listed, 12.34)
    row = photographs.row("x", found, [SimpleNamespace(key=name) for name in names], pairs)  # type: ignore[misc]
    eyes = np.linalg.norm(TEMPLATE[1] - TEMPLATE[0])
    assert row == ["x", "83.33 ± 0.00", "12.50", f"{100 * 3 * 2**0.5 / eyes:.2f}", "12.3"]
