"""`stages.lanes` on several machines: workers of Dask that each have a home, a clone and a cache of their own.

They share an SSH server, or a folder. Some of them are killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from machines import ROOT, Machines, apart, ended, grid, kill_some, left, machines, wait_until
from openssh import SSHD, serve
from toy_repository import commit, dvc, run


@pytest.fixture(scope="module", autouse=True)
def _index_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("index")))
        yield


@pytest.fixture
def four(tmp_path: Path) -> Iterator[Machines]:
    """Machines that share an SSH server alone, with the grid in git."""
    if SSHD is None:
        pytest.skip("no OpenSSH server: apt-get install openssh-server")
    if find_spec("dvc_ssh") is None:
        pytest.skip("DVC does not speak SSH: pip install dvc-ssh")
    with apart(tmp_path, 4) as found:
        yield found


def test_machines_that_share_a_remote_and_are_killed_make_what_dvc_repro_makes(four: Machines) -> None:
    lanes = four.lanes("--remote", "far")
    killed = kill_some(four, lanes, 3, 15, seed=0)
    said = ended(lanes)
    assert len(killed) == 3
    grid = four.folder / "grid"
    dvc(grid, "repro", "-q")
    assert (four.asker / "dvc.lock").read_bytes() == (grid / "dvc.lock").read_bytes()
    stages = yaml.safe_load((grid / "dvc.lock").read_text())["stages"]
    assert len(stages) == 41
    assert said.splitlines()[-1].startswith("41 stages in ")
    # Everything is here and in the cache: DVC finds nothing to do, even where the files were removed.
    assert "up to date" in dvc(four.asker, "repro")
    shutil.rmtree(four.asker / "out")
    dvc(four.asker, "checkout")
    for kept in ("out", "measured", "report"):
        assert not subprocess.run(["diff", "-r", "-x", ".gitignore", four.asker / kept, grid / kept]).returncode
    wait_until(lambda: not [line for line in left(four.folder) if "dask" not in line])
    clones = [folder for i in range(4) for folder in (four.folder / f"machine{i}").rglob("step.py")]
    assert not clones, "a clone is gone when the run has ended"


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Machines]:
    """Two machines that share a folder with a small grid."""
    with machines(tmp_path, grid(tmp_path / "grid", width=2, depth=1), 2) as found:
        yield found


def test_two_who_ask_for_the_same_stages_at_once_run_each_once(together: Machines) -> None:
    both = [together.lanes(), together.lanes()]
    for one in both:
        ended(one)
    ran = (together.folder / "ran").read_text().split()
    assert sorted(ran) == [f"out/{name}" for name in ("cell0-0", "cell1-0", "first", "join0", "join1", "join2")]
    assert "up to date" in dvc(together.asker, "repro")


def test_an_experiment_has_its_parameters_and_its_results(together: Machines) -> None:
    said = refused(together, "-S", "sead=3")
    assert "Invalid `--set-param` value" in said
    assert "sead" in said
    assert ended(together.lanes("-S", "seed=3")).splitlines()[-1].startswith("7 stages in ")
    dvc(together.asker, "exp", "save", "-q", "--name", "third")
    rows = dvc(together.asker, "exp", "show", "--csv").splitlines()
    (row,) = (line for line in rows if line.startswith("third,"))
    assert row.split(",")[rows[0].split(",").index("seed")] == "3"


def test_ctrl_c_ends_the_stages_on_every_machine(together: Machines, interruptible: None) -> None:
    pipeline = yaml.safe_load((together.asker / "dvc.yaml").read_text())
    for name in ("first", "join2"):
        pipeline["stages"][name]["cmd"] = f"touch {name}.begun && sleep 100"
    (together.asker / "dvc.yaml").write_text(yaml.safe_dump(pipeline))
    lanes = together.lanes()
    wait_until(lambda: all((together.asker / f"{name}.begun").exists() for name in ("first", "join2")))
    assert len([line for line in left(together.asker) if line.startswith("sleep")]) == 2
    lanes.send_signal(signal.SIGINT)
    said, _ = lanes.communicate(timeout=60)
    assert lanes.returncode == -signal.SIGINT, said
    assert not left(together.asker)


def test_what_goes_wrong_elsewhere_is_said_and_edits_go_along(tmp_path: Path) -> None:
    """The storage is a folder, whose path is relative to the clone of the one who asks."""
    asker = grid(tmp_path / "grid", width=1, depth=1)
    dvc(asker, "remote", "add", "far", "../storage")
    run(tmp_path, "git", "clone", "-q", "--bare", str(asker), "git")
    run(asker, "git", "remote", "add", "origin", str(tmp_path / "git"))
    (asker / "params.yaml").write_text("seed: 1\n")
    with machines(tmp_path, asker, 1) as found:
        assert "no commit" not in refused(found, "--remote", "near"), "there is no such remote"
        commit(asker, "a remote")
        assert "`git push` first" in refused(found, "--remote", "far")
        run(asker, "git", "push", "-q", "origin", "HEAD")
        pipeline = yaml.safe_load((asker / "dvc.yaml").read_text())
        good = pipeline["stages"]["cell0-0"]["cmd"]
        pipeline["stages"]["cell0-0"]["cmd"] = "echo This went wrong; exit 3"
        (asker / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
        said = refused(found, "--remote", "far", "--keep-going")
        assert "This went wrong" in said
        assert "cell0-0 failed" in said
        assert "join1: " in said, "what does not depend on it ran"
        assert "report: " not in said
        (asker / "dvc.yaml").write_text((asker / "dvc.yaml").read_text().replace("echo This went wrong; exit 3", good))
        said = ended(found.lanes("--remote", "far"))
        assert said.splitlines()[-1].startswith("3 stages in "), "it goes on from there"
    lock = yaml.safe_load((asker / "dvc.lock").read_text())["stages"]
    assert lock["first"]["params"]["params.yaml"]["seed"] == 1
    assert "up to date" in dvc(asker, "repro")
    assert (tmp_path / "storage/files/md5").is_dir()


def refused(machines: Machines, *words: str) -> str:
    """What a run said that had to fail, in words for people."""
    lanes = machines.lanes(*words)
    said, _ = lanes.communicate(timeout=120)
    assert lanes.returncode == 1, said
    assert "Traceback" not in said
    return said


def test_machines_of_a_list_of_ssh_hosts(tmp_path: Path) -> None:
    if SSHD is None:
        pytest.skip("no OpenSSH server: apt-get install openssh-server")
    asker = grid(tmp_path / "grid", width=2, depth=1)
    (tmp_path / "server").mkdir()
    (tmp_path / ".ssh").mkdir(mode=0o700)
    with serve(tmp_path / "server") as server:
        at = urlsplit(server.at)
        lines = [f"HostName {at.hostname}", f"Port {at.port}", f"User {at.username}", f"IdentityFile {server.key}"]
        (tmp_path / ".ssh/config").write_text("Host one two\n" + "".join(f"    {line}\n" for line in lines))
        key = (tmp_path / "server/host.pub").read_text()
        (tmp_path / ".ssh/known_hosts").write_text(f"[{at.hostname}]:{at.port} {key}one {key}two {key}")
        command = [sys.executable, "-m", "stages.lanes", "1", "--ssh", "one", "two"]
        environment = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=asker, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("7 stages in ")
    assert "up to date" in dvc(asker, "repro")
    wait_until(lambda: not left(asker))
