"""The papers' claims: their text is the papers', each compares the right pair of cells, and none is dropped."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from report_mock import SMALL, edit, mock, mock_plots, results
from scipy import stats

from facedistill.grid.layout import TARGETS, Layout
from facedistill.params import ParamsError
from facedistill.paths import EVALUATION
from facedistill.report.tables.claims import claims_document, compared, summary
from facedistill.results.claims import METRICS as NUMBERS
from facedistill.results.claims import NOBODY, claims, comparisons, kind
from facedistill.results.metrics import MissingResultError
from facedistill.results.paper import Paper
from facedistill.results.provenance import write_datasets
from facedistill.results.reading import Reading
from facedistill.results.samples import Samples
from facedistill.results.statistics import MOST, Verdict, holm, over_samples, seeds_needed
from facedistill.results.verdicts import CLAIMS, Conclusion, Finding, Findings, findings, load_findings, parts, save

SEVERAL = deepcopy(SMALL)
SEVERAL["students"] |= {f"resnet50-8-seed{i}": {"architecture": "resnet50", "divisor": 8, "seed": i} for i in (1, 2)}
SEVERAL["table2"] = {"students": ["resnet50-8", "resnet50-8-seed1", "resnet50-8-seed2"]}
SEVERAL["table1"] = {"students": ["resnet50-8", "resnet50-8-seed2"]}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One student, of one seed; not to be changed."""
    root = mock(tmp_path_factory.mktemp("claims") / "small", SMALL)
    mock_plots(root, SMALL)
    return root


def several(folder: Path) -> Path:
    """Three seeds of one student in every table but those of weighting and margins."""
    params = deepcopy(SEVERAL)
    for section in ("table1", "losses", "verification", "alignment"):
        params[section] = params[section] | params["table2"]
    root = mock(folder / "several", params)
    mock_plots(root, params)
    return root


def document(root: Path, found: Findings) -> str:
    write_datasets(Layout.read(root / "params.yaml"), root)
    save(found, root / CLAIMS)
    return claims_document(Reading(root))


def replace_hits(root: Path, models: dict[str, list[bool]], metric: str = "top1") -> None:
    """In the rows of ResNet-50/8, the photographs that these models are right about."""
    file = root / EVALUATION / "resnet50-8/hits.parquet"
    kept = pq.read_table(file, filters=[("model", "not in", list(models))])
    tables = [pa.table({"model": [m] * len(h), "metric": [metric] * len(h), "hit": h}) for m, h in models.items()]
    pq.write_table(pa.concat_tables([kept, *tables]), file)


class TestClaims:
    def test_every_claim_holds_in_the_numbers_that_its_paper_prints(self, trained: Path) -> None:
        """A slip in the direction, a cell or the place of a number would turn one round; a tie is within 0.2."""
        paper, told = Paper(), 0
        for c in comparisons(Layout.read(trained / "params.yaml")):
            if c.printed is None:
                continue
            better, worse = (paper.get(*place) for place in c.printed)
            assert better is not None, c.name
            assert worse is not None, c.name
            gap = NUMBERS[c.metric].sign * (better - worse)
            assert abs(gap) <= 0.2 if c.claim.tie else gap > 0, c.name
            told += 1
        assert told > 200

    def test_they_are_the_orderings_that_the_papers_count(self, trained: Path) -> None:
        """Distill over Pretrain 9 of 9 in tables 4 and 5, soft best and hidden worst in 6 of 6 of table 5."""
        counts = Counter(c.claim.name for c in comparisons(Layout.read(trained / "params.yaml")))
        assert counts["t4_distill"] == counts["t5_distill"] == 9
        assert counts["t4_hidden"] == counts["t5_targets"] == 6 * 2
        assert counts["t4_teacher"] == counts["t5_half_beats_teacher"] + counts["t5_teacher_beats_others"] == 18
        assert counts["t3_distill"] == 3
        assert counts["t2_wang"] == 2 * 2 * 3

    def test_names_are_unique_and_every_address_has_the_form_of_the_grids(self, trained: Path) -> None:
        found, r = list(comparisons(Layout.read(trained / "params.yaml"))), results(trained)
        assert len({c.name for c in found}) == len(found)
        # The mock has all but four architectures, and one of the two groups that teacher weighting may follow.
        idle = {c.claim.name for c in found if r.get(*c.better, *NUMBERS[c.metric].place) is None}
        idle |= {c.claim.name for c in found if r.get(*c.worse, *NUMBERS[c.metric].place) is None}
        assert idle == {"poster_thinner_deeper", "poster_depth", "poster_weighting"}
        assert len(claims()) == len({c.claim.name for c in found})

    def test_a_student_is_found_by_its_network_whatever_its_name(self, tmp_path: Path) -> None:
        renamed = yaml.safe_load(yaml.safe_dump(SMALL).replace("resnet50-8", "tiny"))
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(renamed))
        found = {c.name: c for c in comparisons(Layout.read(tmp_path / "params.yaml"))}
        assert found["t1_targets/soft_hidden"].better == ("tiny", "table2", "soft")
        assert found["poster_feature_degrades/tiny/lfw"].worse == ("tiny", "losses", "hard_soft_feature")
        assert found["t2_wang/casia/top1/2"].better == (NOBODY, "table2", "wang")


