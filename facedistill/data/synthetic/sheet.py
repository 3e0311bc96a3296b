"""Contact sheets with a row for each person and a column for each photograph."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facedistill.data.synthetic.head import landmarks
from facedistill.data.synthetic.person import person
from facedistill.data.synthetic.render import draw
from facedistill.data.synthetic.view import view


def sheet(seed: int, people: int, photographs: int, difficulty: float, marks: bool = False) -> NDArray[np.uint8]:
    """(people * 218, photographs * 178, 3) uint8 RGB; `marks` draws the five landmarks."""
    rows = []
    for identity in range(people):
        who, row = person(seed, identity), []
        for index in range(photographs):
            how = view(seed, identity, index, difficulty)
            image = draw(who, how)
            if marks:
                for x, y in landmarks(who, how):
                    cv2.circle(image, (round(x * 16), round(y * 16)), 24, (0, 255, 0), -1, cv2.LINE_AA, 4)
            row.append(image)
        rows.append(np.hstack(row))
    return np.vstack(rows)
