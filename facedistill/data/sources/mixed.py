"""Several sources as one set. Photographs with and without names can be mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from facedistill.data.photograph import Pair, Photograph, Problem, Source
from facedistill.data.sources.casia import CasiaParams
from facedistill.data.sources.celeba import CelebAParams
from facedistill.data.sources.msceleb import MsCelebParams
from facedistill.data.sources.photographs import PhotographsParams
from facedistill.data.sources.recordio import RecordIOParams
from facedistill.data.sources.table import TableParams
from facedistill.data.synthetic.source import SyntheticParams
from facedistill.params import params

Part = Annotated[
    SyntheticParams | CasiaParams | CelebAParams | TableParams | MsCelebParams | RecordIOParams | PhotographsParams,
    Field(discriminator="kind"),
]
"""A source that can be a part of a mixed one. Sets of pairs cannot."""


@params
class MixedParams:
    """The sources.

    parts: each source, under a name that begins the keys and identities of its photographs. So the same name in two
        parts is two people.
    """

    kind: Literal["mixed"]
    parts: Annotated[dict[Annotated[str, Field(pattern="^[a-z0-9_-]+$")], Part], Field(min_length=1)]

    def __hash__(self) -> int:
        return hash(tuple(self.parts.items()))


class MixedSource:
    """The photographs of all parts, one part after the other.

    opened: opens a part.
    """

    def __init__(self, params: MixedParams, opened: Callable[[Any], Source]) -> None:
        self._params, self._opened = params, opened

    @cached_property
    def _parts(self) -> Mapping[str, Source]:
        return {name: self._opened(part) for name, part in self._params.parts.items()}

    def scan(self) -> Iterator[Photograph | Problem]:
        for name, part in self._parts.items():
            for record in part.scan():
                if isinstance(record, Photograph):
                    identity, group = (value and f"{name}/{value}" for value in (record.identity, record.group))
                    yield replace(record, key=f"{name}/{record.key}", identity=identity, group=group)
                else:
                    yield replace(record, record=f"{name}/{record.record}")

    def read(self, key: str) -> bytes:
        name, _, own = key.partition("/")
        if name not in self._parts:
            raise FileNotFoundError(f"no part {name!r} in this set")
        return self._parts[name].read(own)

    def pairs(self) -> list[Pair]:
        return []
