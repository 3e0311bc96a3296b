"""Asks git about the current folder."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path


def revision() -> str | None:
    """The commit that is checked out here. None, with a message on stderr, if git cannot say: for example in a ZIP."""
    found = _git("rev-parse", "HEAD")
    return found.decode().strip() if found else None


def committed(file: Path, revision: str = "HEAD") -> bytes | None:
    """The bytes of a file in a commit. None if git has no such file. file: relative to the current folder."""
    return _git("cat-file", "blob", f"{revision}:./{file.as_posix()}")


def changed(folder: Path) -> list[str]:
    """The new and the edited files below a folder, whose content git does not have."""
    said = _git("status", "--porcelain", "--untracked-files=all", "--", folder.as_posix()) or b""
    return [line[3:] for line in said.decode().splitlines() if "D" not in line[:2]]


def history(file: Path) -> list[str]:
    """The commits that changed a file, newest first, up to the one that is checked out."""
    return (_git("log", "--format=%H", "--", file.as_posix()) or b"").decode().split()


def origin() -> str | None:
    """The URL of the remote `origin`. None, with a message on stderr, if there is none."""
    found = _git("remote", "get-url", "origin")
    return found.decode().strip() if found else None


def edited() -> list[str]:
    """The new, the edited and the removed files of the clone, but for ignored ones. Run at its top."""
    said = _git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all") or b""
    return [os.fsdecode(line[3:]) for line in said.split(b"\0") if line]


def _git(*arguments: str) -> bytes | None:
    # The clone may belong to another user, as in a container. That is safe: these commands run nothing from the clone.
    command = ["git", "-c", "safe.directory=*", *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 - no argument is data
    except FileNotFoundError:
        said = "git is not installed"
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
    _say(f"git {arguments[0]}: {said}")
    return None


@cache
def _say(message: str) -> None:
    """Print on stderr, but only once: a stage asks again for each of its models."""
    print(message, file=sys.stderr)
