"""What the papers claim, from claims.yaml: which two cells each claim compares, and by which metric."""

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
    """A metric that claims compare.

    place: where Results has the number, below the address of a cell.
    title: what tables call it.
    sign: −1 if lower is better, else 1.
    """

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


def kind(metric: str) -> str:
    """Metrics of one kind may be averaged. All TPRs are of one kind; any other metric, a key of METRICS, is its own."""
    return "tpr" if METRICS[metric].place[0] == "tpr" else metric


NOBODY = ""
"""A name that no student has, so Results has no cell of it."""


@params
class Claim:
    """An entry of claims.yaml. The comment at the top of that file explains the fields."""

    name: Annotated[str, Field(pattern=r"^\w+$")]
    table: str
    says: str
    metric: str
    better: Address
    worse: Address
    tie: bool = False
    every: bool = False
    printed: tuple[Address, Address] | None = None
    corpus: str | None = None
    over: Mapping[str, str | tuple[str | tuple[str, ...], ...]] = Field(default_factory=dict)
    each: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two cells that a claim compares.

    name: the claim's name, then what tells this comparison from the claim's others, joined by /.
    claim: the claim.
    part: the name of the part of the claim that it belongs to.
    metric: a key of METRICS.
    better, worse: the cells' addresses in Results, without the metric. If the parameters do not have the network, the
        student is NOBODY.
    printed: the places of the paper's two numbers in paper.json; None if it has none.
    corpus: the kind of classification set that the claim is about; None for any.
    """

    name: str
    claim: Claim
    part: str
    metric: str
    better: Address
    worse: Address
    printed: tuple[Address, Address] | None
    corpus: str | None


@cache
def claims() -> tuple[Claim, ...]:
    """All claims of claims.yaml, in its order. Raises ParamsError."""
    with as_file(files(__package__).joinpath("claims.yaml")) as file:
        found = load(tuple[Claim, ...], "claims", file)
    if len({claim.name for claim in found}) < len(found):
        raise ParamsError(f"{file}: two claims have the same name")
    for claim in found:
        if unknown := [axis for axis in claim.each if axis not in claim.over]:
            raise ParamsError(f"{file}: {claim.name}: each: {unknown[0]!r} is not a key of its `over`")
    return found


def comparisons(layout: Layout) -> Iterator[Comparison]:
    """The comparisons of every claim, in the order of claims.yaml, whether or not the grid has their cells."""
    names = {_network(student): student.name for student in layout.first.values()}
    networks = {name: network for network, name in names.items()}
    for claim in claims():
        # The name of a table means each of its students. A table without students gives one comparison, of NOBODY.
        axes = [
            tuple(s.name for s in layout.tables[values]) or (values,) if isinstance(values, str) else values
            for values in claim.over.values()
        ]
        for chosen in product(*axes):
            words = dict(zip(claim.over, chosen, strict=True))
            metric = claim.metric.format(**words)
            part = [_short(words[axis]) for axis in claim.over if axis in claim.each]
            part += [kind(metric)] if metric != claim.metric else []
            # A user may give a student the name of a network or a table, so a cell is looked up by its network only.
            for axis, values in claim.over.items():
                if isinstance(values, str):
                    words[axis] = networks[str(words[axis])] if layout.tables[values] else NOBODY

            better, worse = (_named(_filled(cell, words), names) for cell in (claim.better, claim.worse))
            yield Comparison(
                name="/".join([claim.name, *(_short(v) for v in chosen)]),
                claim=claim,
                part="/".join([claim.name, *part]),
                metric=metric,
                better=better,
                worse=worse,
                printed=claim.printed and (_printed(claim.printed[0], words), _printed(claim.printed[1], words)),
                corpus=claim.corpus and claim.corpus.format(**words),
            )


Words = Mapping[str, str | tuple[str, ...]]


def _filled(cell: Address, words: Words) -> Address:
    """An address with its braces filled in. A value GROUP/RECIPE becomes two parts of the address."""
    network, *rest = (word.format(**words) for word in cell)
    return (network, *(part for word in rest for part in word.split("/")))


def _printed(place: Address, words: Words) -> Address:
    """A place in paper.json with its braces filled in. Recipes have no group there."""
    return tuple(word.format(**words).rpartition("/")[2] for word in place)


def _short(value: str | tuple[str, ...]) -> str:
    """The part of a comparison's name that tells it from the claim's others."""
    values = [value] if isinstance(value, str) else value[:2]
    return "_".join(word.rpartition("/")[2] for word in values)


def _network(student: Student) -> str:
    """What claims call a student's network, for example resnet50/8."""
    return f"resnet50/{student.divisor}" if student.architecture == "resnet50" else student.architecture


def _named(cell: Address, names: Mapping[str, str]) -> Address:
    """The address with the student's name in place of its network.

    names: the name of each student, by its network.
    """
    network, *rest = cell
    return cell if network == TEACHER else (names.get(network, NOBODY), *rest)
