"""What the papers claim, read from claims.yaml: which two cells each claim compares, and by what number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from itertools import product
from typing import Annotated, NamedTuple

from pydantic import Field

from facedistill.grid.layout import TEACHER, Layout, Student
from facedistill.params import ParamsError, load, params


class Metric(NamedTuple):
    """place: of the number below a cell's address in Results. title: in tables. sign: −1 where the lower is better."""

    place: tuple[str, ...]
    title: str
    sign: int = 1


METRICS = {
    "top1": Metric(("top1",), "top-1"),
    "lfw": Metric(("pairs", "lfw", "accuracy"), "accuracy on pairs"),
    "nrmse": Metric(("nrmse",), "NRMSE", -1),
    "nn_top1": Metric(("nn_top1",), "nearest-neighbour top-1"),
    "frontal": Metric(("tpr", "frontal"), "TPR, frontal"),
    "pose": Metric(("tpr", "pose"), "TPR, pose"),
    "lighting": Metric(("tpr", "lighting"), "TPR, lighting"),
    "cross": Metric(("cross", "rank1"), "rank-1 in the teacher's gallery"),
    "own": Metric(("centres", "own"), "100 · (1 − cos) to the teacher's centre of the own class", -1),
    "other": Metric(("centres", "other"), "100 · (1 − cos) to the teacher's nearest other centre"),
}

Address = tuple[str, ...]

NOBODY = ""
"""A name that no student has, so that its cells are found nowhere."""


@params
class Claim:
    """An entry of claims.yaml, which explains its fields."""

    name: Annotated[str, Field(pattern=r"^\w+$")]
    table: str
    says: str
    metric: str
    better: Address
    worse: Address
    tie: bool = False
    printed: tuple[Address, Address] | None = None
    corpus: str | None = None
    over: Mapping[str, str | tuple[str | tuple[str, ...], ...]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Two cells that a claim is about. better, worse: addresses without the metric, students by their names in Results.

    name: of the claim, and what tells this comparison from its others. The student of a network that the parameters do
    not have is NOBODY.
    """

    name: str
    claim: Claim
    metric: str
    better: Address
    worse: Address
    printed: tuple[Address, Address] | None
    corpus: str | None


@cache
def claims() -> tuple[Claim, ...]:
    """All of claims.yaml, in its order. Raises ParamsError."""
    with as_file(files(__package__).joinpath("claims.yaml")) as file:
        found = load(tuple[Claim, ...], "claims", file)
    if len({claim.name for claim in found}) < len(found):
        raise ParamsError(f"{file}: two claims of one name")
    return found


def comparisons(layout: Layout) -> Iterator[Comparison]:
    """Those of every claim, in the order of claims.yaml, whether or not the grid has their cells."""
    names = {_network(student): student.name for student in layout.first.values()}
    networks = {name: network for network, name in names.items()}
    for claim in claims():
        # A table stands for its students; one that is left out, for a single one that is not there.
        axes = [
            tuple(s.name for s in layout.tables[values]) or (values,) if isinstance(values, str) else values
            for values in claim.over.values()
        ]
        for chosen in product(*axes):
            words = dict(zip(claim.over, chosen, strict=True))
            # A user may call a student as a network or a table is called: a cell is looked up by the network alone.
            for axis, values in claim.over.items():
                if isinstance(values, str):
                    words[axis] = networks[str(words[axis])] if layout.tables[values] else NOBODY

            better, worse = (_named(_filled(cell, words), names) for cell in (claim.better, claim.worse))
            yield Comparison(
                name="/".join([claim.name, *(_short(v) for v in chosen)]),
                claim=claim,
                metric=claim.metric.format(**words),
                better=better,
                worse=worse,
                printed=claim.printed and (_printed(claim.printed[0], words), _printed(claim.printed[1], words)),
                corpus=claim.corpus and claim.corpus.format(**words),
            )


Words = Mapping[str, str | tuple[str, ...]]


def _filled(cell: Address, words: Words) -> Address:
    """An address with values in place of its braces; a value GROUP/RECIPE is two parts of it."""
    network, *rest = (word.format(**words) for word in cell)
    return (network, *(part for word in rest for part in word.split("/")))


def _printed(place: Address, words: Words) -> Address:
    """A place of paper.json, whose tables know recipes without their group."""
    return tuple(word.format(**words).rpartition("/")[2] for word in place)


def _short(value: str | tuple[str, ...]) -> str:
    """What tells a comparison from the others of its claim."""
    values = [value] if isinstance(value, str) else value[:2]
    return "_".join(word.rpartition("/")[2] for word in values)


def _network(student: Student) -> str:
    """How claims call the network of a student."""
    return f"resnet50/{student.divisor}" if student.architecture == "resnet50" else student.architecture


def _named(cell: Address, names: Mapping[str, str]) -> Address:
    """The address with the student's name in place of the network. names: of students, by network."""
    network, *rest = cell
    return cell if network == TEACHER else (names.get(network, NOBODY), *rest)
