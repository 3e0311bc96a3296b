"""Models go from one machine to another by a shared folder and by a real SSH server.

DVC does the work. These tests show that it can share this repository, and that docs/sharing.md is right about its
messages and about how to go on after each.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from openssh import SSHD, Server, free_port, serve
from toy_repository import dvc, reproduced, run, stages_run, toy

STORAGE = "facedistill-storage"
MODEL = "models/resnet50-8/init/softmax/model.safetensors"
KEPT = ("data", "models", "exports", "reports")
IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@t")
ARTIFACT, EXPORT = "student-alignment", "exports/resnet50-8/alignment/pretrain/soft"


def parameters() -> dict[str, Any]:
    """The toy with tables 2 and 3 alone, and its student under the name that the artifact has."""
    params = toy()
    params["students"] = {"resnet50-8": params["students"]["small"]}
    for section in ("table1", "losses", "architectures", "weighting"):
        params[section]["students"] = []
    params["proxyless"] = {"students": [], "margins": []}
    params["verification"] = {"tasks": [], "students": []}
    for section in ("table2", "alignment"):
        params[section]["students"] = ["resnet50-8"]
    params["custom"]["students"] = []
    params["export"]["models"] = [EXPORT.removeprefix("exports/")]
    return params


@pytest.fixture(scope="module", autouse=True)
def _indexes_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """DVC notes elsewhere on the machine what a remote has; its users' notes stay as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("index")))
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Machine A after `dvc repro`; not to be changed."""
    return reproduced(tmp_path_factory.mktemp("trained") / "a", parameters())


@pytest.fixture(scope="module")
def experimented(trained: Path) -> Path:
    """Machine B, which has all that A has, after an experiment with another beta; not to be changed."""
    copy = Path(shutil.copytree(trained, trained.with_name("b"), symlinks=True))
    ran = stages_run(dvc(copy, "exp", "run", "-n", "hidden", "-S", "beta=0"))
    assert ran == {"custom_alignment@resnet50-8", "report"}
    return copy


@dataclass(frozen=True)
class Share:
    """What the machines have in common: a git repository, and the storage that the server, or the folder, gives.

    objects: all that A pushed, by hash.
    """

    folder: Path
    server: Server | None
    a: Path
    objects: frozenset[str] = frozenset()

    @property
    def git(self) -> Path:
        return self.folder / "git"

    @property
    def storage(self) -> Path:
        return self.folder / STORAGE

    def url(self, folder: Path) -> str:
        return f"{self.server.at}{folder}" if self.server else str(folder)

    def use(self, machine: Path, storage: Path | None = None, **credentials: object) -> Path:
        """The machine, where its own config.local, as `dvc remote modify --local` writes it, has said what to use.

        A folder beside the repository needs no word: that is the committed configuration.
        """
        values: dict[str, object] = {"url": self.url(storage)} if storage else {}
        if self.server:
            values = {"url": self.url(self.storage), "keyfile": self.server.key} | values | credentials
        lines = ["['remote \"storage\"']", *(f"    {key} = {value}" for key, value in values.items())]
        (machine / ".dvc/config.local").write_text("\n".join(lines) + "\n")
        return machine

    def clone(self, name: str, storage: Path | None = None, **credentials: object) -> Path:
        """A new machine, with what is in git and nothing else."""
        run(self.folder, "git", "clone", "-q", str(self.git), name)
        return self.use(self.folder / name, storage, **credentials)

    def copy(self, machine: Path, name: str) -> Path:
        """A machine that has all of another's files and may be changed."""
        copy = Path(shutil.copytree(machine, self.folder / name, symlinks=True))
        run(copy, "git", "config", "remote.origin.url", str(self.git))
        return self.use(copy)


@pytest.fixture(scope="module", params=["folder", "ssh"])
def share(request: pytest.FixtureRequest, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Share]:
    """A has pushed: what it committed to git, everything else to the storage."""
    folder = tmp_path_factory.mktemp(request.param)
    run(folder, "git", "clone", "-q", "--bare", str(trained), "git")
    if request.param == "folder":
        yield _pushed(folder, None, trained)
        return
    if SSHD is None:
        pytest.skip("no OpenSSH server: apt-get install openssh-server")
    if find_spec("dvc_ssh") is None:
        pytest.skip("DVC does not speak SSH: pip install dvc-ssh")
    (folder / "server").mkdir()
    with serve(folder / "server") as server:
        yield _pushed(folder, server, trained)


def _pushed(folder: Path, server: Server | None, trained: Path) -> Share:
    share = Share(folder, server, folder / "a")
    share.copy(trained, "a")
    assert "pushed" in dvc(share.a, "push")
    return replace(share, objects=objects(share.storage))


def refused(machine: Path, *arguments: str) -> str:
    """What DVC says to a command that fails, without a traceback."""
    result = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=machine, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert result.returncode != 0, result.stdout
    assert "Traceback" not in result.stderr
    return result.stderr


def same(machine: Path, other: Path) -> bool:
    """Whether two machines have the same files of data, models and exports, byte for byte."""
    found, wanted = (
        {file.relative_to(m): file.read_bytes() for kept in KEPT for file in (m / kept).rglob("*") if file.is_file()}
        for m in (machine, other)
    )
    return found == wanted


def objects(folder: Path) -> frozenset[str]:
    """What DVC keeps there, by the hashes that its names are, whole objects and no others."""
    names = (f"{Path(at).name}{name}" for at, _, files in os.walk(folder) for name in files)
    return frozenset(name for name in names if len(name.partition(".")[0]) == 32)


