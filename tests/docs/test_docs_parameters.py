"""docs/parameters.md has every parameter, with the values that the code allows and the defaults of params.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic.fields import FieldInfo

from facedistill.data.dataset import DatasetParams, SplitParams
from facedistill.data.detector import DetectorParams
from facedistill.data.face_crop import CropParams
from facedistill.data.people import PairsParams, PeopleParams
from facedistill.data.sources import SourceParams
from facedistill.grid import layout as grid
from facedistill.learning.augment import AugmentationParams, ScatterParams, TransformParams
from facedistill.learning.parameters import (
    ArchitectureParams,
    EquationParams,
    LoaderParams,
    OptimisationParams,
    ProcessParams,
    SnapshotParams,
    TaskParams,
    TeacherParams,
    TrainingParams,
)
from facedistill.outside import OrOutside
from facedistill.params import read
from facedistill.recipe import Margin, Recipe
from facedistill.results.chosen import ExportParams
from facedistill.results.provenance import Heading
from facedistill.teacher.parameters import ModelTeacherParams, OnnxTeacherParams

ROOT = Path(__file__).parents[2]
SOURCES = get_args(get_args(SourceParams)[0])
NAMES = tuple[str, ...]


class Row(NamedTuple):
    """A parameter: its key, what it may be, and its default or, where it must be there, `required`."""

    key: str
    values: str
    default: str


SECTIONS: dict[str, Any] = {
    "report": Heading,
    "datasets.*": DatasetParams,
    **{f"datasets.*.source, {' or '.join(get_args(get_type_hints(s)['kind']))}": s for s in SOURCES},
    "datasets.*.people": PeopleParams,
    "datasets.*.pairs": PairsParams,
    "datasets.*.split": SplitParams,
    "datasets.*.detector": DetectorParams,
    "datasets.*.crop": CropParams,
    "tasks.*": TaskParams,
    "tasks.*.scatter": ScatterParams,
    "equation": EquationParams,
    "evaluation": grid.EvaluationParams,
    "training": TrainingParams,
    "training.augmentation": AugmentationParams,
    "training.augmentation.photometric[]": TransformParams,
    "loader": LoaderParams,
    "processes": ProcessParams,
    "snapshots": SnapshotParams,
    "rates.*": OptimisationParams,
    "teacher": TeacherParams,
    "teacher.onnx": OnnxTeacherParams,
    "teacher.model": ModelTeacherParams,
    "teacher.network": ArchitectureParams,
    "students.*": ArchitectureParams,
    "recipes.*.*": Recipe,
    "targets.*": grid.Weights,
    "export": ExportParams,
}
"""Sections of params.yaml with a dataclass; `*` is a name of the user's own, `[]` an item of a list."""

TABLES: dict[str, dict[str, Any]] = {
    table: {"students": NAMES}
    | ({"task": Literal["classification", Margin], "groups": NAMES} if table == grid.CUSTOM else {})
    | ({"tasks": NAMES} if table in grid.TEACHERS else {})
    | ({"margins": tuple[Margin, ...]} if table == "proxyless" else {})
    for table in grid.TABLES
}
AT_THE_TOP = {"seed": int} | get_type_hints(grid.Weights, include_extras=True) | {"distilled": str}
PLAIN: dict[str, dict[str, Any]] = {"": AT_THE_TOP} | TABLES
"""Sections that are read key by key."""


def words(kind: Any) -> str:
    """A type as the page says it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        if is_dataclass(get_args(arguments[0])[:1] and get_args(arguments[0])[0]):
            return "mapping, by its `kind`"
        if isinstance(named := getattr(arguments[1], "func", None), OrOutside):
            return f"{words(Literal[named.built_in])} or `module:attribute`"
        return ", ".join([words(arguments[0]), *_bounds(arguments[1:])])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join("null" if member is type(None) else words(member) for member in arguments)
    if origin is tuple:
        return f"list of {words(arguments[0])}"
    plain = {bool: "`true`, `false`", int: "whole number", float: "number", str: "text", Path: "path"}
    return plain.get(kind, "mapping")


def _bounds(constraints: tuple[Any, ...]) -> Iterator[str]:
    signs = {"gt": "> ", "ge": "≥ ", "lt": "< ", "le": "≤ ", "min_length": "length ≥ ", "pattern": "matches "}
    for constraint in constraints:
        for limit in constraint.metadata if isinstance(constraint, FieldInfo) else [constraint]:
            for name, sign in signs.items():
                if (value := getattr(limit, name, None)) is not None:
                    yield f"{sign}`{value}`" if name == "pattern" else f"{sign}{round(value, 3)}"


def shown(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
    return f"`{text}`" if len(text) <= 60 else "see the file"


def expected() -> dict[str, list[Row]]:
    """The rows of every section, from the code and params.yaml."""
    values = read(ROOT / "params.yaml")

    def given(section: str, key: str) -> str | None:
        node: Any = values
        for name in [*filter(None, section.split(".")), key]:
            if not isinstance(node, dict) or name not in node:
                return None
            node = node[name]
        return None if isinstance(node, dict) else shown(node)

    found = {}
    for section, kind in SECTIONS.items():
        hints = get_type_hints(kind, include_extras=True)
        rows = []
        for field in fields(kind):
            # What holds in the file, or where a section may be there many times, what holds if the key is left out.
            default = "required" if field.default is MISSING else shown(field.default)
            if isinstance(field.default, FieldInfo) or "*" not in section:
                default = given(section, field.name) or default
            rows.append(Row(field.name, words(hints[field.name]), default))
        found[section] = rows
    found["students.*"].append(Row("seed", "whole number", "that of all"))
    found["recipes.*.*"][0] = found["recipes.*.*"][0]._replace(default="that of the task")
    for section, keys in PLAIN.items():
        found[section] = [Row(key, words(kind), given(section, key) or "required") for key, kind in keys.items()]
    return found


def page() -> dict[str, list[tuple[Row, str]]]:
    """The rows of every section as the page has them, each with what it says of the parameter."""
    found: dict[str, list[tuple[Row, str]]] = {}
    section = ""
    for line in (ROOT / "docs/parameters.md").read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"##+ (.+)", line):
            code = re.match(r"`([^`]+)`(, .+)?$", heading[1])
            section = code[1] + (code[2] or "") if code else ""
        elif row := re.match(r"\| `(\w+)` \| (.+?) \| (.+?) \| (.*) \|$", line):
            found.setdefault(section, []).append((Row(row[1], row[2], row[3]), row[4]))
    return found


def test_the_page_has_the_parameters_of_the_code_and_no_others() -> None:
    found, wanted = page(), expected()
    assert found.keys() == wanted.keys()
    for section, rows in wanted.items():
        assert [row for row, _ in found[section]] == rows, section
        assert all(len(meaning.split()) >= 2 for _, meaning in found[section]), section


def test_every_section_of_a_parameter_file_is_on_the_page(parameter_file: Path) -> None:
    roots = {section.split(".")[0] for section in page()} | {row.key for row, _ in page()[""]} | {"labels"}
    assert read(parameter_file).keys() <= roots - {""}
