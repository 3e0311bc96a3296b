"""The embeddings of a few unseen people, small enough to keep. The report draws its map from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

PEOPLE, EACH, WIDTH = 8, 20, 32
"""The most people in a map, the most photographs of each, and the most principal components."""


def mapped(identities: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Choose the PEOPLE with the most photographs, and the first EACH photographs of each of them.

    Of people with equally many photographs, it takes those who come first in `identities`.

    Returns (rows, person), each (n,): the row of each chosen photograph, and its person. The person with the most
    photographs has number 0.
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
    """Return (n, min(WIDTH, n, d)): (n, d) embeddings, centred, along their axes of largest variance, largest first."""
    points = np.asarray(embeddings, np.float64)
    left, lengths, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    components: NDArray[np.float32] = (left * lengths)[:, :WIDTH].astype(np.float32)
    return components


def map_table(name: str, embeddings: ArrayLike, identities: Sequence[str]) -> pa.Table:
    """Return a table with a row for each photograph of `mapped`: the model, the person and the `components`.

    embeddings: (n, d), of all photographs, also those that `mapped` leaves out.
    """
    rows, person = mapped(identities)
    components = principal_components(np.asarray(embeddings)[rows])
    columns = {"person": person, "components": list(components)}
    return pa.table({"model": [name] * len(rows), **columns})
