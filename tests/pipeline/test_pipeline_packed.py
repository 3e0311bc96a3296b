"""The pipeline on RecordIO and .bin files only: no landmarks, identities known only within pairs, tables 1 and 2."""

from __future__ import annotations

import json
import pickle
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from packed_faces import write_recordio
from toy_repository import dvc, reproduced, run, stages_run, toy

from facedistill.data.align_crop import crop_photograph
from facedistill.data.face_crop import CropParams
from facedistill.data.photograph import Photograph
from facedistill.data.synthetic.source import SyntheticParams, SyntheticSource

SIZE = 24
PEOPLE, EACH, PAIRS = 8, 5, 60


def drawn(first_person: int) -> list[list[bytes]]:
    """Aligned crops of people, as a packed set has them."""
    source = SyntheticSource(SyntheticParams("synthetic", PEOPLE, EACH, first_person=first_person))
    people: dict[str | None, list[bytes]] = {}
    for photograph in source.scan():
        assert isinstance(photograph, Photograph)
        crop = crop_photograph(source.read(photograph.key), photograph, CropParams("landmarks", SIZE))
        people.setdefault(photograph.identity, []).append(crop.image)
    return list(people.values())


def write_bin(file: Path, people: list[list[bytes]]) -> None:
    """Same and different in turn; the two of a pair are neighbours among the crops of all."""
    same = [i % 2 == 0 for i in range(PAIRS)]
    alike = [pair for of_one in people for pair in pairwise(of_one)]
    apart = [(a, b) for one, other in pairwise(people) for a, b in zip(one, other, strict=True)]
    images = [image for i, s in enumerate(same) for image in (alike if s else apart)[i // 2 % 30]]
    file.write_bytes(pickle.dumps((images, same), 2))


def packed(root: Path) -> dict[str, Any]:
    """The toy's parameters on packed sets that are written below `root`; one student, and no other tables."""
    write_recordio(root / "faces", drawn(0))
    for name, first_person in (("lfw", 1000), ("cfp_fp", 2000)):
        write_bin(root / f"{name}.bin", drawn(first_person))
    params = toy()
    dataset = params["datasets"]["classification"] | {"crop": {"method": "none", "pixels": SIZE}}
    params["datasets"] = {"classification": dataset | {"source": {"kind": "recordio", "root": str(root / "faces")}}}
    for name in ("lfw", "cfp_fp"):
        source = {"kind": "bin", "file": str(root / f"{name}.bin")}
        params["datasets"][name] = dataset | {"source": source, "split": None}
    params["evaluation"] = {"pairs": ["lfw", "cfp_fp"], "far": 0.2}
    for section in ("losses", "architectures", "weighting", "custom"):
        params[section]["students"] = []
    params["proxyless"] = {"students": [], "margins": []}
    for section in ("alignment", "verification"):
        params[section] = {"tasks": [], "students": []}
    params["export"]["models"] = ["small/table2/wang"]
    del params["students"]["other"]
    return params


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("packed")
    return reproduced(root / "repository", packed(root))


def test_tables_1_and_2_come_out_of_packed_sets_alone(repository: Path) -> None:
    text = (repository / "reports/tables.md").read_text(encoding="utf-8")
    assert "## Table 1" in text
    assert all(f"| {title} | Teacher | ResNet-50/16 |" in text for title in ("Top-1", "LFW", "CFP-FP"))
    assert "Table 3" not in text
    assert f"photographs in RecordIO, {PEOPLE} people, {PEOPLE * (EACH - 1)} training" in text
    metrics = json.loads((repository / "reports/metrics/networks/small.json").read_text())["table2"]["wang"]
    assert metrics["pairs"].keys() == {"lfw", "cfp_fp"}
    assert "rank1" not in metrics
    assert not (repository / "models/teacher/alignment").exists()
    assert {folder.name for folder in (repository / "data/crops").iterdir()} == {"classification", "lfw", "cfp_fp"}


def test_the_choice_of_pairs_trains_nothing_and_a_set_that_nothing_uses_is_refused_at_once(repository: Path) -> None:
    assert not stages_run(dvc(repository, "repro", "--dry"))
    file = repository / "params.yaml"
    before = file.read_text()
    try:
        file.write_text(before.replace("  - lfw\n  - cfp_fp\n", "  - cfp_fp\n  - lfw\n"))
        assert stages_run(dvc(repository, "repro", "--dry")) == {
            "evaluate_teacher",
            "evaluate@small",
            "export@small/table2/wang",
            "report",
        }
        file.write_text(before.replace("  - lfw\n  - cfp_fp\n", "  - lfw\n"))
        with pytest.raises(AssertionError, match=r"datasets\.cfp_fp: nothing uses this set"):
            run(repository, sys.executable, "-m", "stages.prepare", "--dataset", "lfw")
    finally:
        file.write_text(before)