def place(share: Share, path: str) -> Path:
    """Where the storage keeps a file or folder of the repository."""
    return Path(urlsplit(dvc(share.a, "get", ".", path, "--show-url").strip()).path)


def test_a_fresh_clone_pulls_and_has_nothing_to_run(share: Share) -> None:
    b = share.clone("fresh")
    assert not (b / "models").exists()
    dvc(b, "pull")
    output = dvc(b, "repro")
    assert not stages_run(output)
    assert "up to date" in output
    assert same(b, share.a)
    # What a machine uses to get in is its own.
    assert not run(b, "git", "status", "--porcelain")
    assert "config.local" not in run(b, "git", "ls-files", ".dvc")


def test_an_experiment_of_one_is_applied_by_the_other_without_training(share: Share, experimented: Path) -> None:
    b, a = share.copy(experimented, "b"), share.copy(share.a, "a_applies")
    dvc(b, "exp", "push", "origin", "hidden")
    dvc(a, "exp", "pull", "origin", "hidden")
    dvc(a, "exp", "apply", "hidden")
    assert "beta: 0" in (a / "params.yaml").read_text()
    assert not stages_run(dvc(a, "repro"))
    changed = "models/custom/resnet50-8/alignment/distill/model.safetensors"
    assert (a / changed).read_bytes() == (b / changed).read_bytes() != (share.a / changed).read_bytes()


def test_a_pull_that_was_killed_goes_on(share: Share) -> None:
    b, some = share.clone("killed"), 20
    cache = b / ".dvc/cache/files/md5"
    command = [sys.executable, "-m", "dvc", "pull", "-q", "-j", "1"]
    with subprocess.Popen(command, cwd=b, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as pull:
        while pull.poll() is None and len(objects(cache)) < some:
            time.sleep(0.001)
        pull.kill()
    assert some <= len(objects(cache)) < len(share.objects)
    assert not same(b, share.a)
    dvc(b, "pull")
    assert same(b, share.a)


def test_what_is_missing_or_flipped_on_the_storage_is_named_and_mended_from_a_machine_that_has_it(share: Share) -> None:
    b, output = share.clone("mended"), str(Path(MODEL).parents[1])
    stored = {path: place(share, path) for path in (MODEL, output)}

    def mend() -> None:
        for file in stored.values():
            file.unlink(missing_ok=True)
        assert "2 files pushed" in dvc(share.a, "push")

    stored[MODEL].unlink()
    assert stored[MODEL].parent.name + stored[MODEL].name in refused(b, "pull")
    mend()

    damaged = bytearray(stored[MODEL].read_bytes())
    damaged[len(damaged) // 2] ^= 1
    stored[MODEL].chmod(0o644)
    stored[MODEL].write_bytes(damaged)
    said = refused(b, "pull")
    assert "Checkout failed for following targets" in said
    assert output in said
    # The byte never arrives, and all that is whole does.
    assert not (b / output).exists()
    assert (b / "models/resnet50-8/table2/soft/model.safetensors").is_file()
    assert MODEL in dvc(b, "status", "--cloud")
    mend()

    dvc(b, "pull")
    assert same(b, share.a)


def test_a_storage_that_is_down_or_locked_is_said_to_be_and_costs_nothing(share: Share) -> None:
    b = share.clone("down")
    if share.server:
        nobody = Server(f"ssh://127.0.0.1:{free_port()}", share.server.key, share.server.other_key)
        replace(share, server=nobody).use(b)
        assert "failed to connect to ssh" in refused(b, "pull")
        share.use(b, keyfile=share.server.other_key)
        assert "Permission denied for user" in refused(b, "pull")
    else:
        share.use(b, share.folder / "not_mounted")
        assert "neither locally nor on remote" in refused(b, "pull")
    share.use(b)
    dvc(b, "pull")
    assert same(b, share.a)


def test_a_full_storage_takes_the_rest_once_there_is_room(share: Share, tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a disk that is full takes the right to mount one")
    try:
        a = share.use(share.copy(share.a, "full"), tmp_path / "storage")
        said = refused(a, "push")
        assert "failed to push data to the cloud" in said
        assert ("Failure" if share.server else "No space left on device") in said
        assert same(a, share.a)
        run(tmp_path, "mount", "-o", "remount,size=200m", str(tmp_path))
        assert "pushed" in dvc(a, "push")
        assert objects(tmp_path / "storage") == share.objects
    finally:
        run(Path("/"), "umount", str(tmp_path))


def test_an_exported_model_is_had_by_its_name_without_a_clone(share: Share, tmp_path: Path) -> None:
    publisher = share.clone("publisher")
    dvc(publisher, "remote", "modify", "storage", "url", share.url(share.storage))
    run(publisher, "git", *IDENTITY, "commit", "-qam", "where the models are")
    run(publisher, "git", *IDENTITY, "tag", "-a", f"{ARTIFACT}@v1.0.0", "-m", "the first")
    run(publisher, "git", "push", "-q", "origin", f"{ARTIFACT}@v1.0.0")
    key = ["--remote-config", f"keyfile={share.server.key}"] if share.server else []
    dvc(tmp_path, "artifacts", "get", str(share.git), ARTIFACT, "-o", "model", *key)
    for name in ("float32.onnx", "int8.onnx", "card.md"):
        assert (tmp_path / "model" / name).read_bytes() == (share.a / EXPORT / name).read_bytes()
