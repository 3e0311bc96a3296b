"""The check of a committed report finds and reports every way in which the report can be wrong."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from report_mock import SMALL, edit, mock, mock_plots, results
from toy_repository import commit, dvc, run

from facedistill.checks import CHECKS, Checks, check_report
from facedistill.grid.layout import Layout
from facedistill.params import PARAMS_FILE, ParamsError, load
from facedistill.paths import CROPS, EVALUATION, MANIFESTS, METRICS, MODELS
from facedistill.report.document import documents
from facedistill.report.reproducibility import TRAINED, write_trained
from facedistill.results.metrics import MissingResultError
from facedistill.results.provenance import DATASETS, Heading, write_datasets
from facedistill.results.reading import Reading
from facedistill.results.verdicts import CLAIMS, findings, save
from stages import check_metrics

NAME, PICTURES = SMALL["report"]["name"], ["![Crops](plots/crops.jpg)"]
HELD = "t3_teacher/pretrain"


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git has of a repository after its report; not to be changed."""
    root = mock(tmp_path_factory.mktemp("checks") / "small", SMALL)
    mock_plots(root, SMALL)
    write_datasets(Layout.read(root / PARAMS_FILE), root)
    write_trained(Layout.read(root / PARAMS_FILE), root)
    save(findings(results(root), "casia", root), root / CLAIMS)
    (root / "reports/plots").mkdir()
    (root / "reports/plots/crops.jpg").write_bytes(b"a picture")
    for name, text in documents(Reading(root), PICTURES).items():
        (root / "reports" / name).write_text(text, encoding="utf-8")
    # What git does not have.
    for folder in (CROPS, MANIFESTS, EVALUATION, MODELS):
        shutil.rmtree(root / folder)
    checks(root, floors={"teacher/classification/top1": 91.0, "teacher/alignment/nrmse": 6.0}, claims=[HELD])
    return root


@pytest.fixture
def repository(committed: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(committed, tmp_path / "copy"))


def checks(root: Path, name: str = NAME, **entry: Any) -> None:
    whole = {name: {"tolerance": 0.5, "floors": {}, "claims": []} | entry}
    (root / CHECKS).write_text(yaml.safe_dump(whole), encoding="utf-8")


def rendered(root: Path) -> None:
    """The documents made to follow from the metrics, where a test is about something else."""
    for name, text in documents(Reading(root), PICTURES).items():
        (root / "reports" / name).write_text(text, encoding="utf-8")


def test_what_a_reading_has_read_it_reads_no_more(repository: Path) -> None:
    """A report that read its files twice could print two states of them beside each other."""
    reading = Reading(repository)
    first = documents(reading, PICTURES)
    shutil.rmtree(repository / METRICS)
    for file in (DATASETS, CLAIMS):
        (repository / file).unlink()
    assert documents(reading, PICTURES) == first
    with pytest.raises(MissingResultError):
        documents(Reading(repository), PICTURES)


def test_a_report_that_follows_from_its_metrics_passes_without_data(committed: Path) -> None:
    assert list(check_report(committed)) == []


@pytest.mark.parametrize("name", ["tables.md", "claims.md"])
def test_a_document_that_was_edited_is_named_with_its_line(repository: Path, name: str) -> None:
    file = repository / "reports" / name
    lines = file.read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if "75.06" in line)
    lines[number] = lines[number].replace("75.06", "76.06", 1)
    file.write_text("\n".join(lines) + "\n")
    (found,) = check_report(repository)
    assert found.startswith(
        f"reports/{name}: 1 of {len(lines) - (2 if name == 'tables.md' else 0)} lines do not follow"
    )
    assert f"Line {number + 1} is “" in found
    assert "76.06" in found
    assert "75.06" in found
    assert "run `dvc repro -f report`" in found


def test_a_document_that_is_cut_short_or_missing_is_found(repository: Path) -> None:
    file = repository / "reports/claims.md"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
    (found,) = check_report(repository)
    assert "is missing, and should be “" in found
    file.unlink()
    (found,) = check_report(repository)
    assert found.startswith("reports/claims.md: no such file")


