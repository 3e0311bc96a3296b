"""The report: numbers in the right cells, only cells of the grid, words that fit the numbers, same bytes twice."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from report_mock import CROP, SMALL, drawing, edit, mock, mock_plots, results, section, tables

from facedistill.grid import layout as grid
from facedistill.grid.cells import first_cells
from facedistill.grid.layout import CUSTOM, Layout, Weights
from facedistill.params import ParamsError
from facedistill.paths import CUSTOM_METRICS, EVALUATION, METRICS, MODELS
from facedistill.recipe import WEIGHTING
from facedistill.report.pictures.curves import curve
from facedistill.report.render import render
from facedistill.report.tables.gap_closed import teacher_sentence
from facedistill.results.markdown import cell, gap, number
from facedistill.results.metrics import MissingResultError
from facedistill.results.paper import Paper
from facedistill.results.reading import Reading
from facedistill.results.selection import agrees, choices, preferred, verdict


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The grid of one student, rendered; not to be changed."""
    root = mock(tmp_path_factory.mktemp("rendered") / "small", SMALL)
    mock_plots(root, SMALL)
    render(root)
    return root


class TestResults:
    def test_every_number_stands_under_its_address(self, trained: Path) -> None:
        r = results(trained)
        file = json.loads((trained / METRICS / "resnet50-4.json").read_text())["triplet"]
        assert r["resnet50-4", "triplet", "distill", "soft", "nn_top1"] == file["distill"]["soft"]["nn_top1"]
        own = json.loads((trained / CUSTOM_METRICS / "resnet50-8/alignment.json").read_text())["alignment"]
        assert r[CUSTOM, "resnet50-8", "alignment", "pretrain", "nme"] == own["pretrain"]["nme"]
        assert r["teacher", "alignment", "mean_shape_nrmse"] == 21.5

    def test_cells_are_those_of_the_parameters_whatever_else_lies_in_the_folder(self, copy: Path) -> None:
        (copy / "params.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))
        edit(copy, "resnet50-8.json", lambda m: m["table2"].update(old={"top1": 99.87}))
        text = tables(copy)
        assert "ResNet-50/8" in text
        assert "ResNet-50/2" not in text
        assert "ResNet-50/4" not in text
        assert "99.87" not in text

    @pytest.mark.parametrize(
        ("file", "stage"),
        [
            ("teacher.json", "evaluate_teacher"),
            ("resnet50-2.json", "evaluate@resnet50-2"),
            ("../custom/resnet50-8/alignment.json", "custom_alignment@resnet50-8"),
            ("cost.json", "measure_cost"),
        ],
    )
    def test_a_missing_file_names_the_stage_to_run(self, copy: Path, file: str, stage: str) -> None:
        (copy / METRICS / file).unlink()
        with pytest.raises(MissingResultError, match=f"{file}: no such file; run `dvc repro {stage}`"):
            results(copy)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda m: m["triplet"]["distill"].pop("soft"),
                r"no triplet\.distill\.soft; run `dvc repro -f evaluate@resnet50-2",
            ),
            (
                lambda m: m["triplet"]["pretrain"]["none"].update(nn_top1=None),
                r"pretrain\.none\.nn_top1 is None, not a number",
            ),
            (lambda m: m["triplet"]["pretrain"]["none"].update(nn_top1=float("nan")), "is nan, not a number"),
        ],
    )
    def test_a_missing_or_empty_cell_is_named(self, copy: Path, change: Any, message: str) -> None:
        edit(copy, "resnet50-2.json", change)
        with pytest.raises(MissingResultError, match=message):
            results(copy)

    def test_a_student_that_is_not_defined_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(SMALL | {"table1": {"students": ["resnet18"]}}))
        with pytest.raises(ParamsError, match="'resnet18' is not a key of `students`"):
            Layout.read(tmp_path / "params.yaml")


