"""A parameter file drawn from the schema is refused by the name of a key, or runs through the whole pipeline.

DRAWN_PARAMETER_FILES is how many are drawn; 20 by default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from drawn_params import base, outcome, parameter_files
from hypothesis import HealthCheck, Phase, event, given, settings
from matplotlib.figure import Figure
from toy_repository import ROOT

from facedistill.data import parallel
from facedistill.evaluation import cost
from facedistill.export import latency
from facedistill.params import items
from facedistill.report import render, style


class Here(Executor):
    """In place of a pool of processes: what is submitted runs at once."""

    def submit(self, task: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(task(*arguments, **named))
        return done


def laid_out(figure: Figure, file: Path) -> None:
    """In place of `style.save`: all but the encoding of the picture."""
    figure.draw_without_rendering()
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.zeros((8, 8, 3), np.uint8))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, no process beside this one, no time measured, and pictures that are laid out and not encoded."""
    threads, here = torch.get_num_threads(), Path.cwd()
    torch.set_num_threads(1)
    monkeypatch.setattr(parallel, "cores", lambda: 1)
    monkeypatch.setattr(style, "save", laid_out)
    monkeypatch.setattr(latency, "_median", lambda *_: 1.0)
    monkeypatch.setattr(cost, "latency", lambda *_: 1.0)
    monkeypatch.setattr(render, "pool", lambda: nullcontext(Here()))
    yield
    torch.set_num_threads(threads)
    os.chdir(here)


def in_a_folder_of_its_own(values: dict[str, Any]) -> str:
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("data").mkdir()
        Path("data/leave_out").symlink_to(ROOT / "data/leave_out")
        try:
            return outcome(values)
        finally:
            os.chdir(ROOT)


def test_the_toy_that_files_are_drawn_from_runs() -> None:
    assert in_a_folder_of_its_own(base()) == "finished"


@settings(
    max_examples=int(os.environ.get("DRAWN_PARAMETER_FILES", "20")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
    database=None,
    print_blob=True,
)
@given(parameter_files())
def test_a_drawn_file_is_refused_by_its_key_or_runs_to_its_end(values: dict[str, Any]) -> None:
    before = {key for key, _ in items(values)}
    found = in_a_folder_of_its_own(values)
    event(found if found == "finished" else "refused")
    if found != "finished":
        named = set(re.findall(r"[a-z][\w-]*(?:\.[\w-]+)*", found))
        assert named & before, f"no key of the file is named: {found}"
