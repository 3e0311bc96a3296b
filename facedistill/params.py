"""The parameters of the stages. A section of params.yaml becomes a frozen dataclass, and other keys are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as _dataclass
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

T = TypeVar("T")

PARAMS_FILE = Path("params.yaml")


JSON = (str, int, float, Mapping, list, type(None))
"""The types that JSON has. YAML also has dates."""


class ParamsError(ValueError):
    """A parameter is unknown, missing or out of its range."""


@dataclass_transform(frozen_default=True)
def params(cls: type[T]) -> type[T]:
    """Class decorator that makes a frozen dataclass, which refuses unknown keys and values of a wrong type or range."""
    return _dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))(cls)  # type: ignore[return-value]


def read(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """The whole parameter file as plain dictionaries and lists.

    Raises ParamsError if the file is missing or is not a YAML mapping.
    """
    try:
        values = _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the top of the repository") from None
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path}: not UTF-8 text: {error}") from None
    except YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise ParamsError(f"{path}: expected a mapping of sections, found {type(values).__name__}")
    return deepcopy(values)


@lru_cache(2)
def _parse(text: str) -> Any:
    """Parse YAML with DVC's own parser. Another one would read `no`, `1e-4` and `0o10` as other values than DVC."""
    return YAML(typ="safe").load(text)


def load(kind: type[T], section: str, path: Path = PARAMS_FILE) -> T:
    """The section of the parameter file with this dotted name, such as `datasets.lfw`, checked and as a `kind`.

    Raises ParamsError, which names the file, the key and what is allowed.
    """
    value: Any = read(path)
    names = section.split(".")
    for i, key in enumerate(names):
        if not isinstance(value, Mapping) or key not in value:
            found = ", ".join(map(str, value)) if isinstance(value, Mapping) else repr(value)
            raise ParamsError(
                f"{path}: no key {'.'.join(names[: i + 1])!r}; {'.'.join(names[:i]) or 'the file'} has: {found}"
            )
        value = value[key]
    return check(kind, value, f"{path}: {section}")  # type: ignore[no-any-return]


def check(kind: Any, value: Any, where: str) -> Any:
    """`value`, which is plain YAML data, as a `kind`. Raises ParamsError, each line of which begins with `where`."""
    try:
        # Strict JSON mode fits YAML data: objects become dataclasses, arrays tuples, and nothing else is converted.
        data = json.dumps(value)
    except TypeError:
        place = next(key for key, part in items(value) if not isinstance(part, JSON))
        message = f"{where}.{place}: a date, or another value that JSON does not have; put it in quotes"
        raise ParamsError(message.replace(": .", ": ", 1)) from None
    try:
        return TypeAdapter(kind).validate_json(data, strict=True)
    except ValidationError as error:
        # If `where` is only the file, there must be no dot before the first key.
        lines = [
            f"{where}{_dotted(e['loc'], value)}: {_explain(kind, e)}".replace(": .", ": ", 1)
            for e in error.errors(include_url=False)
        ]
        raise ParamsError("\n".join(lines)) from None


def items(values: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of nested mappings and lists as a dotted name, with its value."""
    parts = values.items() if isinstance(values, Mapping) else enumerate(values) if isinstance(values, list) else ()
    for key, value in parts:
        place = f"{where}.{key}".removeprefix(".")
        yield place, value
        yield from items(value, place)


def _dotted(loc: tuple[Any, ...], value: Any) -> str:
    """The place of an error in `value`, without what Pydantic adds to it: `[key]`, and the kind of a union."""
    text = ""
    for part in loc:
        if part == "[key]" or (isinstance(value, Mapping) and part not in value and part == value.get("kind")):
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
        value = value.get(part) if isinstance(value, Mapping) else None
    return text


def _explain(kind: Any, error: Any) -> str:
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"unknown key; allowed: {', '.join(_keys(kind, error['loc'][:-1]))}"
    if error["type"] in ("missing", "missing_argument"):
        return "missing"
    if error["type"] == "value_error":
        found = f", found {error['input']!r}" if isinstance(error["input"], str | int | float) else ""
        return f"{error['ctx']['error']}{found}"
    return f"{error['msg'][0].lower()}{error['msg'][1:]}, found {error['input']!r}"


def _keys(kind: Any, path: tuple[Any, ...]) -> list[str]:
    """The keys of the dataclass at `path` in `kind`. In a union, they are those of the member that the path names."""
    if get_origin(kind) is Annotated:
        return _keys(get_args(kind)[0], path)
    if is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        if not path:
            return list(hints)
        return _keys(hints[path[0]], path[1:]) if path[0] in hints else _keys(kind, path[1:])
    members = [member for member in get_args(kind) if member is not type(None)]
    if get_origin(kind) in (tuple, dict):
        return _keys(members[-1] if members[-1] is not ... else members[0], path[1:])
    if path and isinstance(path[0], str):
        members = [m for m in members if path[0] in get_args(get_type_hints(m).get("kind"))] or members
    return _keys(members[0], path)
