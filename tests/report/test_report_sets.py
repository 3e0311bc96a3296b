"""The report on a user's choice of data: several sets of pairs, unknown people, tables left out, lost records."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from report_alone import ALONE, repository
from report_mock import (
    CROP,
    PARAMS,
    PREPARED,
    mock_plots,
    results,
    section,
    tables,
    write_crops,
    write_json,
)

from facedistill.paths import CROPS, MANIFESTS, METRICS
from facedistill.report.render import render
from facedistill.results.metrics import MissingResultError

ONE = ALONE | {"table2": {"students": ["resnet50-8"]}, "students": {"resnet50-8": PARAMS["students"]["resnet50-8"]}}
"""The same with one student: fewer plots to draw."""


def headings(text: str) -> list[str]:
    return re.findall(r"## Table (\d+)", text)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole grid, LFW as photographs, and two sets in .bin files beside it."""
    sets = {name: {"source": {"kind": "bin"}} for name in ("agedb_30", "pose")}
    params = PARAMS | {
        "datasets": PARAMS["datasets"] | sets,
        "evaluation": {"pairs": ["lfw", *sets], "far": 0.001},
    }
    return repository(tmp_path_factory.mktemp("several") / "root", params)


class TestSeveralSets:
    def test_each_is_a_column_and_the_papers_numbers_stand_beside_lfw_alone(self, several: Path) -> None:
        r, text = results(several), tables(several)
        table2 = section(text, "Table 2")
        accuracy = r["resnet50-8", "table2", "wang", "pairs", "agedb_30", "accuracy"]
        assert accuracy < r["resnet50-8", "table2", "wang", "pairs", "lfw", "accuracy"]
        lfw, agedb, ours = (table2.split(f"| {title} | Teacher")[1] for title in ("Drawn pairs", "AgeDB-30", "pose"))
        assert "(96.18)" in next(line for line in lfw.splitlines() if line.startswith("| Wang"))
        assert f"{accuracy:.2f} ± 0.61 (–) |" in next(line for line in agedb.splitlines() if line.startswith("| Wang"))
        assert "(96.18)" not in agedb + ours
        for title, header in (
            ("Table 6", "| Drawn pairs | AgeDB-30 | pose | TPR, frontal |"),
            ("Table 10", "| Top-1 | Drawn pairs | AgeDB-30 | pose | TPR | Rank-1, own gallery |"),
            ("All recipes", "| Top-1 | Drawn pairs | AgeDB-30 | pose | TPR | Cross-model |"),
        ):
            assert header in section(text, title)
        assert "TPR at FAR 0.1 % among the unseen people of Drawn pairs: " in section(text, "Table 6")
        assert "Pairs, AgeDB-30: photographs in a .bin file, 600 pairs of 48 photographs" in table2

    def test_a_set_without_its_numbers_is_named_with_the_stage_to_run(self, several: Path, tmp_path: Path) -> None:
        metrics = json.loads((several / METRICS / "teacher.json").read_text())
        del metrics["classification"]["pairs"]["agedb_30"]
        for file in (several / METRICS).rglob("*.json"):
            write_json(tmp_path / METRICS / file.relative_to(several / METRICS), json.loads(file.read_text()))
        write_json(tmp_path / METRICS / "teacher.json", metrics)
        (tmp_path / "params.yaml").write_text((several / "params.yaml").read_text())
        with pytest.raises(MissingResultError, match=r"no classification\.pairs\.agedb_30; run .*evaluate_teacher"):
            results(tmp_path)


class TestUnknownPeople:
    def test_what_needs_to_know_who_is_who_is_left_out_and_the_report_says_so(self, tmp_path: Path) -> None:
        first = {"lfw": {"source": {"kind": "bin"}}}
        text = tables(repository(tmp_path, PARAMS | {"datasets": PARAMS["datasets"] | first}))
        assert "rank-1" not in text.lower()
        assert "Cross-model" not in text
        for title in ("Table 6", "Table 10", "All recipes"):
            assert "set's own pairs of two people" in section(text, title)
            assert "(3,000)" in section(text, title)
        assert "| TPR | LFW across models |" in section(text, "Table 10")


class TestTablesLeftOut:
    @pytest.mark.parametrize(
        ("sections", "shown"), [((), ["1", "2", "9"]), (("verification",), ["1", "2", "4", "5", "9"])]
    )
    def test_a_report_is_whole_without_them(self, sections: tuple[str, ...], shown: list[str], tmp_path: Path) -> None:
        params = ONE | {name: PARAMS[name] | {"students": ["resnet50-8"]} for name in sections}
        repository(tmp_path, params)
        mock_plots(tmp_path, params)
        render(tmp_path)
        text = (tmp_path / "reports/tables.md").read_text(encoding="utf-8")
        assert headings(text) == shown
        assert ("Which targets to keep" in text) == bool(sections)
        assert "landmarks" not in text
        drawn = set(re.findall(r"\]\(plots/(.*?)\.png\)", text))
        assert drawn == {file.stem for file in (tmp_path / "reports/plots").iterdir()}
        assert {"accuracy", "roc", "curves_table2"} <= drawn

    def test_table_2_stands_by_itself(self, tmp_path: Path) -> None:
        params = ONE | {"table1": {"students": []}}
        repository(tmp_path, params)
        mock_plots(tmp_path, params)
        render(tmp_path)
        assert headings((tmp_path / "reports/tables.md").read_text(encoding="utf-8")) == ["2", "9"]