class TestPaper:
    def test_the_orderings_that_the_paper_claims_hold_in_its_numbers(self) -> None:
        """A slip in paper.json would turn some of these round."""
        paper = Paper()

        def at(*path: str) -> float:
            value = paper.get(*path)
            assert value is not None
            return value

        assert at("table1", "soft") > at("table1", "hidden") > at("table1", "logits")
        assert at("table1", "wang") - at("table1", "fitnet") == pytest.approx(5.2, abs=0.05)
        assert at("table1", "wang") - at("table1", "scratch") == pytest.approx(10.6, abs=0.05)
        assert at("table2", "casia", "top1", "wang", "2") - at("table2", "casia", "top1", "teacher") == pytest.approx(
            2.4
        )
        assert at("table2", "casia", "lfw", "wang", "2") - at("table2", "casia", "lfw", "teacher") == pytest.approx(
            0.53
        )
        for metric in ("top1", "lfw"):
            for half in ("casia", "msceleb"):
                ours, soft = ([at("table2", half, metric, name, k) for k in "248"] for name in ("wang", "soft"))
                assert all(a > b for a, b in zip(ours, soft, strict=True))
                assert ours == sorted(ours, reverse=True)
            assert at("table2", "msceleb", metric, "teacher") > at("table2", "msceleb", metric, "wang", "2")
        for init in ("pretrain", "distill"):
            errors = dict(zip(grid.TARGETS, (at("alignment", "8", init, t) for t in grid.TARGETS), strict=True))
            assert at("alignment", "teacher") < errors["hidden"] < errors["none"] < errors["soft"]
        for task, best in (("triplet", None), ("triplet_softmax", "soft")):
            for k in "248":
                for target in grid.TARGETS:
                    assert at(task, k, "distill", target) > at(task, k, "pretrain", target)
                    assert at("triplet_softmax", k, "distill", target) > at("triplet", k, "distill", target)
                for init in ("pretrain", "distill"):
                    row = {t: at(task, k, init, t) for t in grid.TARGETS}
                    assert min(row, key=row.__getitem__) == "hidden"
                    assert best is None or max(row, key=row.__getitem__) == best

    def test_what_it_does_not_print_is_none(self) -> None:
        assert Paper().get("table2", "casia", "top1", "softmax_full", "8") is None
        assert Paper().get("alignment", "2", "pretrain", "none") is None
        assert Paper().get("triplet", "8") is None