def test_metrics_that_moved_on_leave_the_tables_behind(repository: Path) -> None:
    edit(repository, "resnet50-8.json", lambda m: m["table2"]["wang"].update(top1=12.34))
    found = list(check_report(repository))
    names = ["tables.md", "claims.md", "index.html"]
    assert [message.split(":")[0] for message in found] == [f"reports/{name}" for name in names]
    assert "12.34 (75.06)" in found[0]
    assert '12.34 <span class="printed"' in found[2]


def test_pictures_are_no_part_of_the_comparison(repository: Path) -> None:
    with (repository / "reports/tables.md").open("a") as file:
        file.write("\n![Another](plots/another.png)\n")
    page = repository / "reports/index.html"
    text = page.read_text()
    assert 'alt="Crops"' in text
    page.write_text(re.sub(r'<p><img alt="Crops".*', '<p><img alt="Another" src="data:,"></p>\n', text))
    assert list(check_report(repository)) == []


@pytest.mark.parametrize(
    ("there", "other"),
    [
        ("default-src 'none'", "default-src *"),
        ("75.06", "76.06"),
        ("0123456789ab", "0123456789ff"),
        ('<section id="claims">', '<section id="more">'),
        ("</main>", "<p>More.</p>\n</main>"),
    ],
)
def test_a_page_that_was_edited_outside_its_pictures_is_found(repository: Path, there: str, other: str) -> None:
    page = repository / "reports/index.html"
    text = page.read_text()
    assert there in text
    page.write_text(text.replace(there, other, 1))
    (found,) = check_report(repository)
    assert re.match(r"reports/index\.html: \d+ of \d+ lines do not follow", found)
    assert other.split("\n")[0] in found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m["classification"].update(top1=90.25),
            "teacher/classification/top1 is 90.25, 0.75 points below its floor of 91 (tolerance 0.5)",
        ),
        (
            lambda m: m["alignment"].update(nrmse=7.25),
            "teacher/alignment/nrmse is 7.25, 1.25 points above its floor of 6 (tolerance 0.5)",
        ),
    ],
)
def test_a_number_beyond_its_floor_is_told_with_by_how_much(
    repository: Path, change: Callable[[Any], Any], message: str
) -> None:
    edit(repository, "teacher.json", change)
    rendered(repository)
    (found,) = check_report(repository)
    assert found == f"{message}; find what made it worse, or move the floor in checks.yaml"


def test_within_the_tolerance_a_floor_holds(repository: Path) -> None:
    edit(repository, "teacher.json", lambda m: m["classification"].update(top1=90.6))
    edit(repository, "teacher.json", lambda m: m["alignment"].update(nrmse=6.4))
    rendered(repository)
    assert list(check_report(repository)) == []


@pytest.mark.parametrize("verdict", ["fails", "level", "cannot be told"])
def test_a_cell_that_held_and_does_so_no_more_is_told(repository: Path, verdict: str) -> None:
    found = json.loads((repository / CLAIMS).read_text())
    assert found["cells"][HELD]["verdict"] == "holds"
    found["cells"][HELD] |= {"verdict": verdict, "difference": -1.25, "low": -2.0, "high": -0.5}
    (repository / CLAIMS).write_text(json.dumps(found))
    rendered(repository)
    (message,) = check_report(repository)
    assert message == (
        f"the cell {HELD} held, and now {verdict}: -1.25 points [-2.00, -0.50]; find out what changed it, or remove "
        "it from checks.yaml"
    )


@pytest.mark.parametrize(("corrected", "told"), [(0.0712, " (corrected p 0.071)"), (None, "")])
def test_a_whole_claim_may_have_to_hold_too(repository: Path, corrected: float | None, told: str) -> None:
    found = json.loads((repository / CLAIMS).read_text())
    checks(repository, claims=["t3_teacher"])
    assert found["claims"]["t3_teacher"]["verdict"] == "holds"
    assert list(check_report(repository)) == []
    found["claims"]["t3_teacher"] = {"verdict": "cannot be told", "p": 0.01, "corrected": corrected}
    (repository / CLAIMS).write_text(json.dumps(found))
    rendered(repository)
    (message,) = check_report(repository)
    assert message.startswith(f"the claim t3_teacher held, and now cannot be told{told}; find out what changed it")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"floors": {"teacher/classification/top5": 90.0}}, r"floors\.teacher/classification/top5: the grid of params"),
        ({"claims": ["t9_unknown"]}, r"claims: 't9_unknown' is not in reports/claims\.json"),
        ({"flors": {}}, r"default\.flors: unknown key; allowed: tolerance, floors, claims"),
        ({"tolerance": -1}, r"tolerance: .*greater than or equal to 0"),
    ],
)
def test_a_slip_in_the_checks_is_an_error(repository: Path, entry: dict[str, Any], message: str) -> None:
    checks(repository, **entry)
    with pytest.raises(ParamsError, match=message):
        list(check_report(repository))


