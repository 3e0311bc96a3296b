"""Pictures of an answer, by matplotlib: the faces, and their distance beside the distances of many pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from facedistill.inference.looking import words
from facedistill.inference.looking.portrait import Portrait
from facedistill.inference.looking.scale import scale
from facedistill.inference.metadata import FARTHEST, Histograms, Threshold

GENUINE, IMPOSTOR, OUTLINE = "#0072B2", "#D55E00", "#F0E442"
"""Colours of Okabe and Ito, which the colour-blind can tell apart."""

MATCHES = 5
"""The most matches that a picture shows."""

_LOOK: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": "#888888",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "text.parse_math": False,  # the name of a file may have two dollars
    "legend.frameon": False,
    "figure.facecolor": "white",
}
_HALO = withStroke(linewidth=2.5, foreground="white")
_INK, _SOFT = "#1b1b1b", "#5c5c5c"


@dataclass(frozen=True)
class Shown:
    """A face in a picture.

    name, about: the lines below it.
    """

    portrait: Portrait
    name: str
    about: str


@matplotlib.rc_context(_LOOK)
def verification(
    faces: Sequence[Shown], distance: float, threshold: Threshold, histograms: Histograms, warning: str | None
) -> bytes:
    """PNG: two faces, whether they show one person, and how sure that is. warning: a line under the answer."""
    figure = Figure(figsize=(9, 9.8))
    answer = words.SAME if distance < threshold.distance else words.TWO
    _head(figure, 0.06, answer, words.compared(distance, threshold), warning)
    for i, face in enumerate(faces):
        _face(figure, (0.06 + 0.45 * i, 0.465, 0.43), face, 10)
    axes = figure.add_axes((0.06, 0.2, 0.88, 0.185))
    _scale(axes, threshold, histograms, [(distance, f"these two {distance:.3f}")])
    told = (words.sure(threshold), words.placed(distance, histograms), words.LIMITS)
    _foot(figure, 0.06, 0.125, told, 122)
    return _png(figure)


@matplotlib.rc_context(_LOOK)
def matches(
    probe: Shown,
    found: Sequence[tuple[float, Shown]],
    threshold: Threshold,
    histograms: Histograms,
    warning: str | None,
) -> bytes:
    """PNG: a probe, the faces that were found for it, nearest first and each with its distance, and all distances.

    warning: a line under the answer.
    """
    figure = Figure(figsize=(12, 7.2))
    near = sum(distance < threshold.distance for distance, _ in found)
    told = f"Below the threshold of {threshold.distance:.3f}, and so taken for the person of the probe: "
    _head(figure, 0.03, "The people who look most alike", f"{told}{near or 'none'} of these {len(found)}.", warning)
    step = 0.94 / (MATCHES + 1)
    _face(figure, (0.03, 0.51, step - 0.012), probe, 9, "probe")
    for i, (distance, face) in enumerate(found):
        colour = GENUINE if distance < threshold.distance else IMPOSTOR
        _face(figure, (0.03 + (i + 1) * step, 0.51, step - 0.012), face, 9, f"{i + 1}: {distance:.3f}", colour)
    axes = figure.add_axes((0.03, 0.21, 0.94, 0.19))
    _scale(axes, threshold, histograms, [(distance, str(i + 1)) for i, (distance, _) in enumerate(found)])
    _foot(figure, 0.03, 0.118, (words.sure(threshold), words.LIMITS), 172)
    return _png(figure)


def _head(figure: Figure, left: float, answer: str, why: str, warning: str | None) -> None:
    figure.text(left, 0.965, answer, size=22, weight="bold", va="top", color=_INK)
    line = 0.2 / figure.get_figheight()
    figure.text(left, 0.955 - 2 * line, why, size=11, va="top", color=_INK)
    if warning:
        figure.text(left, 0.95 - 3.1 * line, f"{warning[0].upper()}{warning[1:]}.", size=9, va="top", color=IMPOSTOR)


def _foot(figure: Figure, left: float, top: float, sentences: Sequence[str], letters: int) -> None:
    text = "\n".join(fill(sentence, letters) for sentence in sentences)
    figure.text(left, top, text, size=9, va="top", color=_INK, linespacing=1.5)


def _face(
    figure: Figure, place: tuple[float, float, float], face: Shown, size: int, label: str = "", colour: str = _INK
) -> None:
    """place: left, bottom and width of the picture, as shares of the figure's sides."""
    left, bottom, width = place
    axes = figure.add_axes((left, bottom, width, width * figure.get_figwidth() / figure.get_figheight()))
    shown = face.portrait
    axes.imshow(shown.image)
    axes.set_axis_off()
    around = np.concatenate([shown.outline, shown.outline[:1]])
    for line, edge in ((3.5, "black"), (1.8, OUTLINE)):
        axes.plot(*around.T, color=edge, linewidth=line, solid_joinstyle="round")
    if shown.points is not None:
        axes.plot(*shown.points.T, "o", color=OUTLINE, markersize=size / 1.6, markeredgecolor="black")
    axes.set(xlim=(-0.5, len(shown.image) - 0.5), ylim=(len(shown.image) - 0.5, -0.5))
    axes.set_title(label, size=11, weight="bold", loc="left", color=colour, pad=4)
    letters = int(width * figure.get_figwidth() * 126 / size)
    for down, text, ink in (
        (5, _short(face.name, letters), _INK),
        (19, fill(face.about, letters, max_lines=3, placeholder=" …"), _SOFT),
    ):
        axes.annotate(text, (0, 0), (0, -down), "axes fraction", "offset points", size=size, va="top", color=ink)


