"""The pictures of photographs: landmarks on test crops, the hardest pairs, and a sheet of crops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from facedistill.report.pictures.style import WIDTH, styled

TRUE, PREDICTED = "#009E73", "#D55E00"

HARDEST = 5
"""The number of pairs of each kind in the picture of the hardest pairs."""


@dataclass(frozen=True)
class Found:
    """The landmarks that a network found on one test crop.

    image: the crop, (size, size, 3) uint8 RGB.
    true, predicted: the landmarks, (5, 2) in pixels of the crop.
    nrmse: the error of the prediction, in percent.
    """

    image: NDArray[np.uint8]
    true: NDArray[np.float64]
    predicted: NDArray[np.float64]
    nrmse: float


@dataclass(frozen=True)
class Pair:
    """A verification pair.

    a, b: its two crops, (size, size, 3) uint8 RGB.
    distance: the squared distance of their embeddings, in 0..4.
    """

    a: NDArray[np.uint8]
    b: NDArray[np.uint8]
    distance: float


@styled
def landmarks(rows: Mapping[str, Sequence[tuple[str, Found]]], title: str) -> Figure:
    """Test crops with true and predicted landmarks: a row for each network, from its best crop to its worst.

    rows: the crops of each network, by its label. Each crop comes after the name of its place, such as `median`, which
        may be empty.
    title: the title of the figure.
    """
    columns = max(map(len, rows.values()))
    figure = Figure(figsize=(WIDTH, (WIDTH - 0.5) / columns * 1.18 * len(rows) + 0.75), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (label, found) in zip(axes, rows.items(), strict=True):
        for ax, (place, shown) in zip(line, found, strict=True):
            _show(ax, shown.image)
            for (x, y), (u, v) in zip(shown.true, shown.predicted, strict=True):
                ax.plot([x, u], [y, v], color="white", linewidth=1)
            ax.plot(*shown.true.T, "o", color=TRUE, markersize=5, markeredgecolor="white", markeredgewidth=0.8)
            ax.plot(*shown.predicted.T, "X", color=PREDICTED, markersize=5.5, markeredgecolor="white")
            error = f"{shown.nrmse:.1f}" if shown.nrmse < 1000 else f"{shown.nrmse:.0e}"
            ax.set_title(f"{place} {error} %".strip(), fontsize=9)
        line[0].set_ylabel(label)
    handles = [
        Line2D([], [], color=TRUE, marker="o", linestyle="", label="True"),
        Line2D([], [], color=PREDICTED, marker="X", linestyle="", label="Predicted"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    figure.suptitle(title, x=0.01, ha="left")
    return figure


@styled
def hardest_pairs(rows: Mapping[str, Sequence[Pair]], title: str) -> Figure:
    """The hardest pairs, with a row for each network and kind of pair. The distance is printed over each pair.

    rows: the pairs of each row by its label, the hardest first; at most HARDEST.
    title: the title of the figure.
    """
    figure = Figure(figsize=(WIDTH, (WIDTH - 1.1) / HARDEST * 0.66 * len(rows) + 0.5), layout="constrained")
    for line, (label, pairs) in zip(figure.subplots(len(rows), HARDEST, squeeze=False), rows.items(), strict=True):
        for ax in line[len(pairs) :]:
            ax.set_visible(False)
        for ax, pair in zip(line, pairs, strict=False):
            gap = np.full((len(pair.a), 1, 3), 255, np.uint8)
            _show(ax, np.hstack([pair.a, gap, pair.b]))
            ax.set_title(f"{pair.distance:.2f}", fontsize=9)
        line[0].set_ylabel(label, fontsize=8, rotation=0, ha="right", va="center")
    figure.suptitle(title, x=0.01, ha="left")
    return figure


@styled
def sheet(rows: Sequence[Sequence[NDArray[np.uint8]]], title: str) -> Figure:
    """Crops as they are stored, with a row for each person.

    rows: the crops of each person, (size, size, 3) uint8 RGB, all of one size.
    title: the title of the figure.
    """
    size, gap = len(rows[0][0]), 1
    pitch = size + gap
    mosaic = np.full((pitch * len(rows) - gap, pitch * max(map(len, rows)) - gap, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            mosaic[i * pitch : i * pitch + size, j * pitch : j * pitch + size] = image
    height, width = mosaic.shape[:2]
    # A sheet that is taller than wide is drawn smaller, so that the figure does not get taller too.
    figure = Figure(figsize=(WIDTH, WIDTH * min(1, height / width) + 0.35), layout="constrained")
    ax = figure.subplots()
    _show(ax, mosaic)
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def _show(ax: Axes, image: NDArray[np.uint8]) -> None:
    height, width = image.shape[:2]
    ax.imshow(image, interpolation="bicubic")
    ax.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
