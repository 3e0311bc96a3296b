"""The pictures of identities: confusion matrices and maps of embeddings. They show no photograph and no name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from facedistill.report.pictures.style import PEOPLE, WIDTH, styled

MIXED = 10
"""The most people in a confusion matrix."""

MARKERS = "osv^DPX*"
PERPLEXITY = 15
FEWEST = 4
"""t-SNE needs this many different points: it divides by their spread, and looks for neighbours among the others."""
DIGITS = 6
"""Points are different if they differ in this many decimals. float32 has no more, and t-SNE fails without a spread."""

Confusion = Mapping[tuple[int, int], int]
"""The number of photographs for each (label, answer)."""


def mixed_up(models: Iterable[Confusion]) -> list[int]:
    """The labels that the models confuse most, at most MIXED, in rising order. Both directions count together."""
    confused: Counter[tuple[int, int]] = Counter()
    for model in models:
        for (label, answer), photographs in model.items():
            if label != answer:
                confused[min(label, answer), max(label, answer)] += photographs
    found: dict[int, None] = {}
    # Among equally confused pairs, the lowest labels come first.
    for pair in sorted(confused, key=lambda pair: (-confused[pair], pair)):
        if len(found.keys() | set(pair)) <= MIXED:
            found |= dict.fromkeys(pair)
    return sorted(found)


@styled
def confusions(models: Mapping[str, Confusion]) -> Figure:
    """Confusion matrices of the people who are mixed up most, in shares of each person's photographs.

    models: the confusions of each model, by its title. At least one model mixes up two people.
    """
    labels = mixed_up(models.values())
    figure = Figure(figsize=(WIDTH, WIDTH / len(models) + 0.4), layout="constrained")
    axes = figure.subplots(1, len(models), squeeze=False, sharey=True)[0]
    for ax, (title, model) in zip(axes, models.items(), strict=True):
        totals: Counter[int] = Counter()
        for (label, _), photographs in model.items():
            totals[label] += photographs
        shares = np.array(
            [[100 * model.get((label, to), 0) / max(1, totals[label]) for to in labels] for label in labels]
        )
        image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        for (row, column), share in np.ndenumerate(shares):
            if share:
                colour = "white" if share > 50 else "black"
                ax.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color=colour)
        ax.set_xticks(range(len(labels)), labels, rotation=90, fontsize=7)
        ax.set_yticks(range(len(labels)), labels, fontsize=7)
        ax.grid(visible=False)
        ax.set(title=title, xlabel="Taken for")
    axes[0].set_ylabel("Person, by number")
    figure.colorbar(image, ax=axes, label="Test photographs of the person (%)", shrink=0.7)
    figure.suptitle("The people who are mixed up most", x=0.01, ha="left")
    return figure


@styled
def embedding_map(models: Mapping[str, tuple[NDArray[np.int32], NDArray[np.float64]]]) -> Figure:
    """Embeddings of a few unseen people in the plane, with a colour and a marker for each person.

    The map is made by t-SNE with a fixed seed. Neighbours are near each other; large distances mean nothing.

    models: by its title, the person of each photograph, (n,) from 0, and principal components of its embedding, (n, d).
    """
    figure = Figure(figsize=(WIDTH, WIDTH / len(models) + 0.7), layout="constrained")
    for ax, (title, (person, components)) in zip(
        figure.subplots(1, len(models), squeeze=False)[0], models.items(), strict=True
    ):
        points = _plane(components)
        for i in np.unique(person):
            drawn = {"color": PEOPLE[i], "marker": MARKERS[i], "edgecolor": "white", "linewidth": 0.4}
            ax.scatter(*points[person == i].T, s=34, **drawn)
        ax.set(title=title, xticks=[], yticks=[])
    count = len(np.unique(person))
    people = "one person" if count == 1 else f"{count} people"
    figure.suptitle(f"Map of embeddings (t-SNE): {people} nobody trained on, a colour for each", x=0.01, ha="left")
    return figure


def _plane(components: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map (n, d) components to (n, 2) by t-SNE. With fewer than FEWEST different points, take the first two columns."""
    from sklearn.manifold import TSNE

    n, d = components.shape
    points = np.hstack([components, np.zeros((n, max(0, 2 - d)))])
    if len(np.unique(points.round(DIGITS), axis=0)) < FEWEST:
        return points[:, :2]
    near = min(PERPLEXITY, (n - 1) / 3)
    plane: NDArray[np.float64] = TSNE(perplexity=near, init="pca", random_state=0).fit_transform(points)
    return plane
