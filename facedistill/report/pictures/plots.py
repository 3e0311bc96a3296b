"""The pictures of numbers: learning curves, accuracy against cost, and landmark errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import AutoLocator, LogLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from facedistill.grid.cells import Cell, first_cells
from facedistill.grid.layout import TEACHER
from facedistill.outside import is_outside
from facedistill.recipe import MARGIN_SOFTMAX, WEIGHTING
from facedistill.report.pictures.curves import Curve
from facedistill.report.pictures.style import (
    TARGET_LOOKS,
    TEACHER_LOOK,
    WIDTH,
    Method,
    init_lines,
    legend,
    lines,
    look,
    looks,
    styled,
)
from facedistill.results.metrics import Results
from facedistill.results.names import pair_labels, student_labels
from facedistill.results.reading import Reading

POINTS = 50
"""The most points of a learning curve. A longer one is averaged in bins."""

COSTS = {
    "parameters": "Parameters of the trunk (millions)",
    "multiply_adds": "Multiply-adds (millions)",
    "milliseconds": "Latency (ms, one thread)",
}
"""The labels of the axes, by the name of the cost in Results."""

FRONT = "#d0d0d0"

LOST = 100.0
"""An NRMSE in percent. Landmarks that are wrong by the distance between the eyes are not found at all."""

PHI_PANELS = {
    "Φ, softmax": {"softmax"},
    "Φ, margin softmax": {*MARGIN_SOFTMAX},
    "Φ, landmarks": {"landmarks"},
    "Φ, triplet": {"triplet"},
}
"""The terms of the built-in Φ that each panel draws, by the panel's title."""


@styled
def learning_curves(
    curves: Sequence[Curve], methods: Mapping[str, Method], labels: Mapping[str, str], title: str
) -> Figure:
    """Learning curves: a row for each student, a column for each part of Equation 5. Dashed lines are of Pretrain.

    curves: the curves of one task.
    methods: the look of each method.
    labels: the printed name of each student.
    title: the title of the figure.
    """
    students = list(dict.fromkeys(curve.student for curve in curves))
    panels = {
        title: terms for title, terms in _panels(curves).items() if any(curve.terms.keys() & terms for curve in curves)
    }
    # A loss that is always 0 has no place on a logarithmic axis.
    positive = {
        panel
        for panel, terms in panels.items()
        if any((curve.terms[term][1] > 0).any() for curve in curves for term in curve.terms.keys() & terms)
    }
    figure = Figure(figsize=(WIDTH, (2.0 if len(students) <= 3 else 1.5) * len(students) + 1.2), layout="constrained")
    axes = figure.subplots(len(students), len(panels), squeeze=False, sharex=True, sharey="col")
    for row, student in zip(axes, students, strict=True):
        for ax, (panel, terms) in zip(row, panels.items(), strict=True):
            for curve in (curve for curve in curves if curve.student == student):
                method = methods[curve.method]
                line = "--" if curve.init == "pretrain" else method.line
                for term in curve.terms.keys() & terms:
                    steps, values = _binned(*curve.terms[term])
                    # A single point is no line.
                    marker = "o" if len(steps) == 1 else ""
                    ax.plot(steps, values, color=method.colour, linestyle=line, linewidth=1.3, marker=marker)
            if set(terms) & set(WEIGHTING):
                ax.set_ylim(0, 1.02)
            elif panel in positive:
                ax.set_yscale("log")
                _ticks(ax.yaxis)
            ax.set_visible(bool(ax.lines))
        row[0].set_ylabel(labels[student], fontweight="bold")
    for column, panel in zip(axes.T, panels, strict=True):
        next(ax for ax in column if ax.lines).set_title(panel, fontsize=9)
        column[-1].set_xlabel("Step")
    handles = lines(method for name, method in methods.items() if any(curve.method == name for curve in curves))
    if any(curve.init for curve in curves):
        handles += init_lines()
    legend(figure, handles)
    figure.suptitle(title, x=0.01, ha="left")
    return figure


