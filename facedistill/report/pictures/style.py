"""The look of all plots: on white, with colours that the colour-blind can tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from facedistill.grid.layout import CUSTOM, TEACHER
from facedistill.results.names import TARGET_NAMES, Row

WIDTH = 9.0
"""The width of a figure in inches. Shown at the width of a README, 9-point type stays readable."""

_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": "#333333",
    "axes.edgecolor": "#888888",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "figure.facecolor": "white",
}
styled = matplotlib.rc_context(_RC)
"""A decorator for functions that draw."""

Line = Literal["-", "--", "-."]


class Method(NamedTuple):
    """How a recipe or a target is drawn.

    label: its name in the legend.
    colour: as #rrggbb.
    line: the style of its lines.
    marker: matplotlib's name of its marker.
    """

    label: str
    colour: str
    line: Line = "-"
    marker: str = "o"


GREY = "#999999"
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255")
"""The colours of Okabe and Ito, with Tol's wine instead of their yellow, which is too faint on white."""
LINES: tuple[Line, ...] = ("-", "--", "-.")
MARKERS = "ovP^XpdhD<>sH"

TEACHER_LOOK = Method("Teacher", "#000000", "-", "*")
TARGET_LOOKS = {
    TEACHER: TEACHER_LOOK,
    "none": Method(TARGET_NAMES["none"], GREY, "-", "s"),
    "hidden": Method(TARGET_NAMES["hidden"], "#009E73", "-", "P"),
    "soft": Method(TARGET_NAMES["soft"], "#56B4E9", "-", "v"),
    CUSTOM: Method(TARGET_NAMES[CUSTOM], "#882255", "-", "h"),
}
"""The looks of the transfer's targets, in the order of legends."""


def looks(rows: Iterable[Row]) -> dict[str, Method]:
    """The looks of a figure's recipes, by GROUP/RECIPE, and of the teacher. Controls are grey.

    Two recipes of one figure differ in colour, in line or in both. A recipe may have another colour in another figure.
    """
    found = {TEACHER: TEACHER_LOOK}
    seen = {True: 0, False: 0}
    for row in rows:
        if row.key in found:
            continue
        control = not row.group.recipes[row.recipe].needs_teacher
        i, seen[control] = seen[control], seen[control] + 1
        colour, line = (GREY, LINES[i % 3]) if control else (COLOURS[i % 7], LINES[i // 7 % 3])
        found[row.key] = Method(row.label, colour, line, "sD|"[i % 3] if control else MARKERS[i % len(MARKERS)])
    return found


PEOPLE = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#882255", "#0072B2", "#D55E00", "#CC79A7")
"""The colours of people who are shown together."""

PALETTE = 256
"""The number of colours of a saved plot. Its file is then a third as large, and git keeps all of them."""
JPEG_QUALITY = 90


def look(method: Method, markersize: float = 7.5) -> dict[str, Any]:
    """The keyword arguments of matplotlib's `plot` that draw a method's lines and markers."""
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.6, "markersize": markersize}
    return {"color": method.colour, "linestyle": method.line, "marker": method.marker, **edge}


def lines(methods: Iterable[Method]) -> list[Line2D]:
    """The entries of a legend for these methods."""
    return [Line2D([], [], color=method.colour, linestyle=method.line, label=method.label) for method in methods]


def init_lines() -> list[Line2D]:
    """The entries of a legend for the two initialisations of a transfer."""
    return lines([Method("from Distill", "#555555"), Method("from Pretrain", "#555555", "--")])


def legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Draw a legend under the panels, in as few rows as fit, and of even length."""
    for columns in range(min(4, len(handles)), 0, -1):
        rows = ceil(len(handles) / columns)
        drawn = figure.legend(handles=handles, loc="outside lower center", ncols=ceil(len(handles) / rows))
        if columns == 1 or drawn.get_window_extent().width <= figure.bbox.width:
            break
        drawn.remove()


def save(figure: Figure, file: Path) -> None:
    """Write a figure. The same numbers give the same bytes: the file holds no date and no version of matplotlib.

    file: a .png, which is reduced to PALETTE colours; or a .jpg, for photographs, at the size that it is shown at.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".jpg":
        figure.savefig(file, dpi=100, pil_kwargs={"quality": JPEG_QUALITY, "subsampling": 0, "optimize": True})
        return
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=160)
    Image.open(drawn).convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE).save(file, format="png", optimize=True)
