"""Kill the toy pipeline at random moments, again and again: is anything lost?

    python -m benchmarks.kills [KILLS [SEED]]        # prints JSON; about nine seconds per kill

The first round begins with an empty workspace. It starts `dvc repro`, and kills it after a random time by SIGKILL,
SIGTERM or SIGINT, sent to the stage's process, to dvc, or to the whole process group. It repeats this until `dvc repro`
succeeds. Each later round does the same while one stage is forced to run again, and then while `dvc repro` finds that
nothing is left to do. The stages take turns. After every round, each output that DVC tracks must have the same bytes as
after an undisturbed run, except measured times and the files that show them.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from tqdm import tqdm

from facedistill.files import sha256
from tests.toy_repository import build, toy

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TARGETS = ("stage", "dvc", "group")
LONGEST, PATIENCE = 10.0, 1.2
"""The longest time from the start of `dvc repro` to the kill, in seconds, and the factor by which it grows after each
kill, so that a round ends."""

TORN = {".dvc/tmp/rwlock": "Unable to read RWLock-file", "dvc.lock": "'./dvc.lock'"}
"""The files that DVC writes in place, and a part of its message about one that a kill has cut off."""

LOG = "repro.log"
TIMED = (
    "reports/metrics/networks/cost.json",
    "reports/metrics/exports/",
    "reports/speed/",
    "exports/",
    "reports/tables.md",
    "reports/index.html",
    "reports/plots",
)
"""The beginnings of the paths of outputs that contain measured times."""


def main() -> None:
    kills, seed = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 200), (2, 0)))
    rng = random.Random(seed)
    # A process that a shell runs in the background ignores SIGINT, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with TemporaryDirectory() as folder:
        repository = build(Path(folder) / "repository", toy())
        began = time.perf_counter()
        assert _repro(repository).wait() == 0
        undisturbed, seconds = _outputs(repository), time.perf_counter() - began
        every = list(yaml.safe_load((repository / "dvc.lock").read_text())["stages"])
        done: Counter[str] = Counter()
        stages: Counter[str] = Counter()
        mended: Counter[str] = Counter()
        rounds, bar = 0, tqdm(total=kills, unit=" kills", disable=None)
        _forget(repository)
        turns: list[str] = []
        while done.total() < kills:
            commands: list[list[str]] = [[]]
            if rounds:
                turns = turns or rng.sample(every, len(every))
                commands.insert(0, ["--force", "--single-item", turns.pop()])
            rounds += 1
            for arguments in commands:
                longest = LONGEST
                while (found := _kill(repository, arguments, longest, rng, mended)) is not None:
                    kind, stage = found
                    done[kind] += 1
                    stages[stage] += 1
                    longest *= PATIENCE
                    bar.update()
            if different := {out for out, md5 in _outputs(repository).items() if undisturbed.get(out) != md5}:
                sys.exit(
                    f"after {done.total()} kills, round {rounds}: differ from the undisturbed run: {sorted(different)}"
                )
        bar.close()
    result = {
        "kills": done.total(),
        "by_signal_and_target": dict(sorted(done.items())),
        "by_stage": dict(stages.most_common()),
        "orphans_waited_for": mended["orphan"],
        "torn_files_of_dvc_removed": {name: mended[name] for name in TORN},
        "sigints_that_had_to_be_sent_again": {k: n for k, n in sorted(mended.items()) if k.startswith("SIGINT")},
        "rounds": rounds,
        "undisturbed_seconds": round(seconds),
        "outputs_that_differ": 0,
    }
    print(json.dumps(result, indent=1))


def _kill(
    repository: Path, arguments: list[str], longest: float, rng: random.Random, mended: Counter[str]
) -> tuple[str, str] | None:
    """Start `dvc repro` with these arguments and kill it.

    Returns the signal with its target, and the stage that ran; None if `dvc repro` succeeded before the kill. If it
    fails, that may be the effect of an earlier kill: then this waits for an orphan to end, or removes a file that DVC
    was writing, counts it in `mended`, and tries again. Any other failure ends the benchmark.
    """
    while True:
        process = _repro(repository, arguments)
        try:
            process.wait(timeout=rng.uniform(0.5, longest))
        except subprocess.TimeoutExpired:
            break
        if process.returncode == 0:
            return None
        output = (repository / LOG).read_text()
        if torn := [name for name, said in TORN.items() if said in output]:
            (repository / torn[0]).unlink()
            mended[torn[0]] += 1
            continue
        orphan = re.search(r"already running as process (\d+)", output)
        if not orphan:
            sys.exit(f"dvc repro failed by itself:\n{output}")
        mended["orphan"] += 1
        while Path(f"/proc/{orphan[1]}").exists():
            time.sleep(0.2)
    stage = _stage(process.pid)
    number, target = rng.choice(SIGNALS), rng.choice(TARGETS)
    if target == "group":
        os.killpg(process.pid, number)
    elif target == "stage" and stage:
        os.kill(stage[0], number)
    else:
        target = "dvc"
        process.send_signal(number)
    name = stage[1] if stage else "between stages"
    # DVC leaves a SIGINT to the stage that it runs. A SIGINT to DVC alone therefore stops nothing; Ctrl-C reaches both.
    # If a SIGINT comes during an import, an `except:` of a library may swallow it: a user would press Ctrl-C again.
    if number == signal.SIGINT:
        try:
            process.wait(timeout=5 if target == "dvc" else 30)
        except subprocess.TimeoutExpired:
            if target != "dvc":
                mended[f"SIGINT to {target}, {name}"] += 1
            os.killpg(process.pid, signal.SIGINT)
            target += ", then the group"
    try:
        process.wait(timeout=120)
    except subprocess.TimeoutExpired:
        log = (repository / LOG).read_text()
        sys.exit(f"{number.name} to {target}, {name}: still there after two minutes; dvc repro said:\n{log}")
    return f"{number.name} to {target}", name


def _repro(repository: Path, arguments: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start `dvc repro` in a process group of its own. The group has the number of the process."""
    with (repository / LOG).open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro", *arguments],
            cwd=repository,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def _stage(group: int) -> tuple[int, str] | None:
    """Return the process and the name of the stage that runs in the group; None if none runs."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = folder.joinpath("cmdline").read_bytes().split(b"\0")
            same = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[2]) == group
        except OSError:
            continue
        if same and b"-m" in command and (name := command[command.index(b"-m") + 1]).startswith(b"stages."):
            return int(folder.name), name.decode().removeprefix("stages.")
    return None


def _outputs(repository: Path) -> dict[str, str]:
    """Return a digest of each output by its path: the md5 from dvc.lock; for exports the sha256 of the ONNX files."""
    lock: dict[str, Any] = yaml.safe_load((repository / "dvc.lock").read_text())
    outs = (out for stage in lock["stages"].values() for out in stage.get("outs", []))
    exports = {str(file.relative_to(repository)): sha256(file) for file in (repository / "exports").rglob("*.onnx")}
    return exports | {out["path"]: out["md5"] for out in outs if not out["path"].startswith(TIMED)}


def _forget(repository: Path) -> None:
    """Remove everything that a run could use instead of doing the work itself."""
    for name in ("dvc.lock", ".dvc/cache", ".dvc/tmp", "models", "data/crops", "data/manifests", "reports"):
        path = repository / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
