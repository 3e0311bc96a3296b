"""The pictures of numbers: learning curves, accuracy against parameters, ROC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter
from numpy.typing import NDArray

from facedistill import grid
from facedistill.report.curves import WEIGHTING, Curve
from facedistill.report.results import Results
from facedistill.report.style import METHODS, WIDTH, Method, styled

POINTS = 50
"""Most points of a learning curve: longer ones are averaged in bins."""

BINS = 40
CENTRES = (Method("Own class", "#0072B2"), Method("Nearest other class", "#D55E00", "--"))
"""How the two distances of `centre_distances` are drawn."""

PANELS = {
    "Whole loss": ("loss",),
    "Φ, softmax": ("softmax",),
    "Φ, margin softmax": ("arcface", "cosface"),
    "Φ, landmarks": ("landmarks",),
    "Φ, triplet": ("triplet",),
    "H, soft target": ("soft",),
    "Ψ": ("hidden", "normalised", "embedding", "logits", "hint", "attention", "rkd", "cckd"),
    "Mean μ": ("mu",),
    "Share μ < 1": ("mu_below_1",),
}
"""Titles of the panels of learning curves, and the unweighted terms that each draws."""


@styled
def learning_curves(curves: Sequence[Curve], labels: Mapping[str, str], title: str) -> Figure:
    """A row for each student, a column for each part of Equation 5; dashed lines start from Pretrain.

    curves: those of one task. labels: the printed name of each student.
    """
    students = list(dict.fromkeys(curve.student for curve in curves))
    panels = {title: terms for title, terms in PANELS.items() if any(curve.terms.keys() & terms for curve in curves)}
    figure = Figure(figsize=(WIDTH, (2.0 if len(students) <= 3 else 1.5) * len(students) + 1.2), layout="constrained")
    axes = figure.subplots(len(students), len(panels), squeeze=False, sharex=True, sharey="col")
    for row, student in zip(axes, students, strict=True):
        for ax, terms in zip(row, panels.values(), strict=True):
            for curve in (curve for curve in curves if curve.student == student):
                method = METHODS[curve.method]
                line = "--" if curve.init == "pretrain" else method.line
                for term in curve.terms.keys() & terms:
                    ax.plot(*_binned(*curve.terms[term]), color=method.colour, linestyle=line, linewidth=1.3)
            if set(terms) & set(WEIGHTING):
                ax.set_ylim(0, 1.02)
            else:
                _log(ax)
            ax.set_visible(bool(ax.lines))
        row[0].set_ylabel(labels[student], fontweight="bold")
    for column, panel in zip(axes.T, panels, strict=True):
        next(ax for ax in column if ax.lines).set_title(panel, fontsize=9)
        column[-1].set_xlabel("Step")
    handles = _lines(look for name, look in METHODS.items() if any(curve.method == name for curve in curves))
    if any(curve.init for curve in curves):
        handles.append(Line2D([], [], color="#555555", linestyle="-", label="from Distill"))
        handles.append(Line2D([], [], color="#555555", linestyle="--", label="from Pretrain"))
    _legend(figure, handles)
    figure.suptitle(title, x=0.01, ha="left")
    return figure


@styled
def accuracy_by_parameters(results: Results) -> Figure:
    """Top-1, and accuracy on the first set of pairs with its standard error, against the parameters of the trunk.

    Of every classification cell of tables 1 and 2.
    """
    cells: dict[str, list[tuple[str, ...]]] = {"teacher": [("teacher", "classification")]}
    for name in METHODS:
        group = next((group for group in ("table2", "table1") if name in grid.RECIPES[group]), None)
        if group and (students := results.layout.tables[group]):
            cells[name] = [("classification", student.name, name) for student in students]
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    top1, unseen = figure.subplots(1, 2)
    first, title = next(iter(results.layout.sets.items()))
    for i, (name, addresses) in enumerate(cells.items()):
        # A little aside, or equal accuracies would hide each other.
        aside = 1.0 if name == "teacher" else 1.035 ** (i - len(cells) / 2)
        addresses = sorted(addresses, key=lambda address: results[*address, "parameters"])
        x = [results[*address, "parameters"] * aside for address in addresses]
        look = _look(name, markersize=14 if name == "teacher" else 7.5)
        top1.plot(x, [results[*address, "top1"] for address in addresses], **look)
        accuracy, error = (
            [results[*a, "pairs", first, key] for a in addresses] for key in ("accuracy", "standard_error")
        )
        unseen.errorbar(x, accuracy, yerr=error, elinewidth=0.9, **look)
    sizes = sorted({results[*address, "parameters"] for addresses in cells.values() for address in addresses})
    for ax, what, unit, metric in (
        (top1, "Test photographs of known people", "Top-1 (%)", ("top1",)),
        (unseen, "Pairs of unseen people", f"{title} View 2 (%)", ("pairs", first, "accuracy")),
    ):
        ax.axhline(results["teacher", "classification", *metric], color="#000000", linewidth=0.8, linestyle=":")
        ax.set_xscale("log")
        ax.set_xticks(sizes, [f"{size / 1e6:.3g} M" for size in sizes])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlim(sizes[0] / 1.7, sizes[-1] * 1.7)
        ax.set(title=what, ylabel=unit, xlabel="Parameters of the trunk")
    _legend(figure, [Line2D([], [], label=METHODS[name].label, **_look(name, markersize=8)) for name in cells])
    figure.suptitle("Accuracy against parameters", x=0.01, ha="left")
    return figure


@styled
def centre_distances(
    rows: Mapping[str, Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]],
) -> Figure:
    """Figure 1 of ProxylessKD: where students put test photographs among their teacher's class centres.

    rows: a label, then (own, other) by method, the same methods in each row: (n,) in 0..2, 1 − cos to the centre of the
    photograph's own class and to the nearest other one.
    """
    figure = Figure(figsize=(WIDTH, 2.2 * len(rows) + 0.9), layout="constrained")
    axes = figure.subplots(len(rows), len(next(iter(rows.values()))), squeeze=False, sharex=True, sharey="row")
    most = max(d.max() for panels in rows.values() for pair in panels.values() for d in pair)
    bins = np.linspace(0, most, BINS + 1)
    for line, (label, panels) in zip(axes, rows.items(), strict=True):
        for ax, (method, (own, other)) in zip(line, panels.items(), strict=True):
            for distances, look in zip((own, other), CENTRES, strict=True):
                share = np.full(len(distances), 100 / len(distances))
                ax.hist(distances, bins, weights=share, histtype="stepfilled", color=look.colour, alpha=0.25)
                ax.hist(distances, bins, weights=share, histtype="step", color=look.colour, linestyle=look.line)
            ax.set_title(f"{method}: own centre nearest in {100 * np.mean(own < other):.0f} %", fontsize=9)
            ax.set_xlim(0, most)
        line[0].set_ylabel(f"{label}\nPhotographs (%)")
    for ax in axes[-1]:
        ax.set_xlabel("Distance, 1 − cos")
    _legend(figure, _lines(CENTRES))
    figure.suptitle("Test photographs among their teacher's class centres", x=0.01, ha="left")
    return figure


@styled
def roc_curves(panels: Mapping[str, Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]) -> Figure:
    """TPR over FAR, a panel for each student. panels: label of the student, then method: (far, tpr) in 0..1."""
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    axes: Sequence[Axes] = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    lowest = min(far[far > 0].min() for curves in panels.values() for far, _ in curves.values())
    for ax, (title, curves) in zip(axes, panels.items(), strict=True):
        for name, (far, tpr) in curves.items():
            method = METHODS[name]
            ax.step(far, tpr, where="post", color=method.colour, linestyle=method.line)
        ax.set_xscale("log")
        ax.set_xlim(lowest, 1)
        ax.set_ylim(0, 1.01)
        ax.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %", decimals=None))
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        ax.set_title(title)
        ax.set_xlabel("False accepts (FAR)")
    axes[0].set_ylabel("True accepts (TPR)")
    _legend(figure, _lines(look for name, look in METHODS.items() if any(name in curves for curves in panels.values())))
    figure.suptitle("Verification of pairs of people nobody trained on", x=0.01, ha="left")
    return figure


def _log(ax: Axes) -> None:
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def _look(name: str, markersize: float) -> dict[str, Any]:
    """How lines with markers of a method are drawn."""
    method = METHODS[name]
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.6, "markersize": markersize}
    return {"color": method.colour, "linestyle": method.line, "marker": method.marker, **edge}


def _lines(methods: Iterable[Method]) -> list[Line2D]:
    return [Line2D([], [], color=method.colour, linestyle=method.line, label=method.label) for method in methods]


def _legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Under the panels, in as few and as even rows as fit."""
    rows = ceil(len(handles) / 4)
    figure.legend(handles=handles, loc="outside lower center", ncols=ceil(len(handles) / rows))


def _binned(steps: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means over equal runs of points, at most POINTS of them."""
    starts = np.arange(0, len(steps), ceil(len(steps) / POINTS))
    counts = np.diff(starts, append=len(steps))
    return np.add.reduceat(steps, starts) / counts, np.add.reduceat(values, starts) / counts
