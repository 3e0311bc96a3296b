"""The papers' claims: their text is the papers', each compares the right pair of cells, and none is dropped."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from report_mock import SMALL, edit, mock, mock_plots, results

from facedistill.grid.layout import Layout
from facedistill.params import ParamsError
from facedistill.paths import EVALUATION
from facedistill.report.tables.claims import claims_document, compared, summary
from facedistill.results.claims import METRICS as NUMBERS
from facedistill.results.claims import NOBODY, claims, comparisons
from facedistill.results.metrics import MissingResultError
from facedistill.results.paper import Paper
from facedistill.results.provenance import write_datasets
from facedistill.results.reading import Reading
from facedistill.results.samples import Samples
from facedistill.results.verdicts import CLAIMS, Finding, findings, load_findings, save

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


def document(root: Path, found: dict[str, Finding]) -> str:
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
        found = findings(results(root), "casia", root)["t1_targets/soft_hidden"]
        assert (found.verdict, found.difference, found.basis) == ("holds", 30.0, "100 photographs")
        # 30 ± 1.96 √(0.3 · 0.7 / 100)
        assert (found.low, found.high) == pytest.approx((21.0, 39.0), abs=1.1)
        level = findings(results(root), "casia", root)["t1_targets/hidden_logits"]
        assert (level.verdict, level.low, level.p) == ("cannot be told", None, None)

    def test_a_lower_error_is_in_favour_and_folds_are_those_of_view_2(self, small: Path) -> None:
        found, r = findings(results(small), "casia", small), results(small)
        samples = Samples(r.layout, small)
        teacher = samples.of("nrmse", "teacher", "alignment", "evaluate_teacher")
        student = samples.of("nrmse", "resnet50-8", "alignment/pretrain/hidden", "evaluate@resnet50-8")
        assert teacher is not None
        assert student is not None
        assert teacher.mean() < student.mean()
        assert found["t3_teacher/pretrain"].difference == pytest.approx((student - teacher).mean(), abs=1e-3)
        assert found["t3_teacher/pretrain"].verdict == "holds"
        lfw = found["t2_wang/casia/lfw/8"]
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
        own = found["proxyless_distances/arcface/resnet50-8/own"]
        assert (own.verdict, own.basis) == ("holds", "200 photographs")
        assert own.difference == pytest.approx(100 * (far - near).mean(), abs=1e-3)
        assert found["proxyless_distances/arcface/resnet50-8/other"].verdict == "cannot be told"

    def test_a_tie_holds_where_many_photographs_leave_no_room_for_a_gap(self, small: Path, tmp_path: Path) -> None:
        """Of 20,000 photographs 20 speak for each: 0 ± 1.96 · 100 √40 / 20,000 = 0 ± 0.06 points."""
        root, n = Path(shutil.copytree(small, tmp_path / "copy")), 20_000
        one, other = np.arange(n) % 2 == 0, np.arange(n) % 2 == 0
        one[:20], other[:20] = True, False
        one[-20:], other[-20:] = False, True
        models = {f"triplet/distill/{name}": hits.tolist() for name, hits in (("soft", one), ("none", other))}
        replace_hits(root, models, "nn_top1")
        tie = findings(results(root), "casia", root)["t4_soft_distill/8"]
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
        found = findings(results(small), "casia", small)["poster_feature_degrades/resnet50-8/pose"]
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
        pair = found["t1_initialisations/wang_fitnet"]
        assert (pair.difference, pair.basis, pair.verdict) == (6.0, "2 seeds", "cannot be told")
        assert pair.high == pytest.approx(6 + 12.7062, abs=1e-3)
        # What is printed beside the gap is of these seeds too: 70 and 73 against 65 and 66, and none of 50.
        assert "71.50 ± 2.12, 65.50 ± 0.71" in document(root, found)
        # Gaps 10, 11 and 9.5, of three seeds.
        whole = found["t2_wang/casia/top1/8"]
        assert (whole.basis, whole.verdict) == ("3 seeds", "holds")
        assert whole.difference == pytest.approx(30.5 / 3, abs=1e-3)
        assert found["poster_beats_teacher/resnet43_thin/lfw"].basis == "10 folds"

    def test_a_teacher_of_one_seed_meets_each_of_a_students(self, tmp_path: Path) -> None:
        params = deepcopy(SEVERAL)
        for section in ("verification", "alignment"):
            params[section]["students"] = params["table2"]["students"]
        root = mock(tmp_path / "several", params)
        mock_plots(root, params)
        r = results(root)
        gaps = [81.25 - value for value in r["resnet50-8", "triplet", "distill", "none", "nn_top1"].values]
        found = findings(r, "casia", root)
        of_teacher = found["t4_teacher/8/distill/none"]
        assert of_teacher.basis == "3 seeds"
        assert of_teacher.difference == pytest.approx(float(np.mean(gaps)), abs=1e-3)
        # Of errors the lower is the better.
        distill, pretrain = (r["resnet50-8", "alignment", init, "none", "nrmse"] for init in ("distill", "pretrain"))
        assert found["t3_distill/none"].basis == "3 seeds"
        assert found["t3_distill/none"].difference == pytest.approx(pretrain - distill, abs=1e-3)

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
        assert len(text.splitlines()) == len(found) + 2
        assert load_findings(tmp_path / "a.json") == found
        assert json.loads(text)["t1_targets/soft_hidden"]["verdict"] in ("holds", "fails", "cannot be told")
        (tmp_path / "a.json").write_text(text.replace('"verdict": "', '"verdict": "hardly '))
        with pytest.raises(ParamsError, match=r"a\.json.*'hardly "):
            load_findings(tmp_path / "a.json")


class TestDocument:
    def test_every_claim_is_there_and_those_without_cells_are_said_not_to_be_asked(self, small: Path) -> None:
        found = findings(results(small), "casia", small)
        text = document(small, found)
        for c in comparisons(results(small).layout):
            assert c.claim.says in text
            assert (f"`{c.name}`" in text) == (c.name not in found), c.name
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
        assert "t2_wang/msceleb/top1/8" in found
        assert "t2_wang/casia/top1/8" not in found
        assert "`t2_half_beats_teacher/top1`" in document(root, found)

    def test_a_row_has_what_is_printed_what_came_out_and_the_verdict(self, small: Path) -> None:
        found = findings(results(small), "casia", small)
        found["t1_targets/soft_hidden"] = Finding("holds", 3.0, 1.0, 5.004, 0.0004, "1,000 photographs")
        r = results(small)
        soft, hidden = (r["resnet50-8", *cell, "top1"] for cell in (("table2", "soft"), ("table1", "hidden")))
        row = (
            f"| ResNet-50/8, top-1: Soft target (Eq. 2) > Hidden target | 61.27, 60.08 | {soft:.2f}, {hidden:.2f} | "
            "+3.00 [+1.00, +5.00], 1,000 photographs | < 0.001 | **holds** |"
        )
        assert row in document(small, found)

    def test_cells_in_words(self, trained: Path) -> None:
        reading = Reading(trained)
        found = {c.name: compared(c, reading) for c in comparisons(reading.layout)}
        assert found["t3_targets/distill/hidden_none"] == ("ResNet-50/8, Distill, NRMSE: Hidden target < No target")
        assert found["t5_softmax/2/distill/soft"] == (
            "ResNet-50/2, Distill, Soft target, nearest-neighbour top-1: triplet + softmax > triplet"
        )
        assert found["t4_soft_distill/4"].endswith("Soft target = No target")
        assert found["t2_half_beats_teacher/lfw"] == "Drawn pairs: ResNet-50/2 Wang et al. (Eq. 4) > Teacher"
        assert found["proxyless_space/cosface/resnet50-8/kd"].startswith("ResNet-50/8, CosFace, rank-1")

    def test_findings_of_another_grid_are_refused(self, small: Path) -> None:
        found = findings(results(small), "casia", small)
        del found["t1_targets/soft_hidden"]
        with pytest.raises(MissingResultError, match=r"t1_targets/soft_hidden .*run `dvc repro -f report`"):
            document(small, found)

    def test_the_summary_counts(self) -> None:
        found: dict[str, Any] = {str(i): Finding("holds", 1.0) for i in range(3)} | {"x": Finding("fails", -1.0)}
        assert "4 claims about these cells, 3 hold, 1 fail, 0 cannot be told" in summary(found)
