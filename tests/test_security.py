"""Nothing that data can reach runs code: no pickle, eval or shell in the sources, and every dependency has a bound."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(file for top in ("facedistill", "stages", "benchmarks") for file in (ROOT / top).rglob("*.py"))

MODULES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "runpy", "shelve"}
"""They run what a file says, or are made to keep objects of any kind."""

CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "torch.hub.load"}
CALLS |= {"yaml.unsafe_load", "yaml.full_load", "pd.read_pickle", "pandas.read_pickle"}

ARGUMENTS = {("allow_pickle", True), ("shell", True), ("weights_only", False)}


def runs_code(source: str) -> Iterator[str]:
    """What in a module could run what a file holds, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (f"{node.lineno}: import {name}" for name in names if name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module.partition(".")[0] in MODULES or {f"{module}.{alias.name}" for alias in node.names} & CALLS:
                yield f"{node.lineno}: from {module} import"
        elif isinstance(node, ast.Call):
            if (name := ast.unparse(node.func)) in CALLS:
                yield f"{node.lineno}: {name}"
            if name == "yaml.load" and not any("Safe" in word or word == "_Loader" for word in _words(node)):
                yield f"{node.lineno}: yaml.load"
            for argument in node.keywords:
                if isinstance(argument.value, ast.Constant) and (argument.arg, argument.value.value) in ARGUMENTS:
                    yield f"{node.lineno}: {ast.unparse(argument)}"


def _words(call: ast.Call) -> list[str]:
    return [ast.unparse(argument.value) for argument in call.keywords] + [ast.unparse(value) for value in call.args]


def test_no_source_can_run_what_a_file_holds() -> None:
    found = {file.relative_to(ROOT).as_posix(): list(runs_code(file.read_text(encoding="utf-8"))) for file in SOURCES}
    assert len(found) > 100
    assert not {file: lines for file, lines in found.items() if lines}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import joblib.numpy_pickle",
        "from pickle import Unpickler",
        "from torch import load",
        "torch.load(file, weights_only=True)",
        "load(file, weights_only=False)",
        "np.load(file, allow_pickle=True)",
        "value = eval(text)",
        "subprocess.run(command, shell=True)",
        "os.system(command)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
    ],
)
def test_each_way_to_do_so_is_seen(source: str) -> None:
    assert list(runs_code(source))


def test_what_is_safe_is_let_through() -> None:
    safe = (
        "model.eval()\nre.compile(text)\nyaml.load(text, Loader=yaml.SafeLoader)\nsubprocess.run(words)\nnp.load(file)"
    )
    assert not list(runs_code(safe))


def test_every_dependency_has_an_upper_bound() -> None:
    lines = [line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    unbound = [line for line in lines if line and not line.startswith("types-") and not re.search(r"<[\d.]+$", line)]
    assert not unbound
