"""How every command of this project ends: an error that the user can correct is one line, a defect has a traceback.

The packages `facedistill` and `stages` call `guard` before `python -m` runs a module in them. This file imports nothing
that has to be installed, so it can say which package is missing.
"""

from __future__ import annotations

import atexit
import errno
import io
import os
import select
import sys
import traceback
from types import TracebackType

REPORT = "This is a defect. Please report it, with all that is above, to the issues of the project."

SYSTEM = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
)
"""Errors of the machine, which are expected even if they name no file."""

ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EMFILE: "allow more by `ulimit -n 4096`",
    errno.EAGAIN: "allow more processes by `ulimit -u`",
}


def guard() -> None:
    """Let this process print on any terminal, and end as described above."""
    # Older versions can parse this file, but not the others.
    if sys.version_info < (3, 11):  # noqa: UP036
        sys.exit(f"Python 3.11 or later is needed; {sys.executable} is {sys.version.partition(' ')[0]}")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal may not be able to print the letters of a file's name.
            stream.reconfigure(errors="backslashreplace")
    sys.excepthook = tell
    atexit.register(_flush)


def tell(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """Print on stderr which error ended this process. This is an excepthook."""
    if isinstance(error, OSError) and error.filename is None and (not _flush() or _unread()):
        return
    if isinstance(error, Exception):
        said = line(error) or "".join(traceback.format_exception(kind, error, where)) + REPORT
        if sys.stderr:
            print(said, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, where)


def line(error: Exception) -> str | None:
    """The line for an expected error, by the user's files and settings or by the machine. None for any other error."""
    name, package = type(error).__name__, type(error).__module__.partition(".")[0]
    if package == "facedistill":
        return f"{name}: {error}"
    if package == "dvc":
        return f"{name}: {of_dvc(str(error))}"
    if isinstance(error, OSError) and error.strerror and (error.filename is not None or error.errno in SYSTEM):
        file = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        advice = f"; {ADVICE[error.errno]}" if error.errno in ADVICE else ""
        return f"{name}: {file}{error.strerror}{advice}"
    if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] not in ("facedistill", "stages"):
        return (
            f"{name}: {sys.executable} has no package {error.name}; activate the environment that the project was "
            "installed into, or run `python -m pip install -r requirements.txt` in a clone"
        )
    if isinstance(error, MemoryError) or name == "OutOfMemoryError":
        return (
            f"{name}: {str(error) or 'out of memory'}; stop other programs, or lower `batch` of the task in params.yaml"
        )
    return None


def of_dvc(said: str) -> str:
    """A message of DVC, with advice if it has none."""
    if "is not a git repository" in said:
        said += "; a ZIP has no history: `git init`, or `dvc config --local core.no_scm true`"
    return said


def _unread() -> bool:
    """Whether standard output is a pipe whose reader has ended, for example `head` after its last line."""
    output = select.poll()
    output.register(1, 0)
    return any(found & select.POLLERR for _, found in output.poll(0))


def _flush() -> bool:
    """Write out what was printed. Returns whether that worked; if not, prints why, unless the reader has ended."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError) and sys.stderr:
            print(f"{type(error).__name__}: standard output: {error.strerror}", file=sys.stderr)
        # Else Python would try again when it ends, and print a long error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return False
    return True