class TestFindings:
    def test_one_seed_is_resampled_by_the_photographs_that_both_saw(self, small: Path, tmp_path: Path) -> None:
        """The soft target is right where the hidden one is, and on 30 more of 100."""
        root = Path(shutil.copytree(small, tmp_path / "copy"))
        hidden = [True] * 40 + [False] * 60
        soft = [True] * 70 + [False] * 30
        replace_hits(root, {"table2/soft": soft, "table1/hidden": hidden, "table1/logits": hidden})
        replace_hits(root, dict.fromkeys(("table1/fitnet", "table2/wang"), soft))
        found = findings(results(root), "casia", root).cells["t1_targets/soft_hidden"]
        assert (found.verdict, found.difference, found.basis) == ("holds", 30.0, "100 photographs")
        # 30 ± 1.96 √(0.3 · 0.7 / 100)
        assert (found.low, found.high) == pytest.approx((21.0, 39.0), abs=1.1)
        level = findings(results(root), "casia", root).cells["t1_targets/hidden_logits"]
        assert (level.verdict, level.low, level.p) == ("cannot be told", None, None)

    def test_a_lower_error_is_in_favour_and_folds_are_those_of_view_2(self, small: Path) -> None:
        found, r = findings(results(small), "casia", small), results(small)
        samples = Samples(r.layout, small)
        teacher = samples.of("nrmse", "teacher", "alignment", "evaluate_teacher")
        student = samples.of("nrmse", "resnet50-8", "alignment/pretrain/hidden", "evaluate@resnet50-8")
        assert teacher is not None
        assert student is not None
        assert teacher.mean() < student.mean()
        assert found.cells["t3_teacher/pretrain"].difference == pytest.approx((student - teacher).mean(), abs=1e-3)
        assert found.cells["t3_teacher/pretrain"].verdict == "holds"
        lfw = found.cells["t2_wang/casia/lfw/8"]
        assert lfw.basis == "10 folds"

    def test_distances_to_the_teachers_centres_are_of_photographs(self, small: Path) -> None:
        """As Figure 1 of ProxylessKD has it: nearer to its own centre is better, nearer to another is worse."""
        rng = np.random.default_rng(5)
        file = small / EVALUATION / "resnet50-8/centres.parquet"
        before, (near, far) = pq.read_table(file), (rng.normal(m, 0.1, 200) for m in (0.3, 0.6))
        tables = [
            pa.table({"model": [f"arcface/{name}"] * 200, "own": own, "other": near})
            for name, own in (("proxyless", near), ("l2kd", far))
        ]
        try:
            pq.write_table(pa.concat_tables(tables), file)
            found = findings(results(small), "casia", small)
        finally:
            pq.write_table(before, file)
        own = found.cells["proxyless_distances/arcface/resnet50-8/own"]
        assert (own.verdict, own.basis) == ("holds", "200 photographs")
        assert own.difference == pytest.approx(100 * (far - near).mean(), abs=1e-3)
        assert found.cells["proxyless_distances/arcface/resnet50-8/other"].verdict == "cannot be told"

    def test_a_tie_holds_where_many_photographs_leave_no_room_for_a_gap(self, small: Path, tmp_path: Path) -> None:
        """Of 20,000 photographs 20 speak for each: 0 ± 1.96 · 100 √40 / 20,000 = 0 ± 0.06 points."""
        root, n = Path(shutil.copytree(small, tmp_path / "copy")), 20_000
        one, other = np.arange(n) % 2 == 0, np.arange(n) % 2 == 0
        one[:20], other[:20] = True, False
        one[-20:], other[-20:] = False, True
        models = {f"triplet/distill/{name}": hits.tolist() for name, hits in (("soft", one), ("none", other))}
        replace_hits(root, models, "nn_top1")
        tie = findings(results(root), "casia", root).cells["t4_soft_distill/8"]
        assert (tie.verdict, tie.difference, tie.basis) == ("holds", 0.0, "20,000 photographs")
        assert (tie.low, tie.high) == pytest.approx((-0.06, 0.06), abs=0.01)

    def test_each_metric_has_its_own_rows(self, small: Path) -> None:
        """Rows of a margin's students are about top-1 and about the teacher's gallery, a row a photograph each."""
        rows = pq.read_table(small / EVALUATION / "resnet50-8/hits.parquet").to_pandas()
        rows = rows[(rows["model"] == "arcface/kd") & (rows["metric"] == "cross")]["hit"]
        found = Samples(results(small).layout, small).of("cross", "resnet50-8", "arcface/kd", "evaluate@resnet50-8")
        assert found is not None
        assert found.tolist() == (100.0 * rows).tolist()

    def test_tpr_of_one_seed_leaves_nothing_to_resample(self, small: Path) -> None:
        found = findings(results(small), "casia", small).cells["poster_feature_degrades/resnet50-8/pose"]
        r = results(small)
        soft, feature = (
            r["resnet50-8", *cell, "tpr", "pose"] for cell in (("table2", "soft"), ("losses", "hard_soft_feature"))
        )
        assert found == Finding("cannot be told", round(soft - feature, 3))

    def test_seeds_meet_in_pairs_and_a_teacher_meets_all(self, tmp_path: Path) -> None:
        """Table 2 has seeds 3, 1, 2 and table 1 seeds 3 and 2: these two are what both have."""
        root = mock(tmp_path / "several", SEVERAL)
        mock_plots(root, SEVERAL)
        ours, fitnet, soft = [70.0, 50.0, 73.0], [65.0, 66.0], [60.0, 39.0, 63.5]
        for name, i in (("resnet50-8", 0), ("resnet50-8-seed1", 1), ("resnet50-8-seed2", 2)):
            edit(root, f"{name}.json", lambda m, i=i: m["table2"]["wang"].update(top1=ours[i]))
            edit(root, f"{name}.json", lambda m, i=i: m["table2"]["soft"].update(top1=soft[i]))
        for name, top1 in zip(("resnet50-8", "resnet50-8-seed2"), fitnet, strict=True):
            edit(root, f"{name}.json", lambda m, top1=top1: m["table1"]["fitnet"].update(top1=top1))
        edit(root, "teacher.json", lambda m: m["classification"].update(top1=90.0))
        found = findings(results(root), "casia", root)
        # Gaps 5 and 7: mean 6, deviation √2, t = 6 with one degree of freedom, of which 12.706 is the 97.5 % point.
        pair = found.cells["t1_initialisations/wang_fitnet"]
        assert (pair.difference, pair.basis, pair.verdict) == (6.0, "2 seeds", "cannot be told")
        assert pair.high == pytest.approx(6 + 12.7062, abs=1e-3)
        # What is printed beside the gap is of these seeds too: 70 and 73 against 65 and 66, and none of 50.
        assert "71.50 ± 2.12, 65.50 ± 0.71" in document(root, found)
        # Gaps 10, 11 and 9.5, of three seeds.
        whole = found.cells["t2_wang/casia/top1/8"]
        assert (whole.basis, whole.verdict) == ("3 seeds", "holds")
        assert whole.difference == pytest.approx(30.5 / 3, abs=1e-3)
        assert found.cells["poster_beats_teacher/resnet43_thin/lfw"].basis == "10 folds"

    def test_a_teacher_of_one_seed_meets_each_of_a_students(self, tmp_path: Path) -> None:
        params = deepcopy(SEVERAL)
        for section in ("verification", "alignment"):
            params[section]["students"] = params["table2"]["students"]
        root = mock(tmp_path / "several", params)
        mock_plots(root, params)
        r = results(root)
        gaps = [81.25 - value for value in r["resnet50-8", "triplet", "distill", "none", "nn_top1"].values]
        found = findings(r, "casia", root)
        of_teacher = found.cells["t4_teacher/8/distill/none"]
        assert of_teacher.basis == "3 seeds"
        assert of_teacher.difference == pytest.approx(float(np.mean(gaps)), abs=1e-3)
        # Of errors the lower is the better.
        distill, pretrain = (r["resnet50-8", "alignment", init, "none", "nrmse"] for init in ("distill", "pretrain"))
        assert found.cells["t3_distill/none"].basis == "3 seeds"
        assert found.cells["t3_distill/none"].difference == pytest.approx(pretrain - distill, abs=1e-3)

    def test_missing_rows_name_the_stage(self, small: Path, tmp_path: Path) -> None:
        root = Path(shutil.copytree(small, tmp_path / "copy"))
        (root / EVALUATION / "resnet50-8/hits.parquet").unlink()
        with pytest.raises(
            MissingResultError, match=r"hits\.parquet: no such file; run `dvc repro evaluate@resnet50-8`"
        ):
            findings(results(root), "casia", root)

    def test_a_line_a_claim_the_same_every_time_and_read_back(self, small: Path, tmp_path: Path) -> None:
        found = findings(results(small), "casia", small)
        for name in ("a.json", "b.json"):
            save(findings(results(small), "casia", small), tmp_path / name)
        text = (tmp_path / "a.json").read_text()
        assert text == (tmp_path / "b.json").read_text()
        assert len(text.splitlines()) == len(found.claims) + len(found.parts) + len(found.cells) + 8
        assert load_findings(tmp_path / "a.json") == found
        assert json.loads(text)["cells"]["t1_targets/soft_hidden"]["verdict"] in get_args(Verdict)
        (tmp_path / "a.json").write_text(text.replace('"verdict": "', '"verdict": "hardly '))
        with pytest.raises(ParamsError, match=r"a\.json.*'hardly "):
            load_findings(tmp_path / "a.json")

    def test_the_findings_of_an_older_commit_are_refused_in_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text(json.dumps({f"cell/{i}": {"verdict": "holds"} for i in range(9)}))
        with pytest.raises(ParamsError, match=r"^\S*a\.json: no verdicts on whole claims.*run `dvc repro -f report`$"):
            load_findings(tmp_path / "a.json")


