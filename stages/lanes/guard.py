"""Runs one stage for a worker, in a process of its own, and ends what it started when the worker asks or is gone.

The worker hands over the source of this file, a line of JSON on standard input, and keeps that stream open. As soon as
the stream is closed, by the worker or because the worker was killed, the stage is asked to end (SIGTERM), and after
GRACE seconds it is killed. So a lost worker leaves nothing running. The answer is a line of JSON on standard output.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

GRACE = 60
"""Seconds that a stage has to end, as stages/common.py has it: it may have a snapshot to write."""
DVC = """
import json, sys
from dvc.cli import main
for words in json.loads(sys.argv[1]):
    if status := main(words):
        sys.exit(status)
"""
"""Several commands of DVC in one process: importing DVC takes longer than most of them."""

_closing = threading.Event()


class Failed(Exception):
    """A command failed. Its text is what it said."""


def main() -> None:
    if not (line := sys.stdin.readline()):
        return
    job = json.loads(line)
    threading.Thread(target=_end_when_closed, daemon=True).start()
    began = time.monotonic()
    try:
        found = in_clone(job) if "url" in job else {"said": in_folder(job)}
        answer = {"succeeded": True, "seconds": time.monotonic() - began, **found}
    except Failed as failed:
        answer = {"succeeded": False, "said": str(failed)}
    if _closing.is_set():
        threading.Event().wait()  # the other thread ends this process
    print(json.dumps(answer), flush=True)


def in_folder(job: Mapping[str, Any]) -> str:
    """Run the stage in a folder that the machines share. Returns what DVC said.

    DVC refuses a stage that somebody else is running. Here the second waits, and then finds nothing left to do.
    """
    folder = Path(job["folder"])
    if not (folder / ".dvc").is_dir():
        raise Failed(f"{folder} is not there; machines that share no folder need `--remote NAME`")
    locks = folder / ".dvc/tmp/lanes"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / re.sub(r"[^\w.@+-]", "_", job["stage"])):
        return _dvc(folder, ["--wait-for-lock", "repro", "--single-item", job["stage"]])


def in_clone(job: Mapping[str, Any]) -> dict[str, Any]:
    """Run the stage in a clone of this worker's own, and push what comes out to the remote.

    Returns the worker's dvc.lock, and the files that DVC does not keep in its cache.
    """
    clone = Path(job["clone"])
    if not (clone / ".dvc").is_dir():
        shutil.rmtree(clone, ignore_errors=True)
        clone.parent.mkdir(parents=True, exist_ok=True)
        _git(clone.parent, "clone", "--quiet", "--", job["url"], clone.name)
    try:
        _git(clone, "checkout", "--quiet", "--force", "--detach", job["commit"])
    except Failed as failed:
        raise Failed(f"{failed}{job['url']} has no commit {job['commit']}: `git push` first") from None
    _git(clone, "clean", "-ffdq")
    unpack(clone, job["files"])
    remote = f"[core]\n    remote = {job['remote']}\n['remote \"{job['remote']}\"']\n    url = {job['storage']}\n"
    (clone / ".dvc/config.local").write_text(f"{remote}[cache]\n    dir = {job['cache']}\n", encoding="utf-8")
    pull = [["pull", "--quiet", "--force", *job["upstream"]]] if job["upstream"] else []
    push = ["push", "--quiet", "--run-cache", job["stage"]]
    said = _dvc(clone, *pull, ["repro", "--single-item", job["stage"]], push)
    lock = (clone / "dvc.lock").read_text(encoding="utf-8")
    return {"said": said, "lock": lock, "files": pack(clone, job["uncached"])}


def pack(folder: Path, paths: list[str]) -> dict[str, str | None]:
    """The files at or below these paths in base64, by their paths; None for a path at which there is nothing."""
    found: dict[str, str | None] = {}
    for path in paths:
        at = folder / path
        files = [file for file in at.rglob("*") if file.is_file()] if at.is_dir() else [at] if at.exists() else []
        found |= {file.relative_to(folder).as_posix(): base64.b64encode(file.read_bytes()).decode() for file in files}
        if not at.exists():
            found[path] = None
    return found


def unpack(folder: Path, files: Mapping[str, str | None]) -> None:
    """Write these files, and remove those that are None."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            (folder / path).unlink(missing_ok=True)
        else:
            (folder / path).write_bytes(base64.b64decode(data))


def _dvc(folder: Path, *commands: list[str]) -> str:
    command = [sys.executable, "-c", DVC, json.dumps(commands)]
    return _said(command, folder)


def _git(folder: Path, *words: str) -> str:
    command = ["git", *words]
    return _said(command, folder)


def _said(command: list[str], folder: Path) -> str:
    """Run a command to its end. Returns what it said; raises Failed with that if it failed."""
    if _closing.is_set():
        raise Failed("ended")
    # Commands of dvc.yaml say `python`, and mean the one that has the requirements.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A program that a stage runs may print in any encoding.
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
    )
    if done.returncode:
        raise Failed(done.stdout)
    return done.stdout


def _end_when_closed() -> None:
    """End this process and all that it started, once standard input is closed."""
    sys.stdin.read()
    _closing.set()
    until, known, asked = time.monotonic() + GRACE, set[psutil.Process](), set[psutil.Process]()
    while True:
        started = psutil.Process().children()
        below = {process for child in started for process in _below(child)}
        known |= {*started, *below}
        if not (alive := {process for process in known if _runs(process)}):
            os._exit(1)
        # DVC ends when its stage has ended. It may be writing dvc.lock, so it is asked only if it runs no stage.
        late = time.monotonic() > until
        for process in alive if late else (alive - {*started} or alive) - asked:
            asked.add(process)
            with suppress(psutil.NoSuchProcess):
                process.kill() if late else process.terminate()
        time.sleep(0.1)


def _below(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [*process.children(recursive=True)]
    return []


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


if __name__ == "__main__":
    main()
