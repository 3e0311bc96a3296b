"""A real Slurm of one node, this machine, for a test that needs one: it is started as root, and without cgroups."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import openssh

PROGRAMS = {
    name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("munged", "slurmctld", "slurmd")
}
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES State=UP
"""


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Run Slurm until the end of the block. Yields the variables with which sbatch and squeue find it."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key, configuration = folder / "key", folder / "slurm.conf"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    ports = (openssh.free_port(), openssh.free_port())
    configuration.write_text(CONFIGURATION.format(folder=folder, host=socket.gethostname().split(".")[0], ports=ports))
    files = [
        f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("socket", "pid-file", "log-file", "seed-file")
    ]
    found = {"SLURM_CONF": str(configuration)}
    commands = [
        ["munged", "--foreground", "--force", f"--key-file={key}", *files],
        ["slurmctld", "-D"],
        ["slurmd", "-D"],
    ]
    with ExitStack() as running:
        for name, *words in commands:
            log = running.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen([str(PROGRAMS[name]), *words], env=os.environ | found, stdout=log, stderr=log)
            running.callback(process.wait, timeout=30)
            running.callback(process.terminate)
            if name == "munged":
                _wait(folder, lambda: (folder / "munge.socket").exists())
        _wait(folder, lambda: "idle" in asked(found, "sinfo"))
        yield found


def asked(environment: dict[str, str], *command: str) -> str:
    """What a command of Slurm's says."""
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True).stdout


def _wait(folder: Path, true: object) -> None:
    assert callable(true)
    for _ in range(150):
        if true():
            return
        time.sleep(0.2)
    raise AssertionError("\n".join(log.read_text() for log in sorted(folder.glob("*.log"))))
