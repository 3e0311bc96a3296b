"""What git knows of the folder that this process is in."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path


def revision() -> str | None:
    """The commit that is checked out here. None, with a word on stderr, where git does not say: in a ZIP for one."""
    found = _git("rev-parse", "HEAD")
    return found.decode().strip() if found else None


def committed(file: Path, revision: str = "HEAD") -> bytes | None:
    """The bytes of a file, by its path from here, in a commit. None where git has none."""
    return _git("cat-file", "blob", f"{revision}:./{file.as_posix()}")


def history(file: Path) -> list[str]:
    """The commits up to the one checked out that changed a file, by its path from here, newest first."""
    return (_git("log", "--format=%H", "--", file.as_posix()) or b"").decode().split()


def _git(*arguments: str) -> bytes | None:
    # A clone of another user's, as in a container, has the same commits; these commands run nothing that it holds.
    command = ["git", "-c", "safe.directory=*", *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 - no word of it is data
    except FileNotFoundError:
        said = "git is not installed"
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
    _say(f"git {arguments[0]}: {said}")
    return None


@cache
def _say(message: str) -> None:
    """On stderr, once: a stage asks for each of its models."""
    print(message, file=sys.stderr)