class TestTables:
    def test_a_cell_is_our_number_and_the_papers(self) -> None:
        assert cell(75.2, 75.06) == "75.20 (75.06)"
        assert cell(75.2, None) == "75.20 (–)"

    def test_a_number_has_two_digits_however_small_or_large(self) -> None:
        """A gap of nothing has no sign of its own, and an error of a network that is lost no line of its own."""
        assert (gap(0.0), gap(-0.0), gap(-0.001), gap(-1.5)) == ("+0.00", "+0.00", "+0.00", "−1.50")
        assert (number(0.0), number(100.0), number(2e12), gap(-2e12)) == ("0.00", "100.00", "2.00e+12", "−2.00e+12")

    def test_tables_have_the_papers_shape_and_numbers(self, trained: Path) -> None:
        r, text = results(trained), tables(trained)
        ours = r["resnet50-8", "table2", "wang", "top1"]
        table1 = section(text, "Table 1")
        assert f"{ours:.2f} (75.06)" in table1
        assert f"{r['resnet50-8', 'table2', 'softmax_full', 'top1']:.2f} (–)" in table1
        table2 = section(text, "Table 2")
        line = next(line for line in table2.splitlines() if line.startswith("| Wang"))
        assert re.findall(r"\((.*?)\)", line) == ["Eq. 4", "91.01", "87.21", "75.06"]
        assert "± 0.61 (96.18)" in table2
        table4 = section(text, "Table 4").splitlines()
        rows = [line for line in table4 if "| Distill |" in line]
        assert [re.findall(r"\((.*?)\)", row) for row in rows] == [
            ["71.29", "68.74", "71.23", "–"],
            ["68.17", "66.74", "68.12", "–"],
            ["56.69", "53.99", "56.52", "–"],
        ]
        own = r["custom", "resnet50-2", "triplet", "distill", "nn_top1"]
        assert rows[0].endswith(f"{own:.2f} (–) |")
        assert "| α = 0.5, β = 2 (custom) |" in section(text, "Table 3")
        assert "NRMSE 21.50, NME 18.50" in section(text, "Table 3")

    def test_every_row_of_a_table_has_the_cells_of_its_header(self, trained: Path) -> None:
        lines = tables(trained).splitlines()
        for above, below in pairwise(lines):
            if above.startswith("|") and below.startswith("|"):
                assert above.count("|") == below.count("|"), below

    def test_captions_name_the_data_and_what_they_are_not(self, trained: Path) -> None:
        text = tables(trained)
        assert "> **A demo: it shows that every part works.**" in text
        for title, other in (("Table 1", "CASIA-WebFace"), ("Table 3", "CelebA"), ("Table 5", "CASIA-WebFace")):
            caption = section(text, title)
            assert f"6 people, 48 training and 48 test photographs, crops of 24 px; not {other}" in caption
            assert "Seed 3" in caption
        assert "600 pairs of 48 photographs of people nobody trained on" in section(text, "Table 2")

    def test_says_in_words_when_the_teacher_does_not_lead(self, trained: Path, copy: Path) -> None:
        weak = "The teacher is not clearly better than the undistilled student here"
        assert weak not in section(tables(trained), "Table 2")
        edit(copy, "resnet50-8.json", lambda m: m["table2"]["softmax_full"].update(top1=89.5))
        text = tables(copy)
        assert weak in section(text, "Table 1")
        assert "| ResNet-50/8 | 1.75 | – | – | – | – | – | – |" in text

    def test_a_lead_is_a_lower_nrmse(self) -> None:
        assert "leads" in teacher_sentence(3.0, {"a": 3.5}, "nrmse")
        assert "not clearly better" in teacher_sentence(3.0, {"a": 3.2}, "nrmse")
        assert "not clearly better" in teacher_sentence(3.0, {"a": 2.0}, "nrmse")
        assert "leads the undistilled students by 20.0 points" in teacher_sentence(90, {"a": 70.0}, "top1")

    def test_the_share_of_the_lead_that_a_recipe_closes(self, copy: Path) -> None:
        """Teacher 91.25, undistilled 81.25: 83.75 closes a quarter of the lead, 76.25 loses half of it."""
        for recipe, top1 in (
            ("softmax_full", 81.25),
            ("wang", 83.75),
            ("soft", 76.25),
            ("soft_full", 91.25),
            ("facedistill", 86.25),
        ):
            edit(copy, "resnet50-2.json", lambda m, r=recipe, t=top1: m["table2"][r].update(top1=t))
        assert "| ResNet-50/2 | 10.00 | −50 % | 25 % | 100 % | 50 % |  |  |  |" in tables(copy)