def test_a_report_of_another_name_has_no_floors(repository: Path) -> None:
    checks(repository, name="another", floors={"teacher/classification/top1": 99.0})
    assert Checks.read(repository) is None
    assert list(check_report(repository)) == []


@pytest.mark.parametrize("file", [DATASETS, TRAINED])
def test_what_the_report_left_is_asked_for_where_it_is_missing(repository: Path, file: Path) -> None:
    (repository / file).unlink()
    with pytest.raises(MissingResultError, match=rf"{file.stem}\.json: no such file; run `dvc repro report`"):
        list(check_report(repository))


def test_the_checks_of_this_repository_are_of_its_default_and_can_be_read() -> None:
    root = Path(__file__).parents[2]
    found = Checks.read(root)
    assert load(Heading, "report", root / PARAMS_FILE).name == "default"
    assert found is not None
    assert found.floors
    assert found.claims


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of one stage, run and committed, whose data and cache are gone; not to be changed."""
    root = tmp_path_factory.mktemp("pipeline")
    stage = {
        "cmd": f"{sys.executable} code.py",
        "deps": ["code.py"],
        "params": ["seed"],
        "outs": ["data"],
        "metrics": [{"metrics.json": {"cache": False}}],
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"evaluate": stage}}))
    (root / "params.yaml").write_text("seed: 1\n")
    (root / "code.py").write_text("open('data', 'w').write('d'); open('metrics.json', 'w').write('{\"top1\": 70}')\n")
    for command in (["init", "-q"], ["config", "user.name", "t"], ["config", "user.email", "t@t"]):
        run(root, "git", *command)
    dvc(root, "init", "-q")
    dvc(root, "repro", "-q")
    commit(root, "after")
    (root / "data").unlink()
    shutil.rmtree(root / ".dvc/cache")
    return root


def test_a_clone_without_data_has_nothing_to_run(pipeline: Path) -> None:
    assert list(check_metrics.changed_stages(pipeline)) == []


@pytest.mark.parametrize(
    ("files", "reasons"),
    [
        ({"metrics.json": '{"top1": 71}'}, "metrics.json"),
        ({"code.py": "print('another')\n", "params.yaml": "seed: 2\n"}, "code.py, params.yaml: seed"),
    ],
)
def test_what_is_not_as_in_dvc_lock_is_named_with_its_stage(
    pipeline: Path, tmp_path: Path, files: dict[str, str], reasons: str
) -> None:
    root = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    for name, text in files.items():
        (root / name).write_text(text)
    (found,) = check_metrics.changed_stages(root)
    assert f"1 of the stages would run: evaluate ({reasons})." in found
    assert "Run `dvc repro`" in found
    assert "git restore" in found


def test_all_that_is_wrong_is_told_at_once_and_fails(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setattr(check_metrics, "changed_stages", lambda _: iter(()))
    check_metrics.main()
    assert "2 floors and 1 claims kept" in capsys.readouterr().out
    edit(repository, "teacher.json", lambda m: m["classification"].update(top1=80.0))
    monkeypatch.setattr(check_metrics, "changed_stages", lambda _: iter(["evaluate would run"]))
    with pytest.raises(SystemExit) as stopped:
        check_metrics.main()
    assert [line.split(" ")[1] for line in str(stopped.value).splitlines()] == [
        "evaluate",
        "reports/tables.md:",
        "reports/index.html:",
        "teacher/classification/top1",
    ]
    (repository / METRICS / "teacher.json").unlink()
    with pytest.raises(SystemExit, match=r"evaluate would run\n- MissingResultError: .*teacher\.json: no such file"):
        check_metrics.main()
