"""The whole pipeline on a user's own names: one data set for two tasks, pairs and students called as the user likes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toy_repository import dvc, reproduced, stages_run, toy


def own_names() -> dict[str, Any]:
    """Tables 2 and 3 of one network, with two seeds in table 2, called as another network and as a table are."""
    params = toy()
    params["datasets"] = {"faces": params["datasets"]["classification"], "unseen": params["datasets"]["lfw"]}
    for task in params["tasks"].values():
        task["dataset"] = "faces"
    params["evaluation"]["pairs"] = ["unseen"]
    network = params["students"]["small"]
    params["students"] = {"conv5": network, "losses": network | {"seed": 1}}
    for section in ("table1", "verification", "losses", "architectures", "weighting", "proxyless"):
        params[section]["students"] = []
    params["table2"]["students"], params["alignment"]["students"] = ["conv5", "losses"], ["conv5"]
    params["verification"]["tasks"], params["proxyless"]["margins"] = [], []
    params["export"]["models"] = ["teacher/classification", "losses/ours", "conv5/alignment/ours/soft"]
    return params


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own in which the pipeline has run once on these names."""
    return reproduced(tmp_path_factory.mktemp("names"), own_names())


def test_a_repro_reaches_the_end_and_its_report_is_about_these_sets(repository: Path) -> None:
    assert {folder.name for folder in (repository / "data/crops").iterdir() if folder.is_dir()} == {"faces", "unseen"}
    tables = (repository / "reports/tables.md").read_text(encoding="utf-8")
    assert "Trained several times: ResNet-50/16 with seeds 0, 1" in tables
    assert "## Table 2. Classification: top-1 and unseen accuracy (%)" in tables
    assert "`losses/ours` | PyTorch" in tables
    assert {"pairs.jpg", "crops.jpg", "landmarks.jpg"} <= {
        file.name for file in (repository / "reports/plots").iterdir()
    }
    card = json.loads((repository / "exports/losses/ours/card.json").read_text(encoding="utf-8"))
    assert card["measured_on"] == "unseen"
    assert not stages_run(dvc(repository, "repro"))
