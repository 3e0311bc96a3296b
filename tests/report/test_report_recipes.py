"""The tables of improved KD and ProxylessKD, the ranking and its budgets have the right numbers and words."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from report_mock import COST, NEGATIVES, PARAMS, SMALL, edit, results, section, tables

from facedistill.grid.layout import TRANSFER, Layout
from facedistill.paths import METRICS
from facedistill.report.pictures.curves import figures
from facedistill.report.pictures.style import looks
from facedistill.report.tables.gap_closed import closed
from facedistill.results.budget import Budget
from facedistill.results.markdown import percent
from facedistill.results.metrics import MissingResultError
from facedistill.results.paper import Paper
from facedistill.results.reading import Reading

LOSSES = ("softmax", "feature", "soft", "hidden", "hard_soft_feature", "hard_soft_featurenorm")
FULL = 4 + 1
"""Epochs of both rates in PARAMS."""


def line(text: str, *starts: str) -> list[str]:
    """The cells of the one row of a table whose first cells are these."""
    found = [row for row in text.splitlines() if row.startswith(f"| {' | '.join(starts)} |")]
    assert len(found) == 1, (starts, found)
    return [cell.strip() for cell in found[0].strip("|").split("|")][len(starts) :]


class TestPaper:
    def test_the_orderings_that_the_poster_claims_hold_in_its_numbers(self) -> None:
        """A slip in paper.json would turn some of these round."""
        paper = Paper()

        def at(*path: str) -> float:
            value = paper.get(*path)
            assert value is not None, path
            return value

        for key in ("lfw", "frontal", "pose", "lighting"):
            losses = {recipe: at("losses", recipe, key) for recipe in LOSSES}
            assert min(losses, key=losses.__getitem__) == "softmax"
            assert max(losses, key=losses.__getitem__) == "hard_soft_featurenorm"
            assert losses["soft"] > losses["hard_soft_feature"]
            assert at("losses", "hard_soft_featurenorm", key) == at("architectures", "conv5", key)
            without = at("weighting", "resnet43_thin", "hard_soft_featurenorm", key)
            assert at("weighting", "resnet43_thin", "weighted", key) > without
            assert without == at("architectures", "resnet43_thin", key)
            assert at("losses", "teacher", key) == pytest.approx(at("architectures", "teacher", key), abs=0.01)
        assert at("cost", "teacher", "milliseconds") > 3 * at("cost", "conv5", "milliseconds")
        assert paper.get("architectures", "resnet27", "lfw") is None


class TestPoster:
    def test_losses_stand_beside_the_posters_numbers_in_its_columns(self, trained: Path) -> None:
        r, text = results(trained), section(tables(trained), "Table 6")
        assert line(text, "ResNet-50/8") == ["Drawn pairs", "TPR, frontal", "TPR, pose", "TPR, lighting"]
        key = ("resnet50-8", "table2", "soft")
        assert line(text, "Hard + soft") == [
            f"{r[*key, 'pairs', 'lfw', 'accuracy']:.2f} ± 1.93 (97.10 ± 1.02)",
            f"{r[*key, 'tpr', 'frontal']:.2f} (67.86)",
            f"{r[*key, 'tpr', 'pose']:.2f} (47.72)",
            f"{r[*key, 'tpr', 'lighting']:.2f} (59.23)",
        ]
        assert len(line(text, "Feature alone")) == 4
        assert "FAR 0.1 % among unseen people" in text
        assert "each subset's own pairs of two people (12,000 frontal, 13,000 pose, 6,000 lighting)" in text

    def test_photographs_of_which_nothing_is_known_give_one_column_of_all_pairs(self, copy: Path) -> None:
        edit(copy, "teacher.json", lambda m: m.update(negatives={"all": 12_345}, far=0.01))
        for file in (copy / METRICS).rglob("*.json"):
            file.write_text(re.sub(r', "(frontal|pose|lighting)": [-\d.]+', "", file.read_text()))
        text = section(tables(copy), "Table 6")
        assert line(text, "ResNet-50/8") == ["Drawn pairs", "TPR, all"]
        assert line(text, "Hard")[1].endswith("(–)")
        assert "FAR 1 % among unseen people: the threshold is set on all pairs of two people (12,345)" in text

    def test_an_architecture_stands_undistilled_beside_distilled(self, trained: Path) -> None:
        r, text = results(trained), section(tables(trained), "Table 7")
        alone = line(text, "5-layer convolution", "*Undistilled*")
        assert alone[1] == f"{r['conv5', 'init', 'softmax', 'tpr', 'frontal']:.2f} (–)"
        rows = [row for row in text.splitlines() if "| Hard + soft + featurenorm |" in row]
        assert ["(69.49)" in rows[0], "(76.00)" in rows[1]] == [True, True]
        lead = text.split("leads the undistilled students")[1]
        assert f"5-layer convolution {r['conv5', 'init', 'softmax', 'top1']:.2f}" in lead

    def test_weighting_stands_with_and_without(self, trained: Path) -> None:
        r, text = results(trained), section(tables(trained), "Table 8")
        without, weighted = (
            line(text, *names)
            for names in (("ResNet-43, thinner", "Featurenorm, not weighted"), ("", "Featurenorm, weighted"))
        )
        place = ("tpr", "lighting")
        undone = r["resnet43_thin", "architectures", "hard_soft_featurenorm", *place]
        assert without[3] == f"{undone:.2f} (65.28)"
        assert weighted[3] == f"{r['resnet43_thin', 'weighting', 'weighted', *place]:.2f} (70.87)"

    def test_every_network_has_its_cost_and_the_poster_its_two(self, trained: Path) -> None:
        text = section(tables(trained), "Table 9")
        assert line(text, "ResNet-43, thinner") == ["12.500", "25.00", "1.50", "4.25"]
        assert line(text, "*The poster's teacher, ResNet-27*") == ["–", "2049.00", "126.00", "132.00"]
        assert "20 × 20 pixels" in text

    def test_a_table_without_students_is_left_out(self, copy: Path) -> None:
        empty: dict[str, Any] = {name: {"students": []} for name in ("losses", "architectures", "weighting")}
        empty["custom"] = PARAMS["custom"] | {"students": []}
        empty["proxyless"] = {"students": [], "margins": []}
        empty["export"] = {"models": []}
        empty["students"] = {name: PARAMS["students"][name] for name in ("resnet50-2", "resnet50-4", "resnet50-8")}
        (copy / "params.yaml").write_text(yaml.safe_dump(PARAMS | empty, sort_keys=False))
        text = tables(copy)
        assert re.findall(r"## Table (\d+)", text) == ["1", "2", "3", "4", "5", "9"]
        assert "ranked" not in text


class TestCustom:
    def test_a_recipe_closes_a_share_of_the_lead_over_the_best_student_without_a_teacher(self, copy: Path) -> None:
        """By hand: the teacher has 90 and the best control, ArcFace, 80. The recipe has 84: 40 % of the lead."""

        def of(**accuracies: float) -> Any:
            def change(metrics: dict[str, Any]) -> None:
                for group, recipes in metrics.items():
                    for name, cell in recipes.items():
                        if "pairs" in cell:
                            default = accuracies.get(name, 10)
                            cell["pairs"]["lfw"]["accuracy"] = accuracies.get(f"{group}_{name}", default)

            return change

        def teacher(metrics: dict[str, Any]) -> None:
            metrics["classification"]["pairs"]["lfw"]["accuracy"] = 90

        edit(copy, "resnet50-8.json", of(softmax=70, softmax_full=75, arcface_margin=80, cosface_margin=78, soft=85))
        edit(copy, "../custom/resnet50-8/custom.json", of(mine=84))
        edit(copy, "teacher.json", teacher)
        text = section(tables(copy), "Recipes of your own")
        assert text.count("Closes, Drawn pairs") == 1
        assert line(text, "mine")[-1] == "40 %"
        assert line(text, "*ArcFace: Margin alone*")[-1] == line(text, "Teacher")[-1] == ""
        assert "over the best student above it that learns without a teacher" in text
        edit(copy, "teacher.json", lambda m: m["classification"]["pairs"]["lfw"].update(accuracy=81.9))
        assert line(section(tables(copy), "Recipes of your own"), "mine")[-1] == "–"


class TestProxyless:
    def test_every_method_has_its_numbers_across_models(self, trained: Path) -> None:
        r, text = results(trained), section(tables(trained), "Table 10")
        arcface = text.split("| CosFace")[0]
        key = ("resnet50-8", "arcface", "proxyless")
        assert line(arcface, "ProxylessKD") == [
            f"{r[*key, 'top1']:.2f}",
            f"{r[*key, 'pairs', 'lfw', 'accuracy']:.2f} ± 1.93",
            f"{r[*key, 'tpr', 'all']:.2f}",
            f"{r[*key, 'rank1']:.2f}",
            f"{r[*key, 'cross', 'rank1']:.2f}",
            f"{r[*key, 'cross', 'accuracy']:.2f}",
        ]
        assert line(arcface, "Teacher") == ["92.50", "90.83 ± 1.93", "46.25", "82.50", "–", "–"]
        assert text.count("| *Margin alone* |") == 2
        assert "tables are not available here" in text
        assert "all pairs of two people (50,000)" in text


class TestResults:
    def test_what_only_some_recipes_have_is_asked_of_these_alone(self, trained: Path) -> None:
        r = results(trained)
        assert r.get("resnet50-8", "losses", "feature", "top1") is None
        assert r.get("resnet50-8", "table2", "soft", "cross", "rank1") is None
        assert r.subsets == NEGATIVES
        assert r["cost", "conv5", "milliseconds"] == COST["milliseconds"]

    def test_a_subset_whose_pairs_are_too_few_has_no_column_and_is_named(self, copy: Path) -> None:
        edit(copy, "teacher.json", lambda m: m.update(negatives=NEGATIVES | {"pose": 0}))
        text = section(tables(copy), "Table 6")
        assert "TPR, frontal | TPR, lighting |" in text
        assert "There is no TPR on pose: too few pairs." in text

    @pytest.mark.parametrize(
        ("file", "change", "message"),
        [
            ("resnet50-8", lambda m: m["losses"]["hard_soft_feature"].pop("top1"), r"hard_soft_feature\.top1"),
            (
                "resnet50-8",
                lambda m: m["arcface"]["kd"].pop("cross"),
                r"no arcface\.kd\.cross; run .*evaluate@resnet50-8",
            ),
            ("conv5", lambda m: m["init"]["softmax"]["tpr"].pop("pose"), r"softmax\.tpr\.pose; .*@conv5"),
            ("teacher", lambda m: m.pop("negatives"), "no negatives by name; run `dvc repro -f evaluate_teacher`"),
            ("teacher", lambda m: m.pop("cosface"), "no cosface; run `dvc repro -f evaluate_teacher`"),
            ("cost", lambda m: m.pop("conv5"), "no conv5; run `dvc repro -f measure_cost`"),
        ],
    )
    def test_what_all_others_have_is_named_where_it_is_missing(
        self, copy: Path, file: str, change: Any, message: str
    ) -> None:
        edit(copy, f"{file}.json", change)
        with pytest.raises(MissingResultError, match=message):
            results(copy)


class TestBudget:
    @pytest.mark.parametrize(
        ("group", "recipe", "epochs", "teacher_epochs"),
        [
            ("init", "softmax", 4, 0),
            ("table2", "softmax_full", FULL, 0),
            ("table2", "soft_full", FULL, FULL),
            ("table2", "facedistill", FULL, FULL),
            ("table2", "wang", FULL, 1),
            ("table1", "fitnet", 8, 8),
            ("weighting", "weighted", 4, 4),
            ("custom", "mine", FULL, 1),
            ("arcface", "margin", 4, 0),
            ("arcface", "proxyless", 4, 0),
            ("arcface", "l2kd", 4, 4),
        ],
    )
    def test_a_recipe_pays_for_what_it_starts_from_and_for_a_teacher_while_it_listens(
        self, group: str, recipe: str, epochs: int, teacher_epochs: int, tmp_path: Path
    ) -> None:
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS, sort_keys=False))
        layout = Layout.read(tmp_path / "params.yaml")
        budget, trained = Budget(layout, PARAMS, crops=1000), layout.groups[group]
        assert budget.undistilled == "softmax_full"
        assert budget.epochs(trained, recipe) == epochs
        millions = 1000 * (epochs * 3 * 20 + teacher_epochs * 300)
        found = budget.multiply_adds(trained, recipe, student=20, teacher=300)
        assert found == pytest.approx(millions / 1e6)


class TestRanking:
    @pytest.fixture
    def ranked(self, copy: Path) -> str:
        """Teacher 91.25; undistilled 81.25 at the full budget, 61.25 at W_S0's; recipes as written, all others 50."""
        top1 = {
            "softmax": 61.25,
            "softmax_full": 81.25,
            "soft_full": 86.25,
            "wang": 80.25,
            "hidden": 63.75,
            "logits": 60,
        }

        def change(metrics: dict[str, Any]) -> None:
            for recipes in metrics.values():
                for name, cell in recipes.items():
                    if "top1" in cell:
                        cell["top1"] = top1.get(name, 50)

        edit(copy, "resnet50-8.json", change)
        edit(copy, "../custom/resnet50-8/custom.json", change)
        return section(tables(copy), "All recipes")

    def test_every_recipe_has_its_row_and_the_best_is_first(self, ranked: str) -> None:
        rows = [row for row in ranked.splitlines() if row.startswith("| ") and "---" not in row][1:]
        names = [row.split("|")[1].strip() for row in rows]
        home = {
            key: label
            for group in ("init", "table2", "table1", "losses")
            for key, label in PARAMS["labels"][group].items()
            if key.startswith(f"{group}/")
        }
        margins = {f"{m}: {label}" for m in ("ArcFace", "CosFace") for label in PARAMS["labels"]["proxyless"].values()}
        assert sorted(names) == sorted({*home.values(), *margins, "mine"})
        assert names[:3] == ["Soft target, full budget", "Softmax alone, full budget", "Wang et al. (Eq. 4)"]
        assert names[-1] == "Feature alone"

    def test_shares_papers_and_spaces(self, ranked: str) -> None:
        """86.25 closes half of the lead of 10 points; 80.25 loses a tenth of it."""
        best = line(ranked, "Soft target, full budget")
        assert [best[0], best[1], best[4], best[5]] == ["*this project*", "86.25", "–", "50 %"]
        assert line(ranked, "Wang et al. (Eq. 4)")[0] == "Wang"
        assert line(ranked, "Wang et al. (Eq. 4)")[5] == "−10 %"
        assert line(ranked, "Hard + soft + feature")[0] == "Fujitsu"
        proxyless = line(ranked, "CosFace: ProxylessKD")
        assert proxyless[0] == "ProxylessKD"
        assert proxyless[4] != "–"
        assert line(ranked, "mine")[0] == "*custom*"
        assert line(ranked, "Softmax alone, full budget")[0] == line(ranked, "ArcFace: Margin alone")[0] == "*control*"
        feature = line(ranked, "Feature alone")
        assert feature[1] == feature[5] == "–"
        assert feature[6].endswith(" %")

    def test_says_which_recipe_is_best_and_which_lose_to_no_distillation_for_as_long(self, ranked: str) -> None:
        best, against = "“Soft target, full budget”: top-1 86.25, +5.00 points", "against “Softmax alone, full budget”"
        assert f"best recipe of ResNet-50/8 is {best} {against}" in ranked
        longer = re.search(r"Trained for longer than W_S0, 4 of 5 .*? \(81\.25\): (.*?)\.", ranked)
        assert longer
        assert set(longer[1].split("; ")) == {
            "Wang et al",
        }
        short = re.search(r"Trained for as long as W_S0, (\d+) of (\d+) .*? \(61\.25\): (.*?)\.", ranked)
        assert short
        assert (short[1], short[2]) == ("18", "19")
        assert "Logits target" in short[3]
        assert "Hidden target" not in short[3]

    def test_no_share_of_a_lead_that_is_not_clear(self) -> None:
        assert closed(91, 90, 90.5, "top1") is None
        assert closed(92, 90, 91, "top1") == 0.5
        assert closed(90, 95, 96, "tpr") is None
        assert (percent(0.25), percent(-0.5), percent(-0.001), percent(None)) == ("25 %", "−50 %", "0 %", "–")