class TestSelection:
    @pytest.mark.parametrize(("gain", "word"), [(0.31, "helps"), (0.29, "tie"), (-0.29, "tie"), (-0.31, "hurts")])
    def test_under_three_tenths_is_a_tie(self, gain: float, word: str) -> None:
        assert verdict(gain) == word

    @pytest.mark.parametrize(
        ("hidden", "soft", "kept"),
        [(1, 1, (1, 1)), (-1, 1, (1, 0)), (1, -1, (0, 1)), (-1, -1, (0, 0)), (-3, 0.1, (1, 0))],
    )
    def test_drops_what_hurts_and_keeps_the_rest(self, hidden: float, soft: float, kept: tuple[int, int]) -> None:
        weights = {"none": Weights(0, 0), "hidden": Weights(0, 1), "soft": Weights(1, 0)}
        assert preferred({"hidden": hidden, "soft": soft}, weights) == Weights(*kept)

    @pytest.mark.parametrize(
        ("chosen", "rule", "agreed"),
        [((0.5, 2), (1, 1), True), ((0.5, 2), (1, 0), False), ((0, 1), (0, 1), True), ((0, 0), (0, 1), False)],
    )
    def test_own_weights_agree_where_they_keep_the_same_targets(
        self, chosen: tuple[float, float], rule: tuple[float, float], agreed: bool
    ) -> None:
        assert agrees(Weights(*chosen), Weights(*rule)) is agreed

    def test_the_table_says_where_the_rule_keeps_what_the_user_chose(self, copy: Path) -> None:
        """alpha and beta of the mock are both above 0, so it agrees where both targets help and nowhere else."""
        for hidden, said in ((4.0, "agrees"), (6.0, "differs")):
            nrmse = {"none": 5.0, "hidden": hidden, "soft": 4.0}
            edit(
                copy,
                "resnet50-8.json",
                lambda m, n=nrmse: m["alignment"]["distill"].update({t: {"nrmse": v, "nme": v} for t, v in n.items()}),
            )
            lines = section(tables(copy), "Which targets to keep").splitlines()
            header = next(line for line in lines if line.startswith("| Task"))
            column = header.split(" | ").index("Custom, α = 0.5, β = 2")
            row = next(line for line in lines if line.startswith("| alignment | ResNet-50/8 | Distill"))
            assert row.split(" | ")[column] == said

    def test_a_lower_nrmse_is_a_gain_and_the_papers_verification_keeps_soft_alone(self, copy: Path) -> None:
        nrmse = {"none": 5.0, "hidden": 4.0, "soft": 6.0}
        edit(
            copy,
            "resnet50-8.json",
            lambda m: m["alignment"]["distill"].update({t: {"nrmse": v, "nme": v} for t, v in nrmse.items()}),
        )
        rows = choices(results(copy), Paper())
        alignment = next(c for c in rows if (c.task, c.init) == ("alignment", "distill"))
        assert alignment.gains == pytest.approx({"hidden": 1, "soft": -1})
        assert alignment.preferred == Weights(0, 1)
        distilled = [c.paper for c in rows if c.task != "alignment" and c.init == "distill"]
        assert distilled == [Weights(1, 0)] * 6


class TestRender:
    def test_writes_tables_and_every_picture_that_they_show(self, rendered: Path) -> None:
        text = (rendered / "reports/tables.md").read_text(encoding="utf-8")
        shown = re.findall(r"\]\((plots/.*?)\)", text)
        assert len(shown) == 20
        assert {f"plots/{file.name}" for file in (rendered / "reports/plots").iterdir()} == set(shown)
        magic = {".png": b"\x89PNG", ".jpg": b"\xff\xd8\xff"}
        assert all((rendered / "reports" / name).read_bytes().startswith(magic[Path(name).suffix]) for name in shown)

    def test_photographs_of_people_are_never_drawn_and_the_same_input_gives_the_same_bytes(
        self, rendered: Path, tmp_path: Path
    ) -> None:
        root = Path(shutil.copytree(rendered, tmp_path / "real"))
        kinds = {
            name: {"source": {"kind": kind}, "crop": CROP}
            for name, kind in (("classification", "casia"), ("alignment", "celeba"))
        }
        real = SMALL | {"datasets": SMALL["datasets"] | kinds}
        (root / "params.yaml").write_text(yaml.safe_dump(real, sort_keys=False))
        render(root)
        text = (root / "reports/tables.md").read_text(encoding="utf-8")
        assert re.search(r"\(private/crops.jpg\), which git does not keep: these are .* CASIA-WebFace", text)
        assert re.search(r"\(private/landmarks.jpg\), which git does not keep: these are .* CelebA", text)
        again, private, before, none = (
            {file.name: file.read_bytes() for file in (top / "reports" / folder).iterdir()}
            for top in (root, rendered)
            for folder in ("plots", "private")
        )
        # Faces of the pairs are still drawn ones.
        assert before.keys() - again.keys() == private.keys() == {"crops.jpg", "landmarks.jpg"}
        assert all(again[name] == before[name] for name in again)
        assert not none
        page = (root / "reports/index.html").read_text(encoding="utf-8")
        assert page.count("<img ") == len(again)
        assert (rendered / "reports/index.html").read_text(encoding="utf-8").count("<img ") == len(before)

    @pytest.mark.parametrize(
        ("picture", "file", "message"),
        [
            ("curves_table2.png", MODELS / "resnet50-8/table2/wang/steps.tsv", "steps.tsv: no such file"),
            ("roc.png", EVALUATION / "resnet50-8/pairs.parquet", "run `dvc repro evaluate@resnet50-8`"),
            (
                "nrmse.png",
                EVALUATION / "custom/resnet50-8/alignment/landmarks.parquet",
                "`dvc repro custom_alignment@resnet50-8`",
            ),
            ("centres.png", EVALUATION / "resnet50-8/centres.parquet", "run `dvc repro evaluate@resnet50-8`"),
        ],
    )
    def test_a_missing_file_of_a_plot_is_an_error(
        self, rendered: Path, tmp_path: Path, picture: str, file: Path, message: str
    ) -> None:
        (drawn,) = (p for p in drawing(rendered).numbers() if p.file.name == picture)
        away = (rendered / file).rename(tmp_path / file.name)
        try:
            with pytest.raises(MissingResultError, match=message):
                drawn.draw()
        finally:
            away.rename(rendered / file)

    def test_a_cell_draws_the_terms_of_its_recipe(self, rendered: Path) -> None:
        reading = Reading(rendered)
        drawn = {cell.path: {*curve(cell, cell.method, reading).terms} for cell in first_cells(reading.layout)}
        assert drawn["init", "softmax"] == {"loss", "softmax"}
        assert drawn["table1", "logits"] == {"loss", "softmax", "logits"}
        assert drawn["losses", "feature"] == {"loss", "hidden"}
        assert drawn["weighting", "weighted"] == {"loss", "softmax", "soft", "normalised", *WEIGHTING}
        assert drawn["custom", "mine"] == {"loss", "softmax", "soft", "attention"}
        assert drawn["arcface", "kd"] == {"loss", "arcface", "soft"}
        assert drawn["arcface", "l2kd"] == {"loss", "embedding"}
        assert drawn["triplet_softmax", "distill", "soft"] == {"loss", "triplet", "softmax", "soft"}
        assert drawn["alignment", "pretrain"] == {"loss", "landmarks", "soft", "hidden"}