class TestParts:
    def test_the_difference_of_a_seed_is_the_mean_over_the_cells(self, tmp_path: Path) -> None:
        """Student's paired test on one number a seed, however many cells there are: they share what a seed shares."""
        root = several(tmp_path)
        r = results(root)
        found = findings(r, "casia", root)
        sides = [
            np.mean([r["resnet50-8", "triplet", init, target, "nn_top1"].values for target in TARGETS], axis=0)
            for init in ("distill", "pretrain")
        ]
        expected = stats.ttest_rel(*sides)
        part, ends = found.parts["t4_distill"], expected.confidence_interval()
        assert part.basis == "3 seeds"
        assert part.difference == pytest.approx((sides[0] - sides[1]).mean(), abs=1e-3)
        assert part.p == pytest.approx(expected.pvalue, abs=1e-6)
        assert (part.low, part.high) == pytest.approx((ends.low, ends.high), abs=1e-3)
        assert part.deviation == pytest.approx(np.std(sides[0] - sides[1], ddof=1), abs=1e-3)
        assert found.claims["t4_distill"].p == part.p

    def test_with_one_seed_photographs_are_resampled_over_all_cells_together(self, small: Path, tmp_path: Path) -> None:
        """Three equal cells say no more than one of them: whoever drew each cell for itself would be √3 as sure."""
        root = Path(shutil.copytree(small, tmp_path / "copy"))
        rng = np.random.default_rng(9)
        distill, pretrain = rng.random(300) < 0.7, rng.random(300) < 0.6
        models = {f"triplet/distill/{target}": distill.tolist() for target in TARGETS}
        replace_hits(root, models | {f"triplet/pretrain/{target}": pretrain.tolist() for target in TARGETS}, "nn_top1")
        found = findings(results(root), "casia", root)
        assert found.parts["t4_distill"] == found.cells["t4_distill/8/none"]
        # Cells that differ are averaged, photograph by photograph.
        models["triplet/distill/soft"] = (rng.random(300) < 0.7).tolist()
        models |= {f"triplet/pretrain/{target}": pretrain.tolist() for target in TARGETS}
        replace_hits(root, models, "nn_top1")
        means = np.zeros(300)
        for i in range(300):
            for target in TARGETS:
                means[i] += 100 * (models[f"triplet/distill/{target}"][i] - float(pretrain[i])) / 3
        part, expected = findings(results(root), "casia", root).parts["t4_distill"], over_samples(means)
        assert expected is not None
        assert part.difference == pytest.approx(means.mean(), abs=1e-3)
        assert (part.low, part.high) == pytest.approx((expected.low, expected.high), abs=0.6)
        assert part.p == pytest.approx(expected.p, abs=1e-6)

    def test_if_one_cell_has_one_seed_all_is_over_photographs_and_each_cell_is_its_mean(self, tmp_path: Path) -> None:
        params = deepcopy(SEVERAL)
        params["students"] |= {"resnet50-4": {"architecture": "resnet50", "divisor": 4}}
        params["table2"] = {"students": [*params["table2"]["students"], "resnet50-4"]}
        root = mock(tmp_path / "mixed", params)
        mock_plots(root, params)
        found = findings(results(root), "casia", root)
        samples, gaps = Samples(results(root).layout, root), []
        for names in (["resnet50-4"], params["table1"]["students"] + ["resnet50-8-seed1"]):
            of = [[samples.of("top1", n, f"table2/{r}", "") for r in ("wang", "soft")] for n in names]
            gaps.append(np.mean([b - w for b, w in of if b is not None and w is not None], axis=0))
        assert found.cells["t2_wang/casia/top1/8"].basis == "3 seeds"
        part = found.parts["t2_wang/top1"]
        assert (part.basis, part.deviation) == ("48 photographs", None)
        assert part.difference == pytest.approx(np.mean(gaps), abs=1e-3)
        assert found.parts["t2_wang/lfw"].basis == "10 folds"

    def test_cells_tested_on_different_photographs_are_not_averaged(self, small: Path, tmp_path: Path) -> None:
        root = Path(shutil.copytree(small, tmp_path / "copy"))
        hits = [True] * 50 + [False] * 50
        replace_hits(root, {"triplet/distill/soft": hits, "triplet/pretrain/soft": hits[::-1]}, "nn_top1")
        part = findings(results(root), "casia", root).parts["t4_distill"]
        assert (part.verdict, part.low, part.p) == ("cannot be told", None, None)

    def test_one_rival_that_is_better_refutes_the_best_whatever_the_mean(self, small: Path, tmp_path: Path) -> None:
        """The mean over the rivals is far as claimed. L2KD is better all the same."""
        root = Path(shutil.copytree(small, tmp_path / "copy"))
        of = {"proxyless": 200, "l2kd": 340} | dict.fromkeys(("kd", "fitnet", "attention", "rkd", "cckd"), 3)
        hits = {f"arcface/{name}": [i < n for i in range(1000)] for name, n in of.items()}
        replace_hits(root, hits, "cross")
        found = findings(results(root), "casia", root)
        assert np.mean([f.difference for name, f in found.cells.items() if name.startswith("proxyless_space")]) > 10
        assert found.cells["proxyless_space/arcface/resnet50-8/kd"].verdict == "holds"
        assert found.claims["proxyless_space"].verdict == "fails"

    @pytest.mark.parametrize(("right", "verdict"), [(40, "cannot be told"), (60, "holds")])
    def test_a_claim_of_every_cell_does_not_hold_by_its_mean_alone(
        self, right: int, verdict: str, small: Path, tmp_path: Path
    ) -> None:
        """The mean over six cells is far as claimed. In one of them 40 photographs are right in place of 50."""
        root = Path(shutil.copytree(small, tmp_path / "copy"))
        names = [f"{init}/{target}" for init in ("pretrain", "distill") for target in ("none", "hidden", "soft")]
        hits = {f"triplet/{name}": [i < 50 for i in range(100)] for name in names}
        hits |= {f"triplet_softmax/{name}": [i < 90 for i in range(100)] for name in names}
        hits["triplet_softmax/distill/soft"] = [i < right for i in range(100)]
        replace_hits(root, hits, "nn_top1")
        assert findings(results(root), "casia", root).claims["t5_softmax"].verdict == verdict

    def test_claims_are_corrected_for_all_that_are_asked(self, small: Path, tmp_path: Path) -> None:
        """Eight of 100 photographs differ, all one way: p is 0.005 alone, and above 5 % among two dozen claims."""
        root = Path(shutil.copytree(small, tmp_path / "copy"))
        hits = {"triplet/pretrain/soft": [True] * 8 + [False] * 92, "triplet/pretrain/none": [False] * 100}
        replace_hits(root, hits, "nn_top1")
        found = findings(results(root), "casia", root)
        claim, cell = found.claims["t4_soft_pretrain"], found.cells["t4_soft_pretrain/8"]
        assert cell.verdict == "holds"
        assert cell.p == pytest.approx(2 * stats.norm.sf(8**0.5), abs=1e-6)
        assert claim == Conclusion("cannot be told", cell.p, claim.corrected)
        p = [c.p for c in found.claims.values()]
        assert [c.corrected for c in found.claims.values()] == pytest.approx(holm(p), abs=1e-4)
        assert claim.corrected is not None
        assert claim.corrected > 0.05

    def test_a_small_gap_of_one_seed_is_level_however_sure_its_photographs_are(
        self, small: Path, tmp_path: Path
    ) -> None:
        """The photographs leave no doubt of 0.2 points, but one seed says nothing about chance in training."""
        root = Path(shutil.copytree(small, tmp_path / "copy"))
        soft = [True] * 100 + [False] * 49_900
        replace_hits(root, {"triplet/pretrain/soft": soft, "triplet/pretrain/none": [False] * 50_000}, "nn_top1")
        found = findings(results(root), "casia", root)
        cell = found.cells["t4_soft_pretrain/8"]
        assert cell.verdict == "level"
        assert cell.p is not None
        assert cell.p < 1e-6
        assert found.claims["t4_soft_pretrain"] == Conclusion("level", 1.0, 1.0)

    def test_a_part_has_one_kind_of_metric_no_chain_and_no_rivals(self, trained: Path) -> None:
        """The mean over a chain hides its middle, and the mean over rivals hides the best of them."""
        reading = Reading(trained)
        everything = [c for c in comparisons(reading.layout) if NOBODY not in (c.better[0], c.worse[0])]
        for members in parts(everything):
            name = members[0].part
            assert len({kind(c.metric) for c in members}) == 1, name
            better, worse = (
                Counter((c.corpus, c.metric, getattr(c, side)) for c in members) for side in ("better", "worse")
            )
            assert not better.keys() & worse.keys(), name
            assert {*better.values(), *worse.values()} == {1}, name
            assert re.search(r": \S.* [<=>] .*\S$", compared(members, reading)), name

    def test_a_slip_in_the_axes_of_a_claim_is_an_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = Path(__file__).parents[2] / "facedistill/results/claims.yaml"
        (tmp_path / "claims.yaml").write_text(text.read_text().replace("each: [pair]", "each: [pairs]", 1))
        monkeypatch.setattr("facedistill.results.claims.files", lambda _: tmp_path)
        with pytest.raises(ParamsError, match=r"t1_targets: each: 'pairs' is not a key of its `over`"):
            claims.__wrapped__()


