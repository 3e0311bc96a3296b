"""Parameter files drawn from the schema, and the toy pipeline that runs by each that is not refused.

A drawn file is a toy's with up to `MOST` of its values drawn anew: mostly what the type allows, now and then anything.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from unittest.mock import patch

import yaml
from hypothesis import strategies as st
from pydantic.fields import FieldInfo
from toy_repository import ROOT, toy

from facedistill.grid import layout as grid
from facedistill.params import PARAMS_FILE, ParamsError, read
from facedistill.schema import Parameters, check_file

MOST = 12
Place = tuple[str | int, ...]

RANGES: dict[str, tuple[float, float]] = {
    "batch": (4, 12),
    "cache_mb": (0, 1),
    "degrees": (0, 90),
    "devices": (1, 3),
    "divisor": (16, 64),
    "embedding": (0, 16),
    "epochs": (1, 2),
    "folds": (2, 4),
    "input": (16, 28),
    "learning_rate": (0.001, 0.05),
    "log_every": (1, 9),
    "minutes": (0.1, 9),
    "nodes": (1, 2),
    "pairs_per_fold": (0, 4),
    "people": (3, 8),
    "per_identity": (0, 6),
    "per_fold": (1, 4),
    "photographs": (3, 6),
    "pixels": (20, 48),
    "shift": (0, 0.3),
    "shrink_to": (0, 48),
    "side": (16, 48),
    "warmup_steps": (0, 9),
    "threads": (0, 2),
}
"""By name, values at which a toy takes seconds. A rate above these diverges, and a worker takes seconds to start."""

STRUCTURE = {
    "phi",
    "dataset",
    "pairs",
    "tasks",
    "models",
    "students",
    "margins",
    "method",
    "source",
    "targets",
    "architecture",
}
"""Parts of a place at which a value has to agree with others."""

ANYTHING: tuple[Any, ...]
ANYTHING = (None, True, -1, 0, 1, 2, 0.5, 1e6, "", "x", "soft", "null", [], ["x"], {}, {"size": 1}, float("nan"))


def base() -> dict[str, Any]:
    """The toy that others are drawn from: four people, and table 2 of one student."""
    params = toy()
    params["students"] = {"small": {"architecture": "resnet50", "divisor": 64}}
    params["teacher"]["network"]["divisor"] = 32
    for table in grid.TABLES:
        params[table]["students"] = ["small"] if table == "table2" else []
    params["verification"]["tasks"], params["proxyless"]["margins"] = [], []
    for task in params["tasks"].values():
        task |= {"input": 20, "batch": 8}
    for dataset in params["datasets"].values():
        dataset["source"] |= {"people": 4, "photographs": 4}
    params["datasets"]["lfw"]["source"] |= {"people": 6, "photographs": 4, "folds": 2, "pairs_per_fold": 4}
    params["evaluation"]["far"] = 0.2
    params["export"]["models"] = ["small/table2/wang"]
    return params


@st.composite
def parameter_files(draw: st.DrawFn) -> dict[str, Any]:
    """The values of a parameter file."""
    values = base()
    if draw(st.booleans()):
        values["students"]["other"] = draw(st.sampled_from([{"architecture": "shufflenet"}, {"architecture": "conv5"}]))
        values["architectures"]["students"] = ["other"]
    for table in ("table1", "losses", "alignment", "custom"):
        values[table]["students"] = draw(st.sampled_from([[], [], ["small"]]))
    if draw(st.integers(0, 3)) == 0:
        values["verification"] = {"tasks": ["triplet", "triplet_softmax"], "students": ["small"]}
    if draw(st.integers(0, 3)) == 0:
        values["proxyless"] = {"margins": ["arcface"], "students": ["small"]}
    for _ in range(draw(st.integers(0, MOST))):
        leaves = sorted(_leaves(Parameters, values), key=str)
        # Names and kinds contradict others more often than not: most draws leave them.
        plain = [leaf for leaf in leaves if not STRUCTURE & set(map(str, leaf[0]))]
        place, kind = draw(st.sampled_from(plain if draw(st.integers(0, 3)) else leaves))
        anything = draw(st.integers(0, 19)) == 0
        _put(values, place, draw(st.sampled_from(ANYTHING) if anything else _values(kind, place, values)))
    return values


def _leaves(kind: Any, value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every place of a file that can have a value, those that are left out too, with its type."""
    kind = _plain(kind)
    if get_origin(kind) is dict and isinstance(value, Mapping):
        for name, part in value.items():
            yield from _leaves(get_args(kind)[1], part, (*place, name))
    elif get_origin(kind) in (Union, UnionType) and isinstance(value, Mapping):
        yield place, kind
        members = [_plain(member) for member in get_args(kind)]
        ours = [m for m in members if is_dataclass(m) and value.keys() <= {field.name for field in fields(m)}]
        yield from _leaves(ours[0], value, place) if ours else ()
    elif is_dataclass(kind) and isinstance(value, Mapping):
        hints = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            if field.name != "kind":
                yield from _leaves(hints[field.name], value.get(field.name), (*place, field.name))
    else:
        yield place, kind


