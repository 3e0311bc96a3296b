"""Which people of a source are in a set, and verification pairs drawn from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import combinations, zip_longest
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from facedistill.crops import DataError
from facedistill.data.photograph import Pair, Photograph, Problem
from facedistill.params import params


@params
class PeopleParams:
    """Holds a share of the people out, by a hash of their names.

    Two sets of the same source and share divide its people: one takes those who are held out, the other takes the rest.
    With `after`, a third set can hold out others: with shares of 0.13 and of 0.05 after 0.08, the training set lacks
    everybody below 0.13, one set has those below 0.08, and one has those from 0.08 to 0.13.

    held_out: the share of people.
    take: whom this set has. Photographs without a name belong to the rest.
    after: the share of people who come first, and are not held out.
    """

    held_out: Annotated[float, Field(gt=0, lt=1)]
    take: Literal["rest", "held_out"]
    after: Annotated[float, Field(ge=0, lt=1)] = 0

    def __post_init__(self) -> None:
        if self.after + self.held_out > 1:
            raise ValueError(f"after: {self.after:g} and held_out: {self.held_out:g} are more than 1; lower one")


@params
class PairsParams:
    """Draws verification pairs from a set of people.

    per_fold: how many pairs of one person, and how many of two, each fold has.
    folds: how many folds there are. No person is in two of them.
    """

    per_fold: Annotated[int, Field(ge=1)]
    folds: Annotated[int, Field(ge=2)]


def taken(records: Iterable[Photograph | Problem], params: PeopleParams | None) -> Iterator[Photograph | Problem]:
    """The records of the people whom a set has, and every Problem."""
    for record in records:
        if params is None or isinstance(record, Problem) or _takes(params, record.identity):
            yield record


def draw_pairs(photographs: Iterable[tuple[str, str | None]], params: PairsParams, seed: int) -> list[Pair]:
    """Verification pairs as in LFW's View 2: fold by fold, first the pairs of one person.

    photographs: the key and the identity of each. Those without an identity are left out.

    In each fold every person gives one genuine pair before anybody gives a second one. The draws depend on the seed
    and on the people of the set.

    Raises DataError if a fold has too few people or photographs.
    """
    people: dict[str, list[str]] = defaultdict(list)
    for key, identity in photographs:
        if identity is not None:
            people[identity].append(key)
    people = {name: sorted(keys) for name, keys in people.items() if len(keys) > 1}
    able = sorted(people, key=lambda name: _hash(name, seed))
    pairs = list[Pair]()
    for fold in range(params.folds):
        members = able[fold :: params.folds]
        rng = np.random.default_rng((seed, fold))
        own = [list(combinations(people[member], 2)) for member in members]
        for shuffled in own:
            rng.shuffle(shuffled)
        genuine = [pair for turn in zip_longest(*own) for pair in turn if pair][: params.per_fold]
        impostors = _impostors([people[m] for m in members], params.per_fold, rng)
        if min(len(genuine), len(impostors)) < params.per_fold:
            raise DataError(
                f"pairs: fold {fold + 1} has {len(members)} people with two photographs, which give {len(genuine)} "
                f"pairs of one person and {len(impostors)} of two; {params.per_fold} of each are asked for: lower "
                "per_fold or folds, or take more people"
            )
        pairs += [Pair(a, b, True, fold) for a, b in genuine] + [Pair(a, b, False, fold) for a, b in impostors]
    return pairs


def _impostors(people: list[list[str]], wanted: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Different pairs of photographs of two people, as many as are wanted and can be found."""
    found = dict[tuple[str, str], None]()
    for _ in range(20 * wanted if len(people) > 1 else 0):
        a, b = sorted(rng.choice(len(people), 2, replace=False))
        found[people[a][rng.integers(len(people[a]))], people[b][rng.integers(len(people[b]))]] = None
        if len(found) == wanted:
            break
    return list(found)


def _takes(params: PeopleParams, identity: str | None) -> bool:
    held_out = identity is not None and params.after <= _hash(identity) < params.after + params.held_out
    return held_out == (params.take == "held_out")


def _hash(name: str, seed: int = 0) -> float:
    """A number in [0, 1) that depends on the name and the seed alone."""
    return int.from_bytes(blake2b(f"{seed}\0{name}".encode(), digest_size=7).digest(), "big") / 2**56