@styled
def accuracy_by_cost(reading: Reading) -> Figure:
    """Accuracy against what a network costs: top-1, and accuracy on the first set of pairs with its standard error.

    All recipes of classification that have a classifier are shown. Lines join the widths of ResNet-50. The grey Pareto
    front joins the networks that none beats at the same or a lower cost.
    """
    results, layout = reading.results, reading.layout
    named = results.get("teacher", "classification", "top1") is not None
    cells: dict[str, list[Cell]] = defaultdict(list)
    rows = []
    for cell in first_cells(layout):
        group = layout.groups.get(cell.group)
        if group and group.task == "classification" and cell.recipe and (cell.recipe.needs_identity or not named):
            row = reading.labels.row(group, cell.method)
            rows.append(row)
            cells[row.key].append(cell)
    methods = {name: method for name, method in looks(rows).items() if name in cells}
    labels = student_labels(layout)
    first, title = next(iter(pair_labels(layout).items()))
    known: dict[str, tuple[str, ...]] = {"Known people, top-1 (%)": ("top1",)} if named else {}
    measured = known | {f"Unseen people, {title} (%)": ("pairs", first, "accuracy")}
    figure = Figure(figsize=(WIDTH, 3.2 * len(measured)), layout="constrained")
    axes = figure.subplots(len(measured), len(COSTS), sharex="col", sharey="row", squeeze=False)
    for row, (what, metric) in zip(axes, measured.items(), strict=True):
        row[0].set_ylabel(what)
        for ax, cost in zip(row, COSTS, strict=True):
            scale = 1e6 if cost == "parameters" else 1.0
            points: list[tuple[float, float, str]] = [
                (results["cost", TEACHER, cost] / scale, results["teacher", "classification", *metric], "Teacher")
            ]
            ax.plot(*points[0][:2], **look(TEACHER_LOOK, markersize=14))
            for i, (name, method) in enumerate(methods.items()):
                found = sorted(_point(results, labels, cell, cost, scale, metric) for cell in cells[name])
                points += [point[:3] for point in found]
                # Points are shifted a little, because equal accuracies would hide each other.
                aside = 1.03 ** (i - len(methods) / 2)
                joined = [point for point in found if point[2].startswith("ResNet-50")]
                for run in (joined, *([point] for point in found if point not in joined)):
                    bars = [results[*a, "pairs", first, "standard_error"] for *_, a in run] if len(metric) > 1 else None
                    x, y = [aside * point[0] for point in run], [point[1] for point in run]
                    ax.errorbar(x, y, yerr=bars, elinewidth=0.9, **look(method))
            _front(ax, points)
            ax.margins(0.14, 0.1)
            # A cost of 0 has no place on a logarithmic axis.
            if min(points)[0] > 0:
                ax.set_xscale("log")
                _ticks(ax.xaxis)
    for ax, name in zip(axes[-1], COSTS.values(), strict=True):
        ax.set_xlabel(name)
    marks = [Line2D([], [], label=method.label, **look(method, 8)) for method in (TEACHER_LOOK, *methods.values())]
    legend(figure, [*marks, Line2D([], [], color=FRONT, linewidth=5, label="Pareto front")])
    figure.suptitle("Accuracy against what a network costs", x=0.01, ha="left")
    return figure


