"""Profiles: how they differ from the default, how they are merged, and that no edit and no kept report is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_repository import ROOT, commit, run

from facedistill import profile
from facedistill.inference.commands import main as facedistill
from facedistill.params import ParamsError, items, read
from facedistill.schema import check_file

PROFILES = sorted((ROOT / "params").glob("*.yaml"))
DEFAULT = """\
# The default.

# A comment above.
seed: 0                  # beside a value
data:
  source:
    kind: drawn          # beside a kind
    people: 3
  split: null
  leave_out:

# Above the networks.
students:
  small: {size: 1, depth: 2}

# Above a table.
table:
  # Within a table.
  students:
  - small
  - other
note: >-
  Some folded
  text.

# At the end: τ.
"""


def merged(tmp_path: Path, differences: str, default: str = DEFAULT) -> str:
    (tmp_path / "toy.yaml").write_text(f"# Head.\n\n{differences}\n", encoding="utf-8")
    return profile.merged(tmp_path / "toy.yaml", default)


@pytest.mark.parametrize(
    ("default", "differences", "expected"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3, "d": 4}}, {"a": {"b": 1, "c": 3, "d": 4}}),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"d": 3}}}, {"a": {"b": {"c": 1, "d": 3}}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 3}]}, {"a": [{"b": 3}]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({"a": {"kind": "x", "b": 1}}, {"a": {"kind": "y", "c": 2}}, {"a": {"kind": "y", "c": 2}}),
        ({"a": {"kind": "x", "b": 1}}, {"a": {"kind": "x", "c": 2}}, {"a": {"kind": "x", "b": 1, "c": 2}}),
        ({"a": {"kind": "x", "b": 1}}, {"a": {"b": 2}}, {"a": {"kind": "x", "b": 2}}),
        ({"a": {"b": 1}}, {"a": {"kind": "y"}}, {"a": {"kind": "y"}}),
    ],
)
def test_mappings_are_merged_and_all_else_is_replaced(
    default: dict[str, Any], differences: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert profile.merge(default, differences) == expected


@pytest.mark.parametrize(
    ("differences", "old", "new"),
    [
        ("seed: 1", "seed: 0  ", "seed: 1  "),
        ("seed: false", "seed: 0  ", "seed: false  "),
        ("data: {source: {people: 0.0001}}", "people: 3", "people: 0.0001"),
        ("data: {split: {by: image}}", "split: null", "split: {by: image}"),
        ("data: {leave_out: a b.txt}", "leave_out:", "leave_out: a b.txt"),
        ("data: {detector: null}", "  leave_out:\n", "  leave_out:\n  detector: null\n"),
        (
            "data: {source: {kind: table, file: x}}",
            "kind: drawn          # beside a kind\n    people: 3\n",
            "kind: table          # beside a kind\n    file: x\n",
        ),
        (
            "data: {source: null}",
            "source:\n    kind: drawn          # beside a kind\n    people: 3\n",
            "source: null\n",
        ),
        ("students: {small: {depth: 3}}", "{size: 1, depth: 2}", "{size: 1, depth: 3}"),
        ("students:\n  big:\n    size: 9", "depth: 2}\n", "depth: 2}\n  big: {size: 9}\n"),
        ("table: {students: ['a, b', small]}", "students:\n  - small\n  - other\n", "students: ['a, b', small]\n"),
        ("table: {students: []}", "students:\n  - small\n  - other\n", "students: []\n"),
        ("table: {tasks: [x]}", "  - other\n", "  - other\n  tasks: [x]\n"),
        ("note: 'Other: τ'", ">-\n  Some folded\n  text.\n", "'Other: τ'\n"),
        ("remove: [data.leave_out]", "  leave_out:\n", ""),
        (
            "remove: [students.small]\nstudents: {big: {}}",
            "students:\n  small: {size: 1, depth: 2}",
            "students: {big: {}}",
        ),
        ("remove: [table]", "table:\n  # Within a table.\n  students:\n  - small\n  - other\n", ""),
        ("seed: 0", "", ""),
    ],
)
def test_only_what_differs_is_written_and_comments_stay(tmp_path: Path, differences: str, old: str, new: str) -> None:
    body = DEFAULT.removeprefix("# The default.\n")
    assert old in body
    head = "# Profile toy: the default parameters with the differences in params/toy.yaml.\n# Head.\n"
    assert merged(tmp_path, differences) == head + body.replace(old, new, 1)


def test_several_differences_at_the_same_place(tmp_path: Path) -> None:
    default = "a:\n  b:\n    c: 1\n    d: 2   # last, and no line ends after it"
    found = merged(tmp_path, "remove: [a.b.d]\na: {b: {e: 3, f: 4}, g: 5}\nh: 6", default)
    assert found.partition("# Head.\n")[2] == "a:\n  b:\n    c: 1\n    e: 3\n    f: 4\n  g: 5\nh: 6\n"


@pytest.mark.parametrize(
    ("differences", "message"),
    [
        ("remove: [data.detector]", r"toy\.yaml: remove: the default has no key 'data\.detector'"),
        ("remove: [seed.x]", r"remove: the default has no key 'seed\.x'"),
        ("remove: [nowhere.x.y]", r"remove: the default has no key 'nowhere\.x\.y'"),
        ("remove: table", r"toy\.yaml: remove: expected a list of dotted keys, found 'table'"),
        ("seed: 1\nseed: 2", r"toy\.yaml: not valid YAML"),
        ("- seed", r"toy\.yaml: expected a mapping of sections"),
    ],
)
def test_a_profile_that_cannot_be_merged_is_named(tmp_path: Path, differences: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        merged(tmp_path, differences)


@pytest.mark.parametrize("differences", ["c: {b: 2}", "a: {b: 2}\nc: {b: 3}", "a: {b: 2}\nc: {b: 2}"])
def test_a_default_with_one_text_for_two_values_is_refused(tmp_path: Path, differences: str) -> None:
    with pytest.raises(ParamsError, match="without anchors"):
        merged(tmp_path, differences, "a: &x\n  b: 1\nc: *x\n")


def lines_of(text: str, name: str) -> Iterator[int]:
    """The numbers of the lines of a dotted key, and of the keys below it."""
    key, node = None, yaml.compose(text)
    for part in name.split("."):
        assert isinstance(node, yaml.MappingNode)
        key, node = next(pair for pair in node.value if pair[0].value == part)
    assert key is not None
    yield key.start_mark.line
    if isinstance(node, yaml.MappingNode):
        yield from (below.start_mark.line for below, _ in node.value)


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
def test_a_profile_is_short_says_what_to_expect_and_merges_into_a_good_file(file: Path, tmp_path: Path) -> None:
    text, default = file.read_text(encoding="utf-8"), (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert 20 <= len(text.splitlines()) <= 100
    head = "".join(line.removeprefix("#") for line in re.match("(?:#.*\n)+", text)[0].splitlines())  # type: ignore[index]
    assert f" Command: python -m facedistill profile use {file.stem} && " in head
    for statement in ("Data:", "Time:", "Expect:"):
        assert re.search(rf" {statement} +\w", head)
    (tmp_path / "params.yaml").write_text(found := profile.merged(file, default), encoding="utf-8")
    check_file(tmp_path / "params.yaml")
    gone = {line for name in read(file).get("remove", []) for line in lines_of(default, name)}
    kept = [c for i, line in enumerate(default.splitlines()) if i not in gone for c in re.findall(r"#.*", line)][2:]
    assert [comment for comment in re.findall(r"#.*", found) if comment in kept] == kept


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
def test_every_line_of_a_profile_makes_a_difference(file: Path) -> None:
    default, differences = read(ROOT / "params.yaml"), read(file)
    differences.pop("remove", None)
    whole = profile.merge(default, differences)
    for place, value in items(differences):
        *sections, key = place.split(".")
        # Parts of a list, and of a source of another kind, are there for the whole.
        if isinstance(value, dict) or any(name.isdigit() for name in [*sections, key]) or "source" in sections:
            continue
        less = read(file)
        less.pop("remove", None)
        mapping = less
        for section in sections:
            mapping = mapping[section]
        del mapping[key]
        assert profile.merge(default, less) != whole, place


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a default, two profiles, and the reports of a run."""
    for name in ("params", "reports/plots", "reports/metrics", "reports/speed", "reports/toy"):
        (tmp_path / name).mkdir(parents=True)
    texts = [path.as_posix() for path in profile.KEPT if path.suffix]
    for name in (*texts, "reports/plots/a.png"):
        (tmp_path / name).write_text(name)
    (tmp_path / "params.yaml").write_text(DEFAULT)
    (tmp_path / "params/toy.yaml").write_text("# Toy.\nseed: 1\n")
    (tmp_path / "params/other.yaml").write_text("# Other.\nseed: 2\n")
    (tmp_path / "reports/toy/stale.md").write_text("of an earlier run")
    for words in (["init", "-q"], ["config", "user.name", "t"], ["config", "user.email", "t@t"]):
        run(tmp_path, "git", *words)
    commit(tmp_path, "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(action: str, name: str) -> None:
    {"use": profile.use, "keep": profile.keep}[action](name)


def seed() -> Any:
    return yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["seed"]


def test_a_profile_is_put_in_place_and_its_reports_are_kept(workspace: Path) -> None:
    for name in ("metrics", "speed"):
        (workspace / f"reports/{name}/of_another_grid.json").write_text("{}")
    commit(workspace, "another grid")
    command("use", "toy")
    assert seed() == 1
    with pytest.raises(SystemExit, match=r"reports/metrics, reports/speed: missing, so nothing is kept"):
        command("keep", "toy")
    assert (workspace / "reports/toy/stale.md").exists()
    for name in ("metrics", "speed"):
        (workspace / f"reports/{name}").mkdir()
    command("keep", "toy")
    kept = {str(file.relative_to(workspace / "reports/toy")) for file in (workspace / "reports/toy").rglob("*.*")}
    assert kept == {*(path.name for path in profile.KEPT if path.suffix), "plots/a.png"}
    assert (workspace / "reports/toy/params.yaml").read_text() == Path("params.yaml").read_text()


def test_the_command_of_all_commands_does_the_same_and_names_what_there_is(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert facedistill(["profile", "use", "toy"]) == 0
    assert seed() == 1
    with pytest.raises(SystemExit, match="missing, so nothing is kept"):
        facedistill(["profile", "keep", "toy"])
    assert facedistill(["profile", "use", "nobody's"]) == 2
    assert capsys.readouterr().err == "facedistill: no profile is called nobody's; there are other, toy\n"
    assert seed() == 1
    monkeypatch.chdir(workspace / "reports")
    assert facedistill(["profile", "use", "toy"]) == 2
    assert "`profile` works at the top of a clone" in capsys.readouterr().err


def test_reports_of_other_values_are_not_kept_under_a_name_and_other_comments_are_no_matter(workspace: Path) -> None:
    for wrong in ("default", "other"):
        if wrong != "default":
            command("use", wrong)
        with pytest.raises(SystemExit, match=r"is not the default with params/toy\.yaml"):
            command("keep", "toy")
    assert (workspace / "reports/toy/stale.md").exists()
    command("use", "toy")
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("seed: 1", "seed: 1  # mine"), encoding="utf-8")
    for name in ("metrics", "speed"):
        (workspace / f"reports/{name}").mkdir()
    command("keep", "toy")
    assert not (workspace / "reports/toy/stale.md").exists()


@pytest.mark.parametrize("before", [[], ["toy"]], ids=["default", "profile"])
def test_a_parameter_file_that_was_edited_is_not_replaced(workspace: Path, before: list[str]) -> None:
    for name in before:
        command("use", name)
    (workspace / "reports/metrics").mkdir(exist_ok=True)
    edited = Path("params.yaml").read_text(encoding="utf-8") + "mine: 3\n"
    Path("params.yaml").write_text(edited, encoding="utf-8")
    for _ in range(2):
        with pytest.raises(SystemExit, match=r"was edited.*write the differences to params/NAME\.yaml.*git restore"):
            command("use", "other")
        assert Path("params.yaml").read_text(encoding="utf-8") == edited
        assert (workspace / "reports/metrics").exists()
        # What is only in the index is lost by the next `git add`.
        run(workspace, "git", "add", "params.yaml")
    commit(workspace, "edited")
    command("use", "other")
    assert seed() == 2
    # An edit of the default is in every profile; one of a profile is not.
    assert ("mine" in read(Path("params.yaml"))) == (not before)


def test_results_that_are_stored_nowhere_else_are_not_removed(workspace: Path) -> None:
    """Training stages have their times among them: without these files they would all run again."""
    command("use", "toy")
    speed = workspace / "reports/speed/small/table2.json"
    for part in ("metrics", "speed/small"):
        (workspace / "reports" / part).mkdir(parents=True, exist_ok=True)
    speed.write_text("{}")
    with pytest.raises(SystemExit, match=r"^reports/speed: results of the last run.*stored nowhere else"):
        command("use", "other")
    assert speed.exists()
    command("keep", "toy")
    command("use", "other")
    assert not speed.exists()
    speed.parent.mkdir(parents=True)
    speed.write_text("{2}")
    commit(workspace, "results")
    command("use", "toy")
    assert not speed.exists()


def test_one_profile_follows_another_also_where_the_first_was_committed(workspace: Path) -> None:
    Path("params/toy.yaml").write_text("seed: 1\nstudents: {big: {size: 9}}\n")
    commit(workspace, "toy has a student")
    command("use", "toy")
    command("use", "other")
    between = Path("params.yaml").read_text(encoding="utf-8")
    command("use", "toy")
    commit(workspace, "toy in use")
    command("use", "other")
    assert Path("params.yaml").read_text(encoding="utf-8") == between
    assert "big" not in read(Path("params.yaml"))["students"]
    Path("params.yaml").unlink()
    command("use", "other")
    assert Path("params.yaml").read_text(encoding="utf-8") == between


def test_without_a_default_in_git_nothing_is_written(workspace: Path) -> None:
    run(workspace, "rm", "-rf", ".git")
    with pytest.raises(SystemExit, match=r"git has no default params\.yaml.*git init"):
        command("use", "toy")
    assert Path("params.yaml").read_text(encoding="utf-8") == DEFAULT
