"""Checks of a set: an empty side, pairs that prove nothing, a list of people to leave out that names nobody."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from unicodedata import normalize

import pyarrow as pa

from facedistill.crops import DataError
from facedistill.data import manifest
from facedistill.data.dataset import SplitParams
from facedistill.data.folder import SUFFIXES
from facedistill.data.photograph import Pair, Problem
from facedistill.data.sources.files import name_value

SHARED = "a group with several people stays whole on one side; do the numbers of groups start again for each person?"


def split_notes(table: pa.Table, split: SplitParams) -> Iterator[Problem]:
    """Notes on a manifest's split: who cannot be on both sides, and groups that are perhaps not meant as such."""
    yield from _one_sided(table, split)
    if split.by == "group":
        for group, people in _people_of_groups(table).items():
            if people > 1:
                yield Problem(manifest.FILE, group, SHARED)
        if without := sum(not group for group in manifest.values(table["group"])):
            yield Problem(manifest.FILE, f"{without} photographs", "no group: each is split by itself")
    share = sum(side == "test" for side in manifest.values(table["split"])) / max(len(table), 1)
    if not 0.5 * split.test < share < 2 * split.test:
        reason = f"the test side has {share:.1%} of the photographs, split.test is {split.test:.1%}"
        yield Problem(manifest.FILE, "split", f"{reason}: every identity with two units has one on each side")


def check_sides(table: pa.Table, split: SplitParams, name: str) -> None:
    """Raises DataError if a side of the data set `name` has no photograph."""
    sides = Counter(manifest.values(table["split"]))
    if sides["train"] and sides["test"]:
        return
    shared = [group for group, people in _people_of_groups(table).items() if people > 1]
    if split.by == "image":
        why = "every person has only one photograph, which is kept for training; a person needs two"
    elif shared:
        why = (
            f"{len(shared)} groups, such as {shared[0]!r}, show several people, and a group stays on one side; if "
            "the numbers of groups start again for each person, put the person before the number"
        )
    else:
        why = "every person has only one group, which is kept for training; a person needs two, or split.by: image"
    again = "; split.validation splits the training side once more" if split.validation else ""
    raise DataError(
        f"datasets.{name}.split: of {len(table)} photographs {sides['train']} are for training and {sides['test']} for "
        f"testing: {why}{again}"
    )


def check_pairs(pairs: Sequence[Pair], identities: Mapping[str, str | None], name: str) -> Iterator[Problem]:
    """Notes on the pairs of the data set `name`. identities: the person that each photograph shows, by its key.

    Raises DataError for a pair of a photograph with itself, for an answer that contradicts the identities or another
    pair, and if the pairs outside a fold cannot give a threshold for it.
    """
    where = f"datasets.{name}.source: the pair"
    answers: dict[frozenset[str], bool] = {}
    folds: dict[int, Counter[bool]] = defaultdict(Counter)
    for pair in pairs:
        a, b = identities.get(pair.a), identities.get(pair.b)
        if pair.a == pair.b:
            raise DataError(f"{where} of {pair.a} with itself proves nothing")
        if a and b and (a == b) != pair.same:
            raise DataError(f"{where} {pair.a}, {pair.b} is of {'one person' if pair.same else 'two people'}: {a}, {b}")
        both = frozenset((pair.a, pair.b))
        if both in answers:
            if answers[both] != pair.same:
                raise DataError(f"{where} {pair.a}, {pair.b} is listed twice, with two answers")
            yield Problem(manifest.PAIRS, f"{pair.a}, {pair.b}", "this pair is listed more than once")
        answers[both] = pair.same
        folds[pair.fold][pair.same] += 1
    total = sum(folds.values(), Counter[bool]())
    for fold, found in folds.items():
        if len(total - found) < 2:  # a difference of Counters keeps only counts above 0
            raise DataError(
                f"datasets.{name}.source: {total[True]} pairs of one person and {total[False]} of two in {len(folds)} "
                f"folds: without fold {fold + 1} one kind is missing, and its threshold is chosen on the others"
            )
        if len(found) < 2 and found.total() > 1:
            kind = "one person" if found[True] else "two people"
            yield Problem(manifest.PAIRS, f"fold {fold + 1}", f"a fold with only pairs of {kind}")


def check_left_out(file: Path, left_out: Counter[str], table: pa.Table, name: str) -> Iterator[Problem]:
    """A note for each name on a list of people to leave out that nobody in the data set `name` has.

    file: the list.
    left_out: how many photographs each name removed.
    table: the manifest of the people who stay.

    Raises DataError if the list removes nobody or everybody, or if someone who stays has nearly the same name.
    """
    people = sorted({identity for identity in manifest.values(table["identity"]) if identity})
    if not len(table):
        if left_out.total():
            raise DataError(f"{file}: leaves out every photograph, {left_out.total()} of them")
        return
    if not people and not left_out.total():
        raise DataError(f"{file}: the identities of this set are unknown; set datasets.{name}.leave_out to null")
    nearly = defaultdict(list)
    for identity in people:
        nearly[_loose(identity)].append(identity)
    absent = [listed for listed, count in left_out.items() if not count]
    for listed in absent:
        if Path(listed).suffix.lower() in SUFFIXES:
            continue  # a photograph, not a person
        if found := [i for part in re.split(r"[/\\\t,;]", listed) for i in nearly.get(_loose(part), ())]:
            raise DataError(
                f"{file}: nobody in this set is called {listed!r}, but {', '.join(map(repr, found[:3]))} is nearly the "
                "same; write the name as the set has it, or remove it from the list"
            )
    if not left_out.total():
        raise DataError(
            f"{file}: nobody on it is in this set, whose people have names such as {people[0]!r}, and not such as "
            f"{absent[0]!r}; correct the list, or set datasets.{name}.leave_out to null"
        )
    for listed in absent:
        yield Problem(str(file), listed, "not in this set")


def _one_sided(table: pa.Table, split: SplitParams) -> Iterator[Problem]:
    """A note for each identity that cannot be on both sides, and one for all that split.fewest keeps for training."""
    sides = defaultdict[str | None, Counter[str]](Counter)
    for identity, side in zip(manifest.values(table["identity"]), manifest.values(table["split"]), strict=True):
        sides[identity][side] += 1
    kept = "one photograph only: kept for training" if split.by == "image" else "one group only: kept for training"
    few = 0
    for identity, found in sides.items():
        if not identity or len(found) > 1:
            continue
        if 1 < found.total() < split.fewest:
            few += 1
            continue
        reason = kept if found["train"] else "all photographs are in groups of the test side: no label"
        yield Problem(manifest.FILE, identity, reason)
    if few:
        yield Problem(
            manifest.FILE, f"{few} people", f"fewer than split.fewest, {split.fewest} photographs: kept for training"
        )


def _people_of_groups(table: pa.Table) -> dict[str, int]:
    """The number of people that each group shows."""
    people = defaultdict(set)
    for group, identity in zip(manifest.values(table["group"]), manifest.values(table["identity"]), strict=True):
        if group:
            people[group].add(identity)
    return {group: len(found) for group, found in people.items()}


def _loose(name: str) -> str:
    """A name in lower case, without accents, leading zeros, and anything that is no letter or digit."""
    plain = "".join(c for c in normalize("NFKD", name_value(name) or name).casefold() if c.isalnum())
    return plain.lstrip("0") or plain or name