def _scale(axes: Axes, threshold: Threshold, histograms: Histograms, marks: Sequence[tuple[float, str]]) -> None:
    """Both histograms over the scale of distances, with the threshold and a mark for each distance."""
    found = scale(histograms, [threshold.distance, *(distance for distance, _ in marks)])
    highest = max(*found.genuine, *found.impostor)
    edges = np.linspace(0, found.end, len(found.genuine) + 1)
    for shares, colour, label in (
        (found.genuine, GENUINE, "one person"),
        (found.impostor, IMPOSTOR, "two people"),
    ):
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.3)
        axes.stairs(shares, edges, color=colour, linewidth=1.5, label=label)
    named = [(threshold.distance, f"threshold {threshold.distance:.3f}", _INK, "--", 1.4)]
    for i, (distance, label) in enumerate(marks):
        # Labels of near distances are one above the other.
        colour = GENUINE if distance < threshold.distance else IMPOSTOR
        named.append((distance, label, colour, "-", 1.22 - 0.18 * (i % 3)))
        axes.plot(distance, 0, "^", color=colour, markersize=9, clip_on=False, zorder=4)
    for x, label, colour, line, height in named:
        axes.plot((x, x), (0, height * highest), color=colour, linestyle=line, linewidth=1.5)
        left = x < 0.8 * found.end
        text = axes.annotate(
            label, (x, height * highest), (4 if left else -4, -2), textcoords="offset points", size=9, va="center"
        )
        text.set(ha="left" if left else "right", color=colour, weight="bold", path_effects=[_HALO], zorder=5)
    axes.set(xlim=(0, found.end), ylim=(0, 1.45 * highest), yticks=[])
    axes.tick_params(colors=_SOFT)
    axes.set_xlabel(f"squared distance: 0 is the same picture, {FARTHEST:g} the most there can be", color=_SOFT, size=9)
    axes.legend(
        loc="upper right", title=f"pairs of {threshold.dataset}", fontsize=9, title_fontsize=9, alignment="left"
    )


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"…{text[1 - letters :]}"


def _png(figure: Figure) -> bytes:
    data = BytesIO()
    figure.savefig(data, format="png", dpi=130)
    return data.getvalue()
