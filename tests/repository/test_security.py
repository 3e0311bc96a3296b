"""No data can run code: what docs/promises.md promises, tried with names and files that would run it.

The sources have no pickle, eval or shell, data never name a program, and every dependency has a bound.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import pickle
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from photographs import GOOD

from facedistill.data.align_crop import align_crop
from facedistill.data.dataset import DatasetParams
from facedistill.data.prepare import prepare
from facedistill.inference.model import FaceModel, ModelFileError
from facedistill.learning.model_files import KEYS, RECORD, WEIGHTS, load_state
from facedistill.params import ParamsError, check, read

ROOT = Path(__file__).parents[2]
SOURCES = sorted(file for top in ("facedistill", "stages", "benchmarks") for file in (ROOT / top).rglob("*.py"))

MODULES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "runpy", "shelve"}
"""They run what a file says, or are made to keep objects of any kind."""

CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "torch.hub.load"}
CALLS |= {"importlib.import_module", "subprocess.getoutput", "subprocess.getstatusoutput", "ctypes.CDLL", "pd.eval"}
CALLS |= {"os.posix_spawn", *(f"os.{name}" for name in vars(os) if name.startswith(("exec", "spawn")))}
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
    # What params.yaml names is imported there: the user's own plug-ins, which no record of a model may name.
    assert [line.partition(": ")[2] for line in found.pop("facedistill/outside.py")] == ["importlib.import_module"]
    # It runs the stages that it names, as `python -m` does.
    assert [line.partition(": ")[2] for line in found.pop("stages/warm.py")] == ["import runpy"]
    # It sends functions of this project to workers of Dask, which trust whoever reaches their scheduler.
    assert [line.partition(": ")[2] for line in found.pop("stages/lanes/__main__.py")] == ["import cloudpickle"]
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
        "os.execvp(command[0], command)",
        "from os import spawnv",
        "importlib.import_module(name)",
        "subprocess.getoutput(command)",
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


STARTING = {
    "facedistill/git.py",
    "facedistill/machine.py",
    "stages/check_metrics.py",
    "stages/lanes/guard.py",
    "stages/lanes/worker.py",
    "stages/warm.py",
}
"""What starts programs; a training stage of several processes starts itself, by PyTorch."""


def test_every_program_that_is_started_is_named_by_the_sources() -> None:
    found = set()
    for file in SOURCES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        calls = [node for node in calls if ast.unparse(node.func).startswith("subprocess.")]
        if "benchmarks" in file.parts or not calls:
            continue
        found.add(file.relative_to(ROOT).as_posix())
        assert {ast.unparse(node.args[0]) for node in calls} == {"command"}
        lists = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and "command" in map(ast.unparse, node.targets)
        ]
        assert lists
        for words in lists:
            assert isinstance(words, ast.List)
            assert ast.unparse(words.elts[0]) in ("'git'", "'nvidia-smi'", "sys.executable")
    assert found == STARTING


NETWORK = {"facedistill/inference/looking/server.py"} | {
    f"stages/lanes/{name}.py" for name in ("__main__", "clusters", "schedule", "worker")
}
"""What can be reached through a network: the page of `demo`, by this machine alone, and a cluster of Dask, by whoever
reaches its scheduler. On one machine `stages.lanes` has no port but that of a page that takes no orders."""

SOCKETS = (
    "http",
    "socketserver",
    "urllib",
    "ssl",
    "ftplib",
    "smtplib",
    "xmlrpc",
    "asyncio",
    "requests",
    "aiohttp",
    "distributed",
)


def test_every_source_that_listens_or_asks_is_named() -> None:
    """What an extra downloads with, and the local sockets of the worker and of PyTorch, go other ways."""
    found = set()
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] in SOCKETS for name in names):
                found.add(file.relative_to(ROOT).as_posix())
    assert found == NETWORK


EVIL = [
    "$(touch X)",
    "`touch X`",
    "; touch X #",
    "| touch X",
    "' && touch X && '",
    "__import__('os').system('touch X')",
    "!!python__object__apply:os.system ['touch X']",
    "${jndi:X} {0.__class__} %(X)s",
    "=cmd|' touch X'!A1",
    "--help",
]
"""Names that run something where a shell, eval, a loader of YAML or a format takes them."""


def people(root: Path) -> dict[str, Any]:
    """A folder of people with such names; its source."""
    for name in EVIL:
        (root / name).mkdir(parents=True)
        for i in range(2):
            (root / name / f"{name}{i}.jpg").write_bytes(GOOD["plain"])
    return {"kind": "folder", "root": str(root)}


def rows(root: Path) -> dict[str, Any]:
    """A table of such people, groups and paths; its source."""
    people(root)
    lines = [["path", "identity", "group"]]
    lines += [[f"{name}/{name}{i}.jpg", name, f"{name}{i}"] for name in EVIL for i in range(2)]
    table = root / "$(touch X).csv"
    table.write_text("".join(",".join(f'"{word}"' for word in line) + "\n" for line in lines), encoding="utf-8")
    return {"kind": "table", "file": str(table), "root": str(root)}


@pytest.mark.parametrize("make", [people, rows])
def test_names_of_people_groups_and_files_are_names_and_no_more(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    left_out = tmp_path / "left_out.txt"
    left_out.write_text(EVIL[0] + "\n", encoding="utf-8")
    values = {
        "source": make(tmp_path / "$(touch X)"),
        "split": {"by": "image", "test": 0.5},
        "leave_out": str(left_out),
        "detector": None,
        "bad_share": 0.0,
        "crop": {"method": "centre", "pixels": 16},
    }
    params = check(DatasetParams, values, "datasets.faces")
    prepare(params, 0, Path("manifest"))
    align_crop(params, Path("manifest"), Path("crops"))
    report = json.loads(Path("manifest/report.json").read_text(encoding="utf-8"))
    assert report["left_out"] == []
    names = {file.name for file in tmp_path.rglob("*")}
    assert names >= {"manifest", "crops", EVIL[0]}
    assert not {name for name in names if name == "X"}


class Runs:
    """What would be run by whoever unpickles it."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("X",)


def test_a_model_file_that_is_a_pickle_is_refused_unopened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(Runs())
    for name in (WEIGHTS, "float32.onnx"):
        (tmp_path / name).write_bytes(data)
    record = dict.fromkeys(KEYS) | {"sha256": hashlib.sha256(data).hexdigest()}
    (tmp_path / RECORD).write_text(json.dumps(record))
    with pytest.raises(Exception, match="header"):
        load_state(tmp_path)
    with pytest.raises(ModelFileError):
        FaceModel(tmp_path)
    assert not Path("X").exists()


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [X]", "!!python/name:os.mkdir", "!x {}"])
def test_a_parameter_file_holds_plain_data(tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(f"seed: {tag}\n")
    with pytest.raises(ParamsError, match=r"params\.yaml: not valid YAML"):
        read()
    assert not Path("X").exists()


def test_every_dependency_has_an_upper_bound() -> None:
    read = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = [read["build-system"]["requires"], read["project"]["dependencies"]]
    named += read["project"]["optional-dependencies"].values()
    unbound = [line for lines in named for line in lines if not re.search(r"<[\d.]+$", line)]
    assert not unbound
