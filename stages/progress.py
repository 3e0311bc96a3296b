"""How far `dvc repro` is: the number of the stage, and how long the rest takes at most, by times of earlier runs."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

from facedistill.files import write_whole
from facedistill.params import check, read
from facedistill.paths import RESUME

PIPELINE = Path("dvc.yaml")
TIMES = RESUME / "times.json"
"""The seconds that each stage took the last time, by its name and its script."""


def announce() -> None:
    """Print how far the pipeline is. Prints nothing if DVC does not run this stage, or if stderr is no terminal."""
    stage = os.environ.get("DVC_STAGE")
    if not stage or not sys.stderr.isatty():
        return
    stages = names(read(PIPELINE), read())
    if stage in stages:
        print(standing(stage, stages, times()), file=sys.stderr)


def note(seconds: float) -> None:
    """Store how long the stage took, if DVC runs it."""
    if stage := os.environ.get("DVC_STAGE"):
        found, script = _kept(), Path(sys.argv[0]).stem
        found[stage] = found.get(stage, {}) | {script: round(seconds, 1)}
        TIMES.parent.mkdir(exist_ok=True)
        write_whole(TIMES, json.dumps(found, indent=1).encode())


def names(pipeline: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
    """The stages of dvc.yaml, with the names that DVC gives them, in the order in which DVC runs them.

    That is the order of the file, in which every stage is below those that it depends on.
    """
    found = []
    for name, stage in pipeline["stages"].items():
        axes = [_values(axis, params) for axis in stage.get("matrix", {}).values()]
        found += [f"{name}@{'-'.join(map(str, values))}" if values else name for values in product(*axes)]
    return found


def _values(axis: Any, params: Any) -> Iterable[Any]:
    """The items of a list. For `${a.b}`, the items of that list in the parameters, or the keys of that mapping."""
    if not isinstance(axis, str):
        return axis  # type: ignore[no-any-return]
    for key in axis.removeprefix("${").removesuffix("}").split("."):
        params = params[key]
    return params  # type: ignore[no-any-return]


def times() -> dict[str, float]:
    """The seconds of each stage in TIMES. Empty if the file is missing or damaged: the next runs write a new one."""
    return {stage: sum(scripts.values()) for stage, scripts in _kept().items()}


def _kept() -> dict[str, dict[str, float]]:
    with suppress(OSError, ValueError):
        return {
            stage: scripts
            for stage, scripts in check(dict[str, dict[str, float]], json.loads(TIMES.read_bytes()), str(TIMES)).items()
            if all(math.isfinite(seconds) and seconds >= 0 for seconds in scripts.values())
        }
    return {}


def standing(stage: str, stages: Sequence[str], seconds: Mapping[str, float]) -> str:
    """One line with the place of `stage` among `stages`, and with the time from its start to the end of the last one.

    DVC will skip stages that are up to date, but which they are is not known yet. So the time for all is the maximum.
    """
    place = stages.index(stage)
    known = [seconds[name] for name in stages[place:] if name in seconds]
    text = f"stage {place + 1} of {len(stages)}"
    if not known:
        return f"{text}, no times of earlier runs yet"
    text += f", at most about {_duration(sum(known))} left"
    missing = len(stages) - place - len(known)
    return text + (f", and {missing} without a time of an earlier run" if missing else "")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