class TestCurves:
    def reading(self, folder: Path, params: dict[str, Any]) -> Reading:
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        return Reading(folder)

    def test_every_recipe_has_a_look_of_its_own_in_its_figure(self, tmp_path: Path) -> None:
        """One colour and line for two recipes would make them one to the reader."""
        found = {figure.name: figure for figure in figures(self.reading(tmp_path, PARAMS)) if figure.rows}
        assert {method for method, _ in found["losses"].cells} == {*PARAMS["labels"]["losses"]}
        assert {method for method, _ in found["weighting"].cells} == {
            "architectures/hard_soft_featurenorm",
            "weighting/weighted",
        }
        assert [*found] == [
            "table2",
            "table1",
            "losses",
            "architectures",
            "weighting",
            "arcface",
            "cosface",
            "custom_custom",
        ]
        for figure in found.values():
            drawn = looks(figure.rows)
            assert {method for method, _ in figure.cells} <= drawn.keys()
            for one, other in combinations(drawn.values(), 2):
                assert (one.colour, one.line) != (other.colour, other.line), (one.label, other.label)

    def test_a_group_without_students_has_no_figure(self, tmp_path: Path) -> None:
        params = SMALL | {"losses": {"students": []}, "custom": SMALL["custom"] | {"students": []}}
        names = [figure.name for figure in figures(self.reading(tmp_path, params))]
        assert names == ["table2", "table1", "architectures", "weighting", "arcface", *TRANSFER]