class TestExported:
    def test_the_table_tells_what_each_version_loses_and_how_much_faster_it_is(self, trained: Path) -> None:
        text = section(tables(trained), "Table 11")
        rows = [[c.strip() for c in row.strip("|").split("|")] for row in text.splitlines() if row.startswith("|")]
        first = next(i for i, row in enumerate(rows) if row[0] == "`resnet50-8/table2/wang`")
        assert [row[1] for row in rows[first : first + 4]] == ["PyTorch", "ONNX float32", "ONNX float16", "ONNX int8"]
        # Of float32 at 8 ms: int8 takes 4, against the teacher's 100.
        assert rows[first + 3][2:] == [
            "1.00",
            "Drawn pairs 91.50",
            "0.99999",
            "4.00",
            "2.00",
            "128.00",
            "64.00",
            "25.0",
        ]
        assert rows[first][-1] == rows[first][4] == "–"
        assert (
            "`resnet50-8/table2/wang`: float16 loses 0.10 points of accuracy, int8 loses 0.50 points of accuracy."
            in text
        )
        assert "`resnet50-8/alignment/distill/hidden`: float16 loses 0.10 points of NRMSE" in text

    def test_a_time_of_0_is_how_many_times_as_fast_nobody_knows(self, copy: Path) -> None:
        file = copy / "reports/metrics/exports/resnet50-8/table2/wang.json"
        found = json.loads(file.read_text())
        found["int8"]["batch1_threads1"] = 0.0
        file.write_text(json.dumps(found))
        (row,) = (
            row
            for row in section(tables(copy), "Table 11").partition("`resnet50-8/table2/wang`")[2].splitlines()[:4]
            if "int8" in row
        )
        assert row.endswith("| – |")

    def test_an_export_that_was_not_made_names_its_stage(self, copy: Path) -> None:
        (copy / "reports/metrics/exports/resnet50-8/table2/wang.json").unlink()
        with pytest.raises(MissingResultError, match=r"dvc repro export@resnet50-8/table2/wang"):
            tables(copy)