class TestProvenance:
    def test_data_are_called_what_they_are(self, tmp_path: Path) -> None:
        text = tables(repository(tmp_path, ALONE))
        assert "Data: photographs in RecordIO, 6 people, 48 training" in text
        assert "not CASIA" not in text
        assert "not LFW" not in text

    def test_nearest_neighbours_among_frames_of_one_video_are_said_to_be_easy(self, trained: Path, copy: Path) -> None:
        assert "own group" not in tables(trained)
        write_crops(copy / CROPS / "classification", np.random.default_rng(0), group="video 1")
        text = tables(copy)
        assert all("own group" in section(text, table) for table in ("Table 4", "Table 5"))
        assert "own group" not in section(text, "Table 3")

    def test_a_handful_of_people_in_a_layout_is_not_the_set_that_has_it(self, tmp_path: Path) -> None:
        params = ALONE | {"datasets": ALONE["datasets"] | {"classification": {"source": {"kind": "casia"}}}}
        table1 = section(tables(repository(tmp_path, params)), "Table 1")
        assert "photographs laid out as CASIA-WebFace is, 6 people" in table1
        assert "; not CASIA-WebFace" in table1
        write_json(tmp_path / MANIFESTS / "classification/report.json", PREPARED | {"identities": 10_572})
        table1 = section(tables(tmp_path), "Table 1")
        assert "Data: CASIA-WebFace, 10,572 people" in table1
        assert "not CASIA-WebFace" not in table1

    @pytest.mark.parametrize("kind", ["folder", "table", "recordio", "msceleb", "casia", "celeba"])
    def test_every_kind_has_a_name(self, kind: str, tmp_path: Path) -> None:
        params = ALONE | {"datasets": ALONE["datasets"] | {"classification": {"source": {"kind": kind}}}}
        repository(tmp_path, params)
        assert section(tables(tmp_path), "Table 1").count("Data: ") == 1

    def test_ms_celeb_stands_beside_the_papers_half_on_it(self, tmp_path: Path) -> None:
        params = ALONE | {"datasets": ALONE["datasets"] | {"classification": {"source": {"kind": "msceleb"}}}}
        repository(tmp_path, params)
        write_json(tmp_path / MANIFESTS / "classification/report.json", PREPARED | {"identities": 99_892})
        text = tables(tmp_path)
        table2 = section(text, "Table 2")
        assert all(f"({number})" in table2 for number in ("90.53", "84.59", "57.84", "70.98", "99.11", "96.98"))
        assert "(88.61)" not in table2
        assert "half of the paper's Table 2 on MS-Celeb-1M" in table2
        assert "not CASIA-WebFace" not in table2
        assert "(88.61)" in section(text, "Table 1")
        assert "MS-Celeb-1M, 99,892 people" in section(text, "Table 1")
        assert "not CASIA-WebFace" in section(text, "Table 1")

    def test_says_what_was_left_out_and_what_was_lost(self, tmp_path: Path) -> None:
        listed = {"source": {"kind": "casia"}, "leave_out": "data/leave_out/casia_lfw.txt"}
        repository(tmp_path, ALONE | {"datasets": ALONE["datasets"] | {"classification": listed}})
        assert "by data/leave_out/casia_lfw.txt" in tables(tmp_path)
        prepared = PREPARED | {"identities_left_out": 3, "photographs_left_out": 1045, "left_out": [{}] * 2}
        write_json(tmp_path / MANIFESTS / "classification/report.json", prepared)
        write_json(tmp_path / CROPS / "classification/report.json", {"left_out": [{}] * 5})
        text = tables(tmp_path)
        assert (
            "Left out of `classification`: 3 people with 1,045 photographs, by data/leave_out/casia_lfw.txt; " in text
        )
        assert "7 bad records" in text
        assert "Left out of `lfw`" not in text
        (tmp_path / MANIFESTS / "lfw/report.json").unlink()
        with pytest.raises(MissingResultError, match=r"lfw/report\.json: no such file; run `dvc repro prepare@lfw`"):
            tables(tmp_path)


def test_pairs_that_are_cut_otherwise_are_said_before_any_number(tmp_path: Path) -> None:
    first = {"lfw": {"source": {"kind": "synthetic", "pairs_per_fold": 30}, "crop": CROP | {"pixels": 112}}}
    text = tables(repository(tmp_path, PARAMS | {"datasets": PARAMS["datasets"] | first}))
    said = "**datasets.lfw.crop is not datasets.classification.crop: on these pairs the networks see another part of a"
    assert 0 < text.index(said) < text.index("|")