def _plain(kind: Any) -> Any:
    """A type without what checks it: `Annotated` of a union or a class is that."""
    if get_origin(kind) is Annotated and not any(isinstance(part, FieldInfo) for part in get_args(kind)[1:]):
        return get_args(kind)[0]
    if get_origin(kind) is Annotated and get_origin(get_args(kind)[0]) in (Union, UnionType):
        return get_args(kind)[0]
    return kind


def _put(values: Any, place: Place, value: Any) -> None:
    for part in place[:-1]:
        values = values[part]
    values[place[-1]] = value


def _values(kind: Any, place: Place, values: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What the type allows; where a name is meant, one that the file has."""
    students, name = list(values["students"]), str(place[-1])
    named = {
        "students": st.lists(st.sampled_from(students), max_size=2) if students else st.just([]),
        "dataset": st.sampled_from(sorted(values["datasets"])) if values["datasets"] else st.just("x"),
        "start": st.sampled_from(
            [None, "init/softmax", *(name for group in values["recipes"].values() for name in group)]
        ),
        "tasks": st.sampled_from([[], ["alignment"], ["triplet", "triplet_softmax"]]),
        "models": st.lists(
            st.sampled_from(["teacher/classification", "small/table2/soft", "small/arcface/l2kd"]), max_size=2
        ),
        "photometric": st.just([]) | st.just([{"name": "Blur", "p": 0.5, "settings": {}}]),
        "detector": st.none(),
        "endpoint": st.none(),
        "leave_out": st.sampled_from([None, "data/leave_out/casia_lfw.txt", "list.txt"]),
        "deterministic": st.just(False),
    }
    if place == ("evaluation", "pairs"):
        return st.lists(st.sampled_from(sorted(values["datasets"]) or ["x"]), max_size=2)
    return named[name] if name in named and len(place) > 1 else _of(kind, name)


def _of(kind: Any, name: str = "") -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        limits = {key: value for part in arguments[1:] for key, value in _limits(part)}
        return _number(arguments[0], name, limits) if arguments[0] in (int, float) else _of(arguments[0], name)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, UnionType):
        return st.one_of(*(_of(member, name) for member in arguments))
    if origin is tuple:
        return st.lists(_of(arguments[0], name), max_size=2)
    if origin is dict:
        return st.dictionaries(st.sampled_from(["a", "small", "lfw"]), _of(arguments[1], name), max_size=2)
    if is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        needed = {f.name: _of(hints[f.name], f.name) for f in fields(kind) if f.default is MISSING}
        other = {f.name: _of(hints[f.name], f.name) for f in fields(kind) if f.default is not MISSING}
        return st.fixed_dictionaries(needed, optional=other)
    simple = {bool: st.booleans(), NoneType: st.none(), str: st.sampled_from(["a", "lfw"]), Path: st.just("data/raw/x")}
    return simple[kind] if kind in simple else _number(kind, name, {})


def _limits(part: Any) -> Iterator[tuple[str, Any]]:
    for limit in part.metadata if isinstance(part, FieldInfo) else []:
        for key in ("ge", "gt", "le", "lt"):
            if (value := getattr(limit, key, None)) is not None:
                yield key, value


def _number(kind: Any, name: str, limits: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    low, high = RANGES.get(name, (0, 5))
    low, high = max(low, limits.get("ge", low)), min(high, limits.get("le", high))
    if kind is int:
        return st.integers(int(low), int(high))
    low += 0.001 * ("gt" in limits and limits["gt"] >= low)
    high = min(high, limits["lt"] - 0.001) if "lt" in limits else high
    return st.floats(low, high).map(lambda value: round(value, 4))


def outcome(values: dict[str, Any]) -> str:
    """What comes of a parameter file in an empty working folder: `finished`, or the message that refuses it.

    Every stage runs in this process, in the order of dvc.yaml. Whatever else a stage raises is let through.
    """
    PARAMS_FILE.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    try:
        check_file()
    except ParamsError as error:
        return str(error)
    # A stage of several processes starts a Python of its own for each; what they compute is one process's.
    values["processes"] |= {"devices": 1, "nodes": 1, "endpoint": None}
    PARAMS_FILE.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    for stage, words in commands(values):
        module = importlib.import_module(stage)
        main = module.render if stage == "stages.report" else module.main
        with patch.object(sys, "argv", [f"{stage.rpartition('.')[2]}.py", *words]):
            try:
                main()
            except SystemExit as end:
                if end.code:
                    return str(end.code)
            except ValueError as error:
                if not type(error).__module__.startswith("facedistill"):
                    raise
                return str(error)
    return "finished"


def commands(values: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """The module and the arguments of every stage that dvc.yaml has by these parameters, as DVC resolves them."""
    from dvc.parsing import DataResolver
    from dvc.repo import Repo

    repo = Repo(".") if Path(".dvc").is_dir() else Repo.init(".", no_scm=True)
    with repo:
        stages = DataResolver(repo, str(Path.cwd()), read(ROOT / "dvc.yaml")).resolve()["stages"]
    for stage in stages.values():
        for command in [stage["cmd"]] if isinstance(stage["cmd"], str) else stage["cmd"]:
            _, _, module, *words = command.split()
            yield module, words