@styled
def nrmse_curves(panels: Mapping[str, Sequence[tuple[str, str, NDArray[np.float64]]]]) -> Figure:
    """The share of test photographs whose NRMSE is at most the value on the x axis.

    panels: the models of each student, by its label. Each model has a method, an initialisation (empty for the teacher)
        and the NRMSE of each photograph, (n,) in percent.
    """
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes: Sequence[Axes] = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    ends = [float(np.percentile(errors, 99)) for models in panels.values() for *_, errors in models]
    # A model that finds no landmarks must not squeeze the others. If all errors are 0, the axis still needs a length.
    most = max((end for end in ends if end <= LOST), default=min(ends)) or 1.0
    for ax, (title, models) in zip(axes, panels.items(), strict=True):
        for name, init, errors in models:
            line = "--" if init == "pretrain" else TARGET_LOOKS[name].line
            share = 100 * np.arange(1, len(errors) + 1) / len(errors)
            ax.step(np.sort(errors), share, where="post", color=TARGET_LOOKS[name].colour, linestyle=line)
        ax.set(title=title, xlabel="NRMSE (% of the distance between the eyes)", xlim=(0, most), ylim=(0, 101))
    axes[0].set_ylabel("Test photographs (%)")
    drawn = {name for models in panels.values() for name, *_ in models}
    legend(figure, [*lines(method for name, method in TARGET_LOOKS.items() if name in drawn), *init_lines()])
    figure.suptitle("Landmarks: share of photographs under an error", x=0.01, ha="left")
    return figure


def _point(
    results: Results, labels: Mapping[str, str], cell: Cell, cost: str, scale: float, metric: Sequence[str]
) -> tuple[float, float, str, tuple[str, ...]]:
    """The cost of a network, its accuracy, its label and its address."""
    paid, reached = results["cost", cell.student, cost] / scale, results[*cell.address, *metric]
    return paid, reached, labels[cell.student], cell.address


def _panels(curves: Sequence[Curve]) -> dict[str, set[str]]:
    """The unweighted terms that each panel of learning curves may draw, by the panel's title."""
    own = [term for curve in curves if is_outside(curve.recipe.phi) for term in curve.recipe.phi_terms]
    return {
        "Whole loss": {"loss"},
        **PHI_PANELS,
        **{f"Φ, {term}": {term} for term in own},
        "H, soft target": {"soft"},
        "Ψ": {curve.recipe.psi_term for curve in curves},
        "Mean μ": {"mu"},
        "Share μ < 1": {"mu_below_1"},
    }


def pareto(points: Iterable[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """The Pareto front: the points (cost, value, name) that none beats at the same or a lower cost, cheapest first."""
    front: list[tuple[float, float, str]] = []
    for point in sorted(points, key=lambda p: (p[0], -p[1])):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front


def _front(ax: Axes, points: Iterable[tuple[float, float, str]]) -> None:
    """Draw the Pareto front of the points (cost, value, name) below them, with the names of its networks."""
    front = pareto(points)
    x, y, names = zip(*front, strict=True)
    ax.step(x, y, where="post", color=FRONT, linewidth=5, zorder=0, solid_joinstyle="round")
    # If a network has several points on the front, the best one gets its name.
    for cost, value, name in {name: point for point, name in zip(front, names, strict=True)}.values():
        short = name.removeprefix("ResNet-50")
        ax.annotate(short, (cost, value), (0, 9), textcoords="offset points", ha="center", fontsize=7, color="#555555")


class _Ticks(LogLocator):
    """The ticks of a logarithmic axis; the ticks of a linear axis if less than two of them are on it."""

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        ticks = super().tick_values(vmin, vmax)
        return ticks if sum(vmin <= tick <= vmax for tick in ticks) > 1 else AutoLocator().tick_values(vmin, vmax)


def _ticks(axis: Axis) -> None:
    """Put ticks at 1, 2 and 5 times powers of ten on a logarithmic axis, as plain numbers."""
    axis.set_major_locator(_Ticks(subs=(1, 2, 5), numticks=8))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def _binned(steps: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The means of steps and values over bins of equal size, at most POINTS bins."""
    starts = np.arange(0, len(steps), ceil(len(steps) / POINTS))
    counts = np.diff(starts, append=len(steps))
    return np.add.reduceat(steps, starts) / counts, np.add.reduceat(values, starts) / counts
