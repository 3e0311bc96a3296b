"""What `stages.lanes` asks DVC: which stages have to run, what each needs, and how a result gets into this folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from dask.utils import parse_bytes
from pydantic import Field

from facedistill import git
from facedistill.params import PARAMS_FILE, check, params
from stages.lanes.guard import pack, unpack

LOCK = "dvc.lock"
LARGEST = 100_000_000
"""How many bytes of files that git does not have go with a stage to another machine."""


@params
class Needs:
    """What a stage needs while it runs: its `meta` in dvc.yaml.

    threads: of the CPU. None: its share, the cores of the machine divided by its lanes.
    gpu: how many GPUs, on machines that have some.
    memory: such as `16GB`.
    alone: nothing else may run on the same machine, because it measures time.
    """

    threads: Annotated[int, Field(ge=1)] | None = None
    gpu: Annotated[int, Field(ge=0)] = 0
    memory: str | int = 0
    alone: bool = False

    def resources(self, machines: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """What the stage takes of Dask's resources, if these are the resources of the machines."""
        lanes, gpus = (max((machine.get(name, 0) for machine in machines), default=0) for name in ("lane", "gpu"))
        # Without any GPU, training is on the CPU.
        wanted = {"lane": lanes if self.alone else 1, "gpu": self.gpu if gpus else 0}
        wanted |= {"threads": self.threads or 0, "memory": parse_bytes(self.memory)}
        return {name: float(value) for name, value in wanted.items() if value}

    def check(self, stage: str, machines: Sequence[Mapping[str, float]]) -> None:
        """Exit with a message if none of the machines has what the stage needs."""
        wanted = self.resources(machines)
        if not any(all(machine.get(name, 0) >= value for name, value in wanted.items()) for machine in machines):
            found = "; ".join(sorted({str(dict(machine)) for machine in machines}))
            sys.exit(f"dvc.yaml: {stage}: meta: no machine has {wanted}; the machines have {found}")


@dataclass(frozen=True)
class Stage:
    """A stage that has to run.

    before: the stages that have to run before it.
    upstream: all stages whose outputs it reads.
    uncached: its outputs that DVC does not keep in its cache.
    """

    before: frozenset[str] = frozenset()
    needs: Needs = field(default_factory=Needs)
    upstream: tuple[str, ...] = ()
    uncached: tuple[str, ...] = ()


def set_params(assignments: list[str]) -> None:
    """Change params.yaml as `dvc exp run -S` does. Exits with a message if a key is unknown.

    assignments: such as "alpha=0".
    """
    from dvc.exceptions import InvalidArgumentError
    from dvc.utils.hydra import apply_overrides

    try:
        apply_overrides(PARAMS_FILE, assignments)
    except InvalidArgumentError as error:
        sys.exit(f"{error}: {error.__cause__}")


def changed_stages() -> dict[str, Stage]:
    """The stages that `dvc repro` would check: those that have changed and all that follow them, in its order."""
    from dvc.repo import Repo
    from dvc.repo.reproduce import get_active_graph, plan_repro

    with Repo(_wait_for_lock=True) as repo:
        graph, changed = repo.index.graph, repo.status()
        found: dict[str, Stage] = {}
        for stage in plan_repro(get_active_graph(graph)):
            name, upstream = stage.addressing, sorted(other.addressing for other in graph.successors(stage))
            before = frozenset(upstream) & found.keys()
            if before or name in changed:
                needs = check(Needs, stage.meta or {}, f"dvc.yaml: {name}: meta")
                uncached = tuple(out.def_path for out in stage.outs if not out.use_cache)
                found[name] = Stage(before, needs, tuple(upstream), uncached)
        return found


def locked_stages() -> list[str]:
    """The stages in dvc.lock, in its order."""
    from dvc.utils.serialize import load_yaml

    return [*load_yaml(LOCK).get("stages", {})] if Path(LOCK).exists() else []


def put_in_order(stages: Iterable[str]) -> None:
    """Give dvc.lock the order that `dvc repro` would have given it, whichever stage ended first.

    stages: those that were there before, and then all that ran, in the order of the pipeline.
    """
    from dvc.repo import Repo
    from dvc.utils.serialize import modify_yaml

    found = locked_stages()
    wanted = [name for name in dict.fromkeys([*stages, *found]) if name in found]
    if wanted != found:
        with Repo(_wait_for_lock=True) as repo, repo.lock, modify_yaml(LOCK) as data:
            data["stages"] = {name: data["stages"][name] for name in wanted}


@dataclass(frozen=True)
class Shared:
    """What machines that share no folder have in common.

    remote, storage: the name and the URL of the DVC remote.
    url, commit: of the git repository that each machine clones.
    """

    remote: str
    storage: str
    url: str
    commit: str

    @classmethod
    def of(cls, remote: str) -> Shared:
        """As this workspace has it. Exits with a message if something is missing."""
        from dvc.repo import Repo

        with Repo(_wait_for_lock=True) as repo:
            # A path in the committed configuration is relative to the clone, and elsewhere the clone is elsewhere.
            repo.cloud.get_remote(remote)  # raises DVC's error if there is none
            storage = str(repo.config["remote"][remote]["url"])
        url, commit = git.origin(), git.revision()
        if not url or not commit:
            sys.exit(
                "--remote: each machine clones this repository, so it needs a commit and `git remote add origin URL`"
            )
        return cls(remote, storage, url, commit)

    def push(self, stages: Mapping[str, Stage]) -> None:
        """Push the outputs that stages read and that are here already."""
        from dvc.repo import Repo

        targets = sorted({name for stage in stages.values() for name in stage.upstream} - stages.keys())
        if targets:
            with Repo(_wait_for_lock=True) as repo:
                repo.push(targets=targets, remote=self.remote)

    def job(self, stage: Stage) -> dict[str, Any]:
        """What guard.py needs, besides, to make this workspace's state in a clone, and to run the stage there."""
        edited = git.edited()
        if (size := sum(Path(path).stat().st_size for path in edited if Path(path).is_file())) > LARGEST:
            sys.exit(
                f"{size / 1e6:.0f} MB in files that git does not have would go to each machine: commit or ignore them"
            )
        own = {"upstream": stage.upstream, "uncached": stage.uncached, "files": pack(Path(), edited)}
        return vars(self) | own

    def adopt(self, name: str, answer: Mapping[str, Any]) -> None:
        """Fetch what a stage left elsewhere, and let DVC write its entry into dvc.lock.

        Raises RuntimeError if DVC finds other hashes here than the machine that ran the stage.
        """
        from dvc.repo import Repo
        from dvc.utils.serialize import load_yaml, modify_yaml, parse_yaml

        entry = parse_yaml(answer["lock"], LOCK)["stages"][name]
        before = Path(LOCK).read_bytes() if Path(LOCK).exists() else None
        try:
            unpack(Path(), answer["files"])
            with modify_yaml(LOCK) as data:
                data.setdefault("schema", "2.0")
                data.setdefault("stages", {})[name] = entry
            with Repo(_wait_for_lock=True) as repo:
                repo.pull(targets=[name], remote=self.remote, force=True)
                repo.commit(target=name, force=True)
            if load_yaml(LOCK)["stages"][name] != entry:
                raise RuntimeError(f"{name}: {answer['machine']} ran it with other inputs than this workspace has")
        except BaseException:
            Path(LOCK).unlink() if before is None else Path(LOCK).write_bytes(before)
            raise
