"""The user's own Ψ, Φ and architectures. params.yaml names each as `module:attribute`, and it is imported.

Only params.yaml chooses what is imported. The record of a model may not: see `model_files.load`.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Any

from facedistill.params import ParamsError, items, read

PACKAGE = Path(__file__).parent

FORM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
ARCHITECTURE = re.compile(r"(students\.[^.]+|teacher\.network)\.architecture")
"""The keys of params.yaml that name an architecture."""


@dataclass(frozen=True)
class OrOutside:
    """A check: accept a built-in name or the form `module:attribute`, and raise ValueError for anything else."""

    built_in: tuple[str, ...]

    def __call__(self, name: str) -> str:
        if name not in self.built_in and not FORM.fullmatch(name):
            names = ", ".join(map(repr, self.built_in))
            raise ValueError(f"input should be {names}, or module:attribute for your own code")
        return name


def is_outside(name: str) -> bool:
    """Whether the name is `module:attribute`, which is the user's own code, and not a built-in name."""
    return ":" in name


def attribute(name: str) -> str:
    """The name in curves and tables: `similarity` for custom.similarity:similarity; a built-in name stays as it is."""
    return name.rpartition(":")[2]


def find(name: str) -> Any:
    """Import what `module:attribute` names. Raises ParamsError if the import fails or the attribute is missing."""
    module, _, wanted = name.partition(":")
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise ParamsError(f"{module} cannot be imported: {told(error)}") from error
    if not hasattr(found, wanted):
        raise ParamsError(f"{module} has no {wanted!r}")
    return getattr(found, wanted)


def architectures() -> set[str]:
    """Every architecture that params.yaml names. The set is empty if there is no such file."""
    try:
        values = read()
    except ParamsError:
        return set()
    return {str(value) for key, value in items(values) if ARCHITECTURE.fullmatch(key)}


def told(error: Exception) -> str:
    """Describe an error of the user's own code in one line, with the place that raised it."""
    places = [(Path(frame.filename), frame.lineno) for frame in extract_tb(error.__traceback__)]
    here = [(file, line) for file, line in places if Path.cwd() in file.parents and "site-packages" not in file.parts]
    own = [f" ({file.relative_to(Path.cwd())}:{line})" for file, line in here if PACKAGE not in file.parents]
    return f"{type(error).__name__}: {error}{own[-1] if own else ''}"


def code(*names: str) -> list[str]:
    """Import these names, and return the sha256 of every file that they may run. A built-in name adds none.

    A module in a folder below the working directory adds all sources of that folder. Any other module adds its own
    file.
    """
    files = set[Path]()
    for name in filter(is_outside, names):
        find(name)
        file = Path(getattr(sys.modules[name.partition(":")[0]], "__file__", None) or __file__).resolve()
        own = Path.cwd() in file.parent.parents
        files |= set(file.parent.rglob("*.py")) if own else {file}
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)]
