"""The commands that DVC passes to a shell: every name that a user can choose is quoted in them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.parsing import DataResolver, ResolveError
from dvc.repo import Repo
from toy_repository import ROOT, build, toy

from facedistill.params import read

NASTY = [
    "lfw$(touch X)",
    "`touch X`",
    "a'; touch X; '",
    'a" ; touch X ; "',
    "a && touch X",
    "a\ntouch X",
    "-x",
    "a b",
    "*",
]
STAGES: dict[str, Any] = read(ROOT / "dvc.yaml")["stages"]


def commands(stage: Any) -> list[str]:
    return [stage["cmd"]] if isinstance(stage["cmd"], str) else stage["cmd"]


@pytest.fixture
def resolver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Resolves dvc.yaml with the parameters that it is given, as `dvc repro` does before it runs anything."""
    monkeypatch.chdir(tmp_path)
    with Repo.init(".", no_scm=True) as repo:

        def resolve(params: dict[str, Any]) -> dict[str, Any]:
            Path("params.yaml").write_text(json.dumps(params))
            found: dict[str, Any] = DataResolver(repo, str(tmp_path), read(ROOT / "dvc.yaml")).resolve()["stages"]
            return found

        yield resolve


@pytest.mark.parametrize("name", STAGES)
def test_a_command_holds_names_as_a_whole_item_alone(name: str) -> None:
    """DVC quotes the values of a mapping, and ends in an error where what is no name is used alone."""
    stage = STAGES[name]
    used = json.dumps({key: value for key, value in stage.items() if key not in ("cmd", "matrix")})
    for command in commands(stage):
        assert set(re.findall(r"\$\{.*?\}", command)) <= {"${item}"}
    for axis in stage.get("matrix", {}):
        assert f"${{item.{axis}}}" in used


@pytest.mark.parametrize("nasty", NASTY)
def test_a_name_is_one_word_to_the_shell(nasty: str, resolver: Any) -> None:
    params = toy()
    params["datasets"][nasty] = params["datasets"]["lfw"]
    params["table2"]["students"].append(nasty)
    params["custom"]["groups"].append(nasty)
    params["recipes"][nasty] = params["recipes"]["custom"]
    params["alignment"]["tasks"].append(nasty)
    params["export"]["models"].append(nasty)
    found = [command for stage in resolver(params).values() for command in commands(stage)]
    words = [shlex.split(command) for command in found]
    assert sum(nasty in some for some in words) >= 6
    assert all(some[:2] == ["python", "-m"] and re.fullmatch(r"stages\.\w+", some[2]) for some in words)
    allowed = re.compile(r"[\w./-]+")
    assert not [word for some in words for word in some if word != nasty and not allowed.fullmatch(word)]


@pytest.mark.parametrize("item", [{"a$(touch X)": "b"}, ["$(touch X)"]])
def test_what_is_no_name_ends_before_any_command(item: Any, resolver: Any) -> None:
    params = toy()
    params["table2"]["students"].append(item)
    with pytest.raises(ResolveError, match="Cannot interpolate data of type"):
        resolver(params)


def test_dvc_runs_nothing_that_a_name_says_and_the_name_is_refused(tmp_path: Path) -> None:
    params = toy()
    params["datasets"]["a$(touch X)"] = params["datasets"]["lfw"]
    build(tmp_path, params)
    # DVC calls `python`: the one that runs this test.
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    command = [sys.executable, "-m", "dvc", "repro", "prepare@a$(touch X)"]
    done = subprocess.run(command, cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True)
    assert "params.yaml: datasets.a$(touch X): a name has lower-case letters" in done.stderr
    assert not list(tmp_path.rglob("X"))
