"""The pictures of photographs, for synthetic faces alone: landmarks drawn on test crops, and a sheet of crops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from facedistill.report.style import WIDTH, styled

TRUE, PREDICTED = "#009E73", "#D55E00"


@styled
def landmarks(
    images: Sequence[NDArray[np.uint8]], true: NDArray[np.float64], rows: Mapping[str, NDArray[np.float64]]
) -> Figure:
    """Each row a network, each column a test crop, with its true and its predicted points.

    images: n crops, (size, size, 3) uint8 RGB. true and each value of rows: (n, 5, 2) in pixels of the crop.
    """
    figure = Figure(figsize=(WIDTH, (WIDTH - 0.5) / len(images) * len(rows) + 0.75), layout="constrained")
    axes = figure.subplots(len(rows), len(images), squeeze=False)
    for line, (label, predicted) in zip(axes, rows.items(), strict=True):
        for ax, image, points, guess in zip(line, images, true, predicted, strict=True):
            _show(ax, image)
            for (x, y), (u, v) in zip(points, guess, strict=True):
                ax.plot([x, u], [y, v], color="white", linewidth=1)
            ax.plot(*points.T, "o", color=TRUE, markersize=5, markeredgecolor="white", markeredgewidth=0.8)
            ax.plot(*guess.T, "X", color=PREDICTED, markersize=5.5, markeredgecolor="white", markeredgewidth=0.8)
        line[0].set_ylabel(label)
    handles = [
        Line2D([], [], color=TRUE, marker="o", linestyle="", label="True"),
        Line2D([], [], color=PREDICTED, marker="X", linestyle="", label="Predicted"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    figure.suptitle("Landmarks on test photographs", x=0.01, ha="left")
    return figure


@styled
def sheet(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> Figure:
    """Crops as they are stored, a row for each person. rows: crops, (size, size, 3) uint8 RGB, all of one size."""
    size, gap = len(rows[0][0]), 1
    pitch = size + gap
    mosaic = np.full((pitch * len(rows) - gap, pitch * max(map(len, rows)) - gap, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            mosaic[i * pitch : i * pitch + size, j * pitch : j * pitch + size] = image
    height, width = mosaic.shape[:2]
    figure = Figure(figsize=(WIDTH, WIDTH * height / width + 0.35), layout="constrained")
    ax = figure.subplots()
    _show(ax, mosaic)
    figure.suptitle("Crops of drawn faces, a person in each row", x=0.01, ha="left")
    return figure


def _show(ax: Axes, image: NDArray[np.uint8]) -> None:
    height, width = image.shape[:2]
    ax.imshow(image, interpolation="bicubic")
    ax.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
