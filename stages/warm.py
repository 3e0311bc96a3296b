"""A warm worker: a process that has imported PyTorch, and runs the stages of one `dvc repro` by forking itself.

Importing PyTorch takes a stage two to four seconds. DVC still starts `python -m stages.NAME` for each stage. Where a
worker is there, that process hands over to it: its arguments, its environment, its folder and its three streams. It
then waits, passes on signals, and ends as the fork ends. If it is killed, so is the fork.

The first stage of a `dvc repro` only leaves a note, and the second one starts a worker for those that follow. So what
runs one or two stages starts none. A worker refuses a stage if a line of code or a variable of the environment has
changed since it began, and it ends with its `dvc`. Then stages run as usual.

It is for Linux. This file imports nothing that takes time, because every stage reads it first.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from facedistill.machine import LAUNCHED
from facedistill.paths import RESUME

WARM = (
    "ask_teacher",
    "distill",
    "evaluate",
    "init_student",
    "train_teacher",
    "transfer_alignment",
    "transfer_verification",
)
"""The stages that it runs."""

STARTED = "*"
"""What a note says when a worker has been started. Before, it says which stage came first."""

FREE = ("DVC_STAGE", "_")
"""Variables that may differ from stage to stage."""

_client = 0
"""In a fork, the process that handed over to it."""


def parent() -> int:
    """The process that started this stage, or 1 if that process has ended."""
    return _parent_of(_client) if _client else os.getppid()


def hand_over() -> None:
    """Let a worker run the stage that `python -m` is about to run, and end as it ends. Return if it has to run here."""
    words = sys.orig_argv
    if sys.platform != "linux" or "DVC_STAGE" not in os.environ or LAUNCHED in os.environ or words[1:2] != ["-m"]:
        return
    package, _, name = words[2].rpartition(".")
    if package != "stages" or name not in WARM or not (dvc := _dvc()):
        return
    note = _note(dvc)
    with suppress(OSError), socket.socket(socket.AF_UNIX) as worker:
        worker.connect(_address(note))
        if _whose(worker)[1] == os.getuid() and (fork := _asked(worker, words[2], words[3:])):
            _wait_for(worker, fork)
    # Nobody listens, or it refuses: this stage runs here.
    with suppress(OSError):
        stage = os.environ["DVC_STAGE"]
        if not note.exists():
            RESUME.mkdir(exist_ok=True)
            note.write_text(stage, encoding="utf-8")
        elif note.read_text(encoding="utf-8") not in (stage, STARTED):
            note.write_text(STARTED, encoding="utf-8")
            command = [sys.executable, "-c", f"from stages.warm import serve; serve({dvc})"]
            none = subprocess.DEVNULL
            subprocess.Popen(command, stdin=none, stdout=none, stderr=none, start_new_session=True)  # noqa: S603


def _asked(worker: socket.socket, module: str, arguments: list[str]) -> int:
    """Ask a worker to run this stage. Returns the process that runs it; 0 if the worker refuses."""
    asked = {"module": module, "arguments": arguments, "environment": dict(os.environ), "folder": str(Path.cwd())}
    data = json.dumps(asked).encode("utf-8", "surrogateescape")
    socket.send_fds(worker, [struct.pack("!Q", len(data))], [0, 1, 2])
    worker.sendall(data)
    return int(_line(worker) or 0)


def _wait_for(worker: socket.socket, fork: int) -> NoReturn:
    """End as the fork ends. It gets the signals that would end this process."""

    def pass_on(number: int, _: object) -> None:
        with suppress(OSError):
            os.kill(fork, number)

    status = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, pass_on)
        if line := _line(worker):
            status = int(line)
        else:
            print("the process that ran this stage is gone; run this again, and it goes on", file=sys.stderr)
    finally:
        _end(status)


def _line(worker: socket.socket) -> str:
    """Read a line, a byte at a time; empty if the other side has closed."""
    found = b""
    while (byte := worker.recv(1)) not in (b"", b"\n"):
        found += byte
    return found.decode()


def serve(dvc: int) -> None:
    """Be the worker of this `dvc`, until it ends."""
    note = _note(dvc)
    environment = _fixed(dict(os.environ))  # before the modules add variables of theirs
    # What the stages below need, and what takes time to import.
    import facedistill.evaluation.models
    import facedistill.learning.training  # noqa: F401

    code = _code()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(_address(note))
        door.listen()
        try:
            while _note(dvc) == note and _code() == code:
                if select.select([door], [], [], 0.5)[0]:
                    client, _ = door.accept()
                    with client:
                        pid, uid = _whose(client)
                        if uid == os.getuid():
                            _serve(client, pid, door, code, environment)
        finally:
            note.unlink(missing_ok=True)


def _serve(client: socket.socket, pid: int, door: socket.socket, code: Any, environment: dict[str, str]) -> None:
    """Fork for one stage, and wait until it ends. Another stage of the same dvc cannot come meanwhile.

    pid: the process at the other end.
    """
    head, streams, _, _ = socket.recv_fds(client, 8, 3)
    data = client.makefile("rb").read(struct.unpack("!Q", head)[0])
    asked = json.loads(data.decode("utf-8", "surrogateescape"))
    known = asked["module"] in [f"stages.{name}" for name in WARM]
    if known and _fixed(asked["environment"]) == environment and _code() == code:
        if not (fork := os.fork()):
            door.close()
            _run(asked, client, streams, pid)
        client.sendall(f"{fork}\n".encode())
        _, status = os.waitpid(fork, 0)
        with suppress(OSError):
            client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    for stream in streams:
        os.close(stream)


def _run(asked: dict[str, Any], client: socket.socket, streams: list[int], pid: int) -> NoReturn:
    """Run the stage in this fork, as `python -m` would, and end."""
    global _client
    _client, status = pid, 1
    try:
        for number, handed in enumerate(streams):
            os.dup2(handed, number)
            os.close(handed)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # The streams keep the encoding of the worker's. But each may now be a terminal, or a pipe.
        out, err = sys.stdout.encoding, sys.stderr.encoding
        by_line = os.isatty(1) or "PYTHONUNBUFFERED" in os.environ
        sys.stdout = open(1, "w", 1 if by_line else -1, encoding=out, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", 1, encoding=err, closefd=False)  # noqa: SIM115
        sys.argv = ["-m", *asked["arguments"]]
        sys.orig_argv = [sys.executable, "-m", asked["module"], *asked["arguments"]]
        threading.Thread(target=_end_with, args=(client,), daemon=True).start()
        import stages
        from facedistill.entry import guard

        stages.BEGAN = time.perf_counter()
        guard()
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        status = -signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        _end(status)


def _end(status: int) -> NoReturn:
    """End this process as an interpreter ends: threads, then what `atexit` knows, then the streams.

    status: the exit code; −N to end by signal N.
    """
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stderr.flush()
    finally:
        if status < 0:
            with suppress(OSError):  # nobody can handle SIGKILL
                signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        os._exit(status & 0xFF)


def _end_with(client: socket.socket) -> None:
    """End this fork as soon as the process that handed over to it is gone."""
    client.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def _fixed(environment: dict[str, str]) -> dict[str, str]:
    """What a worker cannot change after it has begun, such as the number of threads."""
    return {name: value for name, value in environment.items() if name not in FREE}


def _code() -> dict[str, int]:
    """When each file of this project that is imported was changed last."""
    top, found = str(Path(__file__).parents[1]) + os.sep, {}
    for module in [*sys.modules.values()]:
        file = getattr(module, "__file__", None)
        if file and file.startswith(top):
            with suppress(OSError):
                found[file] = Path(file).stat().st_mtime_ns
    return found


def _dvc() -> int:
    """The `dvc` that runs this stage, perhaps through a shell; 0 if there is none."""
    pid = os.getppid()
    for _ in range(2):
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if any(word.rsplit(b"/", 1)[-1] == b"dvc" for word in words[:3]):
                return pid
        pid = _parent_of(pid)
    return 0


def _parent_of(pid: int) -> int:
    """The parent of a process; 1 if the process has ended."""
    fields = _fields(pid)
    return int(fields[1]) if fields else 1


def _note(dvc: int) -> Path:
    """The file that says that this `dvc` has run a stage. Numbers of processes come again, but not at the same time."""
    fields = _fields(dvc)
    return RESUME / f"warm-{dvc}-{fields[19].decode() if fields else 'ended'}"


def _address(note: Path) -> str:
    """Where a worker listens: a name of Linux that is no file, so nobody copies it, and it ends with the worker."""
    return f"\0facedistill-{note.name}"


def _whose(other: socket.socket) -> tuple[int, int]:
    """The process at the other end, and its user. Anybody on this machine can listen or connect."""
    pid, uid, _ = struct.unpack("3i", other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


def _fields(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat after the name, which may have spaces and brackets (proc(5))."""
    try:
        found = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []
    return [] if found[:1] == [b"Z"] else found
