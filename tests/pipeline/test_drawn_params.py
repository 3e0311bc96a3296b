"""A parameter file drawn from the schema either is refused, with the name of a key, or runs through the whole pipeline.

DRAWN_PARAMETER_FILES says how many files are drawn; the default is 15.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
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
from report_mock import here
from toy_repository import ROOT

from facedistill.data import parallel
from facedistill.data.synthetic.source import SyntheticParams, SyntheticSource
from facedistill.evaluation import cost
from facedistill.export import latency
from facedistill.grid import layout as grid
from facedistill.params import items
from facedistill.report import render
from facedistill.report.pictures import style


def laid_out(figure: Figure, file: Path) -> None:
    """In place of `style.save`: all but the encoding of the picture."""
    figure.draw_without_rendering()
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.zeros((8, 8, 3), np.uint8))


DRAW = SyntheticSource.read


@cache
def _drawn(params: SyntheticParams, key: str) -> bytes:
    return DRAW(SyntheticSource(params), key)


def drawn_once(source: SyntheticSource, key: str) -> bytes:
    """In place of `SyntheticSource.read`: most drawn files have the same photographs."""
    return _drawn(source.params, key)


def one_in_four(draw: Callable[..., Any]) -> Callable[..., Any]:
    """The pictures of every fourth report: they take as long as all else of a toy."""
    numbers = count()
    return lambda root, drawing: ([], {}) if next(numbers) % 4 else draw(root, drawing)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, no process beside this one, no time measured, and pictures that are laid out and not encoded."""
    threads, folder = torch.get_num_threads(), Path.cwd()
    torch.set_num_threads(1)
    monkeypatch.setattr(parallel, "cores", lambda: 1)
    monkeypatch.setattr(style, "save", laid_out)
    monkeypatch.setattr(latency, "_median", lambda *_: 1.0)
    monkeypatch.setattr(cost, "latency", lambda *_: 1.0)
    monkeypatch.setattr(SyntheticSource, "read", drawn_once)
    monkeypatch.setattr(render, "pool", here)
    monkeypatch.setattr(render, "_draw", one_in_four(render._draw))
    yield
    torch.set_num_threads(threads)
    os.chdir(folder)


def in_a_folder(folder: Path, values: dict[str, Any]) -> str:
    os.chdir(folder)
    Path("data").mkdir()
    Path("data/leave_out").symlink_to(ROOT / "data/leave_out")
    try:
        return outcome(values)
    finally:
        os.chdir(ROOT)


def own_names() -> dict[str, Any]:
    """One data set for two tasks; pairs, and two seeds of a network, called as the user likes."""
    params = base()
    params["datasets"] = {"faces": params["datasets"]["classification"], "unseen": params["datasets"]["lfw"]}
    for task in params["tasks"].values():
        task["dataset"] = "faces"
    params["evaluation"]["pairs"] = ["unseen"]
    network = params["students"]["small"]
    params["students"] = {"conv5": network, "losses": network | {"seed": 1}}
    for section in grid.TABLES:
        params[section]["students"] = {"table2": ["conv5", "losses"], "alignment": ["conv5"]}.get(section, [])
    params["export"]["models"] = ["teacher/classification", "losses/table2/wang", "conv5/alignment/distill/soft"]
    return params


def test_names_of_the_user_run_to_the_end_and_the_report_is_about_these_sets(tmp_path: Path) -> None:
    assert in_a_folder(tmp_path, own_names()) == "finished"
    tables = (tmp_path / "reports/tables.md").read_text(encoding="utf-8")
    assert "Trained with several seeds: ResNet-50/64 with seeds 0, 1" in tables
    assert "| unseen | Teacher | " in tables
    assert "`losses/table2/wang` | PyTorch" in tables
    pictures = {file.name for file in (tmp_path / "reports/plots").iterdir()}
    assert {"pairs.jpg", "crops.jpg", "landmarks.jpg"} <= pictures
    card = json.loads((tmp_path / "exports/losses/table2/wang/card.json").read_text(encoding="utf-8"))
    assert card["measured_on"] == "unseen"


@settings(
    max_examples=int(os.environ.get("DRAWN_PARAMETER_FILES", "15")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
    database=None,
    print_blob=True,
)
@given(parameter_files())
def test_a_drawn_file_is_refused_by_its_key_or_runs_to_its_end(values: dict[str, Any]) -> None:
    keys = [key for key, _ in items(values)]
    before = {*keys, *(key.rpartition(".")[2] for key in keys)}
    with TemporaryDirectory() as folder:
        found = in_a_folder(Path(folder), values)
    event(found if found == "finished" else "refused")
    if found != "finished":
        named = set(re.findall(r"[a-z][\w-]*(?:\.[\w-]+)*", found))
        assert named & before, f"no key of the file is named: {found}"
