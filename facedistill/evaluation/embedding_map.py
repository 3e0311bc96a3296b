"""A few unseen people's embeddings, small enough to keep: what the map of the report is drawn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

PEOPLE, EACH, WIDTH = 8, 20, 32
"""Most people in a map, photographs of each, and principal components that are kept."""


def mapped(identities: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(rows, person), each (n,): the first EACH photographs of the PEOPLE who have most, the first named of equals.

    person: from 0, the one with most photographs first.
    """
    people = {name: i for i, (name, _) in enumerate(Counter(identities).most_common(PEOPLE))}
    seen: Counter[str] = Counter()
    rows, person = [], []
    for row, name in enumerate(identities):
        if name in people and seen[name] < EACH:
            seen[name] += 1
            rows.append(row)
            person.append(people[name])
    return np.array(rows, np.int64), np.array(person, np.int32)


def principal_components(embeddings: ArrayLike) -> NDArray[np.float32]:
    """(n, min(WIDTH, n, d)): (n, d) embeddings about their mean along the axes of most variance, the largest first."""
    points = np.asarray(embeddings, np.float64)
    left, lengths, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    components: NDArray[np.float32] = (left * lengths)[:, :WIDTH].astype(np.float32)
    return components


def map_table(name: str, embeddings: ArrayLike, identities: Sequence[str]) -> pa.Table:
    """A row for each photograph of `mapped`: the model, the person and its `components`. embeddings: of all of them."""
    rows, person = mapped(identities)
    components = principal_components(np.asarray(embeddings)[rows])
    columns = {"person": person, "components": list(components)}
    return pa.table({"model": [name] * len(rows), **columns})
