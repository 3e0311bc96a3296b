"""A set of photographs of drawn faces. `000012/0003.jpg` is photograph 3 of person 12."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from facedistill.crops import DataError
from facedistill.data.photograph import Pair, Photograph
from facedistill.data.synthetic.head import landmarks
from facedistill.data.synthetic.person import person
from facedistill.data.synthetic.render import draw, encode
from facedistill.data.synthetic.view import attributes, view
from facedistill.params import params

_KEY = re.compile(r"(\d{6})/(\d{4})\.jpg")


@params
class SyntheticParams:
    """What is drawn.

    people: how many people there are.
    photographs: how many photographs each person has.
    difficulty: 0 is a studio, 1 is in the wild, 2 is the hardest.
    seed: another seed draws other people.
    first_person: the number of the first person. With it, two sets can have no person in common.
    pairs_per_fold: in each fold, this many pairs of one person and as many of two people; 0 for no pairs.
    folds: the number of folds of the verification protocol.
    """

    kind: Literal["synthetic"]
    people: Annotated[int, Field(ge=1, le=999_999)]
    photographs: Annotated[int, Field(ge=1, le=9_999)]
    difficulty: Annotated[float, Field(ge=0, le=2)] = 1.0
    seed: Annotated[int, Field(ge=0)] = 0
    first_person: Annotated[int, Field(ge=0, le=999_999)] = 0
    pairs_per_fold: Annotated[int, Field(ge=0)] = 0
    folds: Annotated[int, Field(ge=2)] = 10


class SyntheticSource:
    """Photographs of drawn people. Each is drawn when it is read, the same every time, and nothing is stored."""

    def __init__(self, params: SyntheticParams) -> None:
        if params.first_person + params.people > 1_000_000:
            raise DataError(
                f"synthetic: first_person {params.first_person} + people {params.people} is over 1000000; lower one"
            )
        self.params = params

    def scan(self) -> Iterator[Photograph]:
        """Every photograph with landmarks and attributes, in the order of the keys. Nothing is drawn."""
        p = self.params
        for identity in range(p.first_person, p.first_person + p.people):
            who = person(p.seed, identity)
            for index in range(p.photographs):
                how = view(p.seed, identity, index, p.difficulty)
                yield Photograph(
                    key=_key(identity, index),
                    identity=f"{identity:06d}",
                    landmarks=landmarks(who, how),
                    attributes=attributes(how),
                )

    def read(self, key: str) -> bytes:
        """JPEG of one photograph. Raises FileNotFoundError if the set has no such key."""
        p = self.params
        match = _KEY.fullmatch(key)
        identity, index = map(int, match.groups()) if match else (-1, -1)
        if not (0 <= identity - p.first_person < p.people and 0 <= index < p.photographs):
            raise FileNotFoundError(
                f"synthetic: no photograph {key!r}; keys run from {_key(p.first_person, 0)} "
                f"to {_key(p.first_person + p.people - 1, p.photographs - 1)}"
            )
        how = view(p.seed, identity, index, p.difficulty)
        return encode(draw(person(p.seed, identity), how), how)

    def pairs(self) -> list[Pair]:
        """Pairs as in LFW's View 2: each fold has pairs_per_fold pairs of one person, then as many of two people.

        Nobody is in two folds. Raises DataError if there are too few people or photographs for so many pairs.
        """
        p = self.params
        if not p.pairs_per_fold:
            return []
        rng = np.random.default_rng((p.seed, p.first_person, 0xFA125))
        people = p.first_person + rng.permutation(p.people)
        pairs: list[Pair] = []
        for fold, members in enumerate(np.array_split(people, p.folds)):
            n, m = len(members), p.photographs
            same, different = n * m * (m - 1) // 2, n * (n - 1) // 2 * m * m
            if min(same, different) < p.pairs_per_fold:
                raise DataError(
                    f"synthetic: fold {fold} has {n} of {p.people} people with {m} photographs each, which gives "
                    f"{same} pairs of one person and {different} of two; pairs_per_fold is {p.pairs_per_fold}: "
                    f"raise people or photographs, or lower folds or pairs_per_fold"
                )
            for kind in (True, False):
                chosen: dict[tuple[str, str], None] = {}
                while len(chosen) < p.pairs_per_fold:
                    a, b = rng.choice(members, 1).repeat(2) if kind else rng.choice(members, 2, replace=False)
                    i, j = rng.choice(m, 2, replace=False) if kind else rng.integers(m, size=2)
                    first, second = sorted((_key(int(a), int(i)), _key(int(b), int(j))))
                    chosen[first, second] = None
                pairs += [Pair(a, b, kind, fold) for a, b in chosen]
        return pairs


def _key(identity: int, index: int) -> str:
    return f"{identity:06d}/{index:04d}.jpg"
