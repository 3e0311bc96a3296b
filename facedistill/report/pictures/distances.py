"""The pictures of distances between embeddings: ROC and DET curves, and histograms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from facedistill.grid.layout import TEACHER
from facedistill.report.pictures.style import WIDTH, Method, legend, lines, look, styled

BINS = 40
CENTRES = (Method("Own class", "#0072B2"), Method("Nearest other class", "#D55E00", "--"))
"""The look of the two distances to the teacher's class centres."""
PAIRS = (Method("Same person (genuine)", "#0072B2"), Method("Two people (impostor)", "#D55E00", "--"))
"""The look of the two kinds of pairs."""

TICKS = (0.00001, 0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
"""The ticks of a DET's axes, as shares. The axes are scaled as normal deviates."""
LEAST, MOST = 0.005, 0.999
"""The ends of a DET's axis of false rejects. 0 and 1 would be infinitely far away, so they are drawn at these ends."""

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""FAR and TPR, each (n,) in 0..1."""


@styled
def roc_and_det(
    panels: Mapping[str, Mapping[str, Curve]],
    operating: Mapping[str, Mapping[str, float]],
    far: float,
    methods: Mapping[str, Method],
) -> Figure:
    """ROC curves (TPR over FAR) above DET curves (FRR over FAR, as normal deviates), with a column for each student.

    panels: the curve of each method, by the student's label and then by the method.
    operating: the TPR in 0..1 of each method at the operating point, which is marked. A TPR of 0 or 1 is marked at the
        edge of the DET. It may lie off the curve, because the tables set the threshold on more pairs.
    far: the FAR of the operating point, in 0..1.
    methods: the look of each method.
    """
    figure = Figure(figsize=(WIDTH, 7.2), layout="constrained")
    axes = figure.subplots(2, len(panels), squeeze=False, sharey="row")
    lowest = min(f[f > 0].min() for curves in panels.values() for f, _ in curves.values())
    # The axis shows at least a decade: on a shorter one, a logarithmic axis has less than two ticks.
    left = min(lowest, far, 0.1) / 1.6
    worst = max(1 - tpr for points in operating.values() for tpr in points.values())
    right, top = max(0.6, 1 - (1 - far) / 1.6), min(MOST, max(0.6, 1 - (1 - worst) / 1.6))
    for above, below, (title, curves) in zip(*axes, panels.items(), strict=True):
        for name, (accepted, tpr) in curves.items():
            method = methods[name]
            drawn = {"color": method.colour, "linestyle": method.line}
            point = look(method, 12 if name == TEACHER else 7.5) | {"clip_on": False, "zorder": 3}
            found = operating[title][name]
            above.step(accepted, tpr, where="post", **drawn)
            above.plot(far, found, **point)
            told = (accepted > 0) & (accepted < 1) & (tpr > 0) & (tpr < 1)
            below.plot(norm.ppf(accepted[told]), norm.ppf(1 - tpr[told]), **drawn)
            below.plot(norm.ppf(far), norm.ppf(np.clip(1 - found, LEAST, top)), **point)
        for ax in (above, below):
            ax.axvline(far if ax is above else norm.ppf(far), color="#888888", linewidth=0.8, linestyle=":")
        above.set(title=title, xscale="log", xlim=(left, 1), ylim=(0, 1.01))
        above.xaxis.set_major_formatter(FuncFormatter(_percent))
        above.yaxis.set_major_formatter(FuncFormatter(_percent))
        _deviates(below, (left, right), (LEAST, top))
        below.set_xlabel("False accepts (FAR)")
    axes[0, 0].set_ylabel("True accepts (TPR)")
    axes[1, 0].set_ylabel("False rejects (FRR)")
    drawn_methods = (method for name, method in methods.items() if any(name in curves for curves in panels.values()))
    label = f"The tables' operating point, FAR {_percent(far)}"
    mark = Line2D([], [], color="#555555", marker="o", linestyle=":", label=label)
    legend(figure, [*lines(drawn_methods), mark])
    figure.suptitle("Verification of people nobody trained on: ROC above, DET below", x=0.01, ha="left")
    return figure


@styled
def histograms(
    rows: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]],
    looks: tuple[Method, Method],
    title: str,
    distance: str,
    counted: str,
) -> Figure:
    """Histograms of two kinds of distances, drawn over one another, with a row for each student.

    rows: the two kinds of distances, each (n,) and not negative, by the row's label and then by the panel's title. All
        rows have the same number of panels.
    looks: the look of each kind.
    title: the title of the figure.
    distance, counted: what the axes show.
    """
    figure = Figure(figsize=(WIDTH, 2.2 * len(rows) + 0.9), layout="constrained")
    axes = figure.subplots(len(rows), len(next(iter(rows.values()))), squeeze=False, sharex=True, sharey="row")
    # All distances are 0 if every photograph has the same embedding.
    most = max(np.max(values) for panels in rows.values() for pair in panels.values() for values in pair) or 1.0
    bins = np.linspace(0, most, BINS + 1)
    for line, (label, panels) in zip(axes, rows.items(), strict=True):
        for ax, (panel, pair) in zip(line, panels.items(), strict=True):
            for values, kind in zip(map(np.asarray, pair), looks, strict=True):
                share = np.full(len(values), 100 / len(values))
                ax.hist(values, bins, weights=share, histtype="stepfilled", color=kind.colour, alpha=0.25)
                ax.hist(values, bins, weights=share, histtype="step", color=kind.colour, linestyle=kind.line)
            ax.set_title(panel, fontsize=9)
            ax.set_xlim(0, most)
        line[0].set_ylabel(f"{label}\n{counted} (%)")
    for ax in axes[-1]:
        ax.set_xlabel(distance)
    legend(figure, lines(looks))
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def equal_error(far: NDArray[np.float64], tpr: NDArray[np.float64]) -> float:
    """The equal error rate in percent: at its threshold, FAR and FRR are equal.

    If no threshold makes them equal, it is the mean of the two where they are nearest.

    far, tpr: (n,) in 0..1, rising together, as `evaluation.pairs.roc` returns them.
    """
    crossing = int(np.argmin(np.abs(far - (1 - tpr))))
    return float(50 * (far[crossing] + 1 - tpr[crossing]))


def _deviates(ax: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    """Scale the axes as normal deviates and label them with shares.

    x, y: the shares at the ends of each axis.
    """
    for axis, (low, high) in ((ax.xaxis, x), (ax.yaxis, y)):
        shown = [share for share in TICKS if low <= share <= high]
        axis.set_ticks(norm.ppf(shown), [_percent(share) for share in shown])
        axis.set_minor_locator(NullLocator())
    ax.set(xlim=norm.ppf(x), ylim=norm.ppf(y))


def _percent(share: float, _: object = None) -> str:
    return f"{100 * share:g} %"