class TestDocument:
    def test_every_claim_is_there_and_those_without_cells_are_said_not_to_be_asked(self, small: Path) -> None:
        found = findings(results(small), "casia", small)
        text = document(small, found)
        for c in comparisons(results(small).layout):
            assert c.claim.says in text
            assert (f"`{c.name}`" in text) == (c.name not in found.cells), c.name
        assert "`t4_distill/2/none`" in text
        assert "`t2_wang/msceleb/top1/8`" in text
        assert "Not asked, because they are about MS-Celeb-1M" not in text
        told = "because the parameters do not have these cells or because they are about MS-Celeb-1M"
        assert f"Not asked, {told}" in text

    def test_on_ms_celeb_the_claims_are_those_about_it(self, small: Path, tmp_path: Path) -> None:
        root = Path(shutil.copytree(small, tmp_path / "copy"))
        real = SMALL | {"datasets": SMALL["datasets"] | {"classification": {"source": {"kind": "msceleb"}}}}
        (root / "params.yaml").write_text(yaml.safe_dump(real, sort_keys=False))
        found = findings(results(root), "msceleb", root)
        assert "t2_wang/msceleb/top1/8" in found.cells
        assert "t2_wang/casia/top1/8" not in found.cells
        assert "`t2_half_beats_teacher/top1`" in document(root, found)

    def test_a_row_has_what_is_printed_what_came_out_and_the_verdict(self, small: Path) -> None:
        found = findings(results(small), "casia", small)
        cell = Finding("holds", 3.0, 1.0, 5.004, 0.0004, 0.9, "1,000 photographs")
        claims = {**found.claims, "t1_targets": Conclusion("fails", 0.0312, 0.41)}
        found = replace(found, claims=claims, cells={**found.cells, "t1_targets/soft_hidden": cell})
        r = results(small)
        soft, hidden = (r["resnet50-8", *cell, "top1"] for cell in (("table2", "soft"), ("table1", "hidden")))
        says = "From scratch, the soft target beats the hidden layer, which beats the logits."
        rows = (
            f"| {says} | 2 parts |  |  |  | 0.031 | 0.410 | **fails** |\n"
            f"|  | ResNet-50/8, top-1: Soft target (Eq. 2) > Hidden target | 61.27, 60.08 | {soft:.2f}, {hidden:.2f} | "
            "+3.00 [+1.00, +5.00], 1,000 photographs | < 0.001 |  | holds |\n"
        )
        assert rows in document(small, found)

    def test_it_opens_with_a_line_a_claim(self, small: Path) -> None:
        """Whoever reads one table has every claim with its verdict, and how many cells lie as claimed."""
        found = findings(results(small), "casia", small)
        cells = {**found.cells, "t4_soft_distill/8": Finding("cannot be told", -0.29)}
        cells |= {f"t4_distill/8/{target}": Finding("holds", gap) for target, gap in (("none", -0.1), ("soft", 0.1))}
        cells["t4_distill/8/hidden"] = Finding("holds", 2.0)
        text = document(small, replace(found, cells=cells))
        table = text.split("\n\n")[3].splitlines()
        assert table[0] == "| Where | Claim | As claimed | Verdict |"
        assert [line.split(" | ")[1] for line in table[2:]] == [claim.says for claim in claims()]
        told = {claim.name: line.rsplit(" | ", 2)[1:] for claim, line in zip(claims(), table[2:], strict=True)}
        assert told["t4_distill"] == ["2 of 3", f"**{found.claims['t4_distill'].verdict}** |"]
        assert told["t4_soft_distill"][0] == "1 of 1"
        assert told["poster_depth"] == ["–", "not asked |"]

    def test_the_verdicts_of_kept_reports_stand_beside(self, small: Path, tmp_path: Path) -> None:
        root = Path(shutil.copytree(small, tmp_path / "copy"))
        found = findings(results(root), "casia", root)
        other = {"t1_targets": Conclusion("holds", 0.001, 0.02), "poster_depth": Conclusion("level")}
        (root / "reports/real-photos").mkdir(parents=True)
        save(Findings(other, {}, {}), root / "reports/real-photos/claims.json")
        beside = SMALL | {"report": SMALL["report"] | {"beside": ["real-photos"]}}
        (root / "params.yaml").write_text(yaml.safe_dump(beside, sort_keys=False))
        lines = document(root, found).splitlines()
        assert "| Where | Claim | As claimed | Verdict | real-photos |" in lines
        ours = found.claims["t1_targets"].verdict
        assert any(
            "which beats the logits. |" in line and line.endswith(f"| **{ours}** | **holds** |") for line in lines
        )
        assert any("1.5 times" in line and line.endswith("| – | not asked | **level** |") for line in lines)
        (root / "reports/real-photos/claims.json").unlink()
        with pytest.raises(MissingResultError, match=r"real-photos/claims\.json: no such file"):
            document(root, found)
        for name in ("../secret", "/etc"):
            (root / "params.yaml").write_text(
                yaml.safe_dump(beside | {"report": beside["report"] | {"beside": [name]}})
            )
            with pytest.raises(ParamsError, match=r"report\.beside\[0\]"):
                document(root, found)

    def test_seeds_are_planned_where_all_of_a_claim_rests_on_several(self, tmp_path: Path) -> None:
        root = several(tmp_path)
        # Seeds that are as good as equal: a deviation of 0.0001 is not 0.
        for name, soft in (("resnet50-8", 60.0), ("resnet50-8-seed1", 60.0001), ("resnet50-8-seed2", 60.0002)):
            edit(root, f"{name}.json", lambda m, soft=soft: m["triplet"]["pretrain"]["soft"].update(nn_top1=soft))
            edit(root, f"{name}.json", lambda m: m["triplet"]["pretrain"]["none"].update(nn_top1=50.0))
        found = findings(results(root), "casia", root)
        text = document(root, found).split("## How many seeds to plan")[1]
        lines = {line.split(" | ")[1]: line.strip("| ").split(" | ")[2:] for line in text.splitlines()[4:]}
        asked = {claim.name: lines.get(claim.says) for claim in claims()}
        deviation = found.parts["t3_distill"].deviation
        assert deviation is not None
        needed = [seeds_needed(deviation, points) or MOST for points in (0.5, 1, 2)]
        assert asked["t3_distill"] == ["3", f"{deviation:.2f}", *map(str, needed)]
        assert needed == sorted(needed, reverse=True)
        assert asked["t4_soft_pretrain"] == ["3", "0.00", "2", "2", "2"]
        assert found.claims["t4_soft_pretrain"].verdict == "holds"
        assert asked["poster_weighting"] is None

    def test_without_seeds_nothing_is_planned(self, small: Path) -> None:
        assert "How many seeds" not in document(small, findings(results(small), "casia", small))

    def test_cells_in_words(self, trained: Path) -> None:
        reading = Reading(trained)
        found = {c.name: compared([c], reading) for c in comparisons(reading.layout)}
        assert found["t3_targets/distill/hidden_none"] == ("ResNet-50/8, Distill, NRMSE: Hidden target < No target")
        assert found["t5_softmax/2/distill/soft"] == (
            "ResNet-50/2, Distill, Soft target, nearest-neighbour top-1: triplet + softmax > triplet"
        )
        assert found["t4_soft_distill/4"].endswith("Soft target = No target")
        assert found["t2_half_beats_teacher/lfw"] == "Drawn pairs: ResNet-50/2 Wang et al. (Eq. 4) > Teacher"
        assert found["proxyless_space/cosface/resnet50-8/kd"].startswith("ResNet-50/8, CosFace, rank-1")

    def test_findings_of_another_grid_are_refused(self, small: Path) -> None:
        found = findings(results(small), "casia", small)
        found = replace(found, cells={k: v for k, v in found.cells.items() if k != "t1_targets/soft_hidden"})
        with pytest.raises(MissingResultError, match=r"t1_targets/soft_hidden .*run `dvc repro -f report`"):
            document(small, found)

    def test_the_summary_counts_claims_and_not_their_cells(self) -> None:
        told = {"a": Conclusion("holds"), "b": Conclusion("holds"), "c": Conclusion("level"), "d": Conclusion("fails")}
        found = Findings(told, {}, {str(i): Finding("fails", -1.0) for i in range(9)})
        assert "4 claims about these cells, 2 hold, 1 fails, 1 is level, 0 cannot be told" in summary(found)
