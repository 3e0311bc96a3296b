"""Profiles: params/NAME.yaml has the differences from the default params.yaml, for other data or another purpose.

    python -m facedistill profile use real-faces     # writes params.yaml: the default with these differences
    dvc repro
    python -m facedistill profile keep real-faces    # copies all reports, params.yaml, dvc.lock to reports/real-faces

`git restore params.yaml dvc.lock reports` brings the default back. `use` does not replace a params.yaml with edits.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from facedistill import git
from facedistill.params import PARAMS_FILE, ParamsError, read

PROFILES, REPORTS = Path("params"), Path("reports")
DOCUMENTS = (
    "index.html",
    "tables.md",
    "claims.md",
    "claims.json",
    "datasets.json",
    "models.json",
    "plots",
    "metrics",
    "speed",
)
KEPT = (PARAMS_FILE, Path("dvc.lock"), *(REPORTS / name for name in DOCUMENTS))

REMOVE = "remove"
"""This key of a profile lists the keys, as dotted names, that are removed from the default."""

MARK = re.compile(r"# Profile (\S+): ")
"""The beginning of a params.yaml that `use` wrote. The default does not begin like this."""


def use(name: str) -> None:
    """Write the default with the differences of this profile to params.yaml.

    Exits with a message if params.yaml has edits, or the last run has results, that are stored nowhere else.
    """
    default = _default()
    if PARAMS_FILE.exists() and not _known(PARAMS_FILE.read_text(encoding="utf-8"), default):
        sys.exit(
            f"{PARAMS_FILE} was edited, and the edits are stored nowhere else: commit it, or write the differences to "
            f"{PROFILES}/NAME.yaml, or drop the edits by `git restore {PARAMS_FILE}`; then run this again"
        )
    folders = [REPORTS / part for part in ("metrics", "speed")]
    if lost := [str(folder) for folder in folders if not _stored(folder)]:
        sys.exit(
            f"{', '.join(lost)}: results of the last run, which `use` removes, are stored nowhere else; commit them, "
            "or run `python -m facedistill profile keep NAME`, or drop them by `git restore reports` and `git clean "
            "reports`; then run this again"
        )
    PARAMS_FILE.write_text(merged(PROFILES / f"{name}.yaml", default), encoding="utf-8", newline="\n")
    # Another grid has other files. None of the last grid's files may stay among them.
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{PARAMS_FILE} is now the default with {PROFILES}/{name}.yaml, and the metrics of the last run are removed. "
        f"`git restore {PARAMS_FILE} dvc.lock reports` brings them back"
    )


def _stored(folder: Path) -> bool:
    """Whether git has all files of a folder of results, or a kept report has the same ones."""
    if not git.changed(folder):
        return True
    found = _files(folder)
    return any(_files(kept / folder.name) == found for kept in REPORTS.iterdir() if kept.is_dir())


def _files(folder: Path) -> dict[Path, bytes]:
    """The bytes of each file below a folder."""
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def keep(name: str) -> None:
    """Copy the reports of the last `dvc repro`, with params.yaml and dvc.lock, to reports/NAME.

    Exits with a message if params.yaml has other values than the profile, or if a report is missing.
    """
    found, profile = read(PARAMS_FILE), PROFILES / f"{name}.yaml"
    if found != _parse(merged(profile, _default())):
        sys.exit(f"{PARAMS_FILE} is not the default with {profile}: these reports are not of this profile")
    if missing := [str(path) for path in KEPT if not path.exists()]:
        sys.exit(f"{', '.join(missing)}: missing, so nothing is kept; run `dvc repro` to its end first")
    folder = REPORTS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in KEPT:
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        else:
            shutil.copyfile(path, folder / path.name)


def merged(profile: Path, default: str) -> str:
    """The text of the default parameter file with the differences of a profile, and with the profile's head comment.

    Comments, and lines that do not differ, stay as they are in the default. Raises ParamsError if the profile is not a
    YAML mapping, or removes a key that the default does not have.
    """
    differences, values = read(profile), _parse(default)
    if not isinstance(removed := differences.pop(REMOVE, []), list):
        raise ParamsError(f"{profile}: {REMOVE}: expected a list of dotted keys, found {removed!r}")
    for name in removed:
        *sections, key = str(name).split(".")
        mapping = values
        for section in sections:
            mapping = mapping.get(section) if isinstance(mapping, dict) else None
        if not isinstance(mapping, dict) or key not in mapping:
            raise ParamsError(f"{profile}: {REMOVE}: the default has no key {name!r}")
        del mapping[key]
    text = _rewrite(default, merge(values, differences))
    head = _head(profile.read_text(encoding="utf-8"))
    mark = f"# Profile {profile.stem}: the default parameters with the differences in {PROFILES}/{profile.name}.\n"
    return mark + head + text.removeprefix(_head(default))


def merge(default: dict[str, Any], differences: dict[str, Any]) -> dict[str, Any]:
    """Merge mappings key by key. Any other value, also a list or null, replaces the default's value.

    A mapping with another `kind` replaces the whole mapping, because a source of another kind has other keys.
    """
    result = dict(default)
    for key, value in differences.items():
        mine = default.get(key)
        if (
            isinstance(mine, dict)
            and isinstance(value, dict)
            and value.get("kind", mine.get("kind")) == mine.get("kind")
        ):
            result[key] = merge(mine, value)
        else:
            result[key] = value
    return result


def _default() -> str:
    """The newest params.yaml in the history of git that `use` did not write. One that it wrote may be committed too."""
    for revision in git.history(PARAMS_FILE):
        content = git.committed(PARAMS_FILE, revision)
        if content and not MARK.match(text := content.decode()):
            return text
    sys.exit(
        f"git has no default {PARAMS_FILE}, which profiles differ from; a ZIP has no history: `git init`, and commit it"
    )


def _known(text: str, default: str) -> bool:
    """Whether a parameter file with this text can be restored, from git or by `use`."""
    if text.encode() == git.committed(PARAMS_FILE):
        return True
    mark = MARK.match(text)
    profile = PROFILES / f"{mark[1]}.yaml" if mark else None
    return bool(profile and profile.exists() and text == merged(profile, default))


def _head(text: str) -> str:
    """The comment at the top of a file."""
    return "".join(takewhile(lambda line: line.startswith("#"), text.splitlines(keepends=True)))


def _parse(text: str) -> Any:
    return YAML(typ="safe").load(text)


def _rewrite(text: str, values: dict[str, Any]) -> str:
    """The text of a YAML mapping, changed so that it has these values. Lines with the right values stay the same."""
    text = text if text.endswith("\n") else text + "\n"
    edits: list[tuple[int, int, str]] = []

    def visit(node: MappingNode, old: dict[str, Any], new: dict[str, Any]) -> None:
        for key, child in node.value:
            name, start, end = key.value, key.start_mark.index, _end(key, child, text)
            block = isinstance(child, MappingNode) and not child.flow_style
            if name not in new:
                edits.append((start - key.start_mark.column, text.index("\n", end) + 1, ""))
            elif block and isinstance(new[name], dict) and old[name].keys() & new[name].keys():
                visit(child, old[name], new[name])
            elif _entry(name, old[name]) != _entry(name, new[name]):
                edits.append((start, end, _entry(name, new[name])))
        # After the loop, `end` is the end of the last value, and so of the whole mapping.
        indent, bottom = " " * node.start_mark.column, text.index("\n", end) + 1
        edits.extend((bottom, bottom, f"{indent}{_entry(name, new[name])}\n") for name in new if name not in old)

    visit(YAML(typ="safe", pure=True).compose(text), _parse(text), values)
    parts, position = [], 0
    for start, end, replacement in sorted(edits, key=lambda edit: edit[0]):
        parts += [text[position:start], replacement]
        position = end
    result = "".join([*parts, text[position:]])
    try:
        if _parse(result) == values:
            return result
    except YAMLError:
        pass
    raise ParamsError(
        f"the default {PARAMS_FILE} cannot be merged: write it without anchors (&), aliases (*) and tags (!)"
    )


def _entry(name: str, value: Any) -> str:
    """A key and its value on one line: `students: [resnet50-8]`."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = sys.maxsize
    stream = io.StringIO()
    yaml.dump({name: value}, stream)
    return stream.getvalue().strip()[1:-1]


def _end(key: Node, value: Node, text: str) -> int:
    """Where the text of a value ends: before the comments that follow. The end mark of a block is after them."""
    if value.start_mark.index == value.end_mark.index:
        return text.index(":", key.end_mark.index) + 1
    if isinstance(value, MappingNode) and not value.flow_style:
        last, inner = value.value[-1]
        return _end(last, inner, text)
    if isinstance(value, SequenceNode) and not value.flow_style:
        return _end(key, value.value[-1], text)
    return len(text[: value.end_mark.index].rstrip())
