"""Users choose the names of data sets, pairs and students; the report finds each by what it is used for."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from report_mock import SMALL, mock, mock_plots, render_here, results, section

from facedistill.grid.layout import Layout
from facedistill.params import ParamsError
from facedistill.results.claims import comparisons
from facedistill.results.verdicts import load_findings


def renamed() -> dict[str, Any]:
    """SMALL with one data set for all tasks, pairs of another name, and students called as other networks are."""
    params: dict[str, Any] = copy.deepcopy(SMALL)
    params["datasets"] = {
        "faces": {"source": {"kind": "celeba"}},
        "alignment": {"source": {"kind": "synthetic", "pairs_per_fold": 30}},
        "top1": {"source": {"kind": "bin"}},
    }
    for task in params["tasks"].values():
        task["dataset"] = "faces"
    params["evaluation"] = params["evaluation"] | {"pairs": ["alignment", "top1"]}
    # The names of an architecture that the claims ask about, and of a table.
    words = {"resnet50-8": "conv5", "resnet43_thin": "losses"}
    networks = {words[name]: network for name, network in params.pop("students").items()}
    renamed: dict[str, Any]
    renamed = yaml.safe_load(yaml.safe_dump(params).replace("resnet50-8", "conv5").replace("resnet43_thin", "losses"))
    return renamed | {"students": networks}


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on these names, rendered; not to be changed."""
    params = renamed()
    root = mock(tmp_path_factory.mktemp("names") / "root", params)
    mock_plots(root, params)
    render_here(root, lambda _, file: file.touch())
    return root


def test_the_report_is_whole_and_each_caption_names_the_set_of_its_task(reported: Path) -> None:
    text = (reported / "reports/tables.md").read_text(encoding="utf-8")
    faces = "photographs laid out as CelebA is, 6 people, 48 training and 48 test photographs"
    for title, other in (("Table 1", "; not CASIA-WebFace"), ("Table 3", "; not CelebA"), ("Table 5", "; not CASIA")):
        caption = section(text, title)
        assert f"Data: {faces}, crops of 24 px{other}" in caption
    table2 = section(text, "Table 2")
    assert "Pairs, alignment: synthetic faces, 600 pairs of 48 photographs" in table2
    assert "Pairs, top1: photographs in a .bin file" in table2
    # The crops are people's, so the sheet and the landmarks are for the eyes of the user alone.
    assert {file.name for file in (reported / "reports/private").iterdir()} == {"crops.jpg", "landmarks.jpg"}
    assert (reported / "reports/plots/pairs.jpg").is_file()


def test_a_set_of_pairs_called_as_a_column_is_a_column_of_its_own(reported: Path) -> None:
    text, r = (reported / "reports/tables.md").read_text(encoding="utf-8"), results(reported)
    ours = r["conv5", "table2", "wang", "pairs", "top1", "accuracy"]
    assert ours != r["conv5", "table2", "wang", "top1"]
    (block,) = [part for part in section(text, "Table 2").split("\n\n") if part.startswith("| top1 |")]
    assert f"| {ours:.2f} ± 0.61 (–) |" in next(line for line in block.splitlines() if line.startswith("| Wang"))
    assert "| Top-1 | alignment | top1 | TPR |" in section(text, "Table 10")


def test_a_claim_is_about_a_network_whatever_students_are_called(reported: Path) -> None:
    """`conv5` is a ResNet-50/8 here, and `losses` a ResNet-43: no claim on the poster's conv5 may take its numbers."""
    found = load_findings(reported / "reports/claims.json").cells
    asked = {c.name: c for c in comparisons(Layout.read(reported / "params.yaml"))}
    thinner = asked["poster_thinner_deeper/conv5/frontal"]
    assert thinner.better == ("losses", "architectures", "hard_soft_featurenorm")
    assert thinner.name not in found
    assert asked["poster_feature_degrades/conv5/frontal"].better == ("conv5", "table2", "soft")
    assert "poster_feature_degrades/conv5/frontal" in found
    assert "t2_wang/casia/top1/8" in found
    assert "t2_wang/casia/lfw/8" not in found, "no set of pairs has the key lfw"


def test_the_claims_of_a_table_that_is_left_out_are_not_asked_of_a_student_of_its_name(tmp_path: Path) -> None:
    params = renamed() | {"losses": {"students": []}, "weighting": {"students": []}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    asked = {c.name: c for c in comparisons(Layout.read(tmp_path / "params.yaml"))}
    assert asked["poster_any_teacher/losses/soft/frontal"].better == ("", "table2", "soft")


@pytest.mark.parametrize("name", ["teacher", "custom", "cost"])
def test_a_student_is_not_called_as_a_file_of_the_projects_own(name: str, tmp_path: Path) -> None:
    params = SMALL | {"students": SMALL["students"] | {name: {"architecture": "conv5"}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ParamsError, match=f"students: the project's own files use the name {name!r}"):
        Layout.read(tmp_path / "params.yaml")
