"""If a picture fails, the documents and the other pictures are still written, and a message names the picture."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from report_alone import ALONE, repository
from report_mock import SMALL, mock, mock_plots, render_here

from facedistill.report.pictures import style
from facedistill.report.pictures.drawing import PLOTS, Drawing, Picture
from facedistill.report.render import PictureError
from facedistill.results.metrics import MissingResultError

DOCUMENTS = ("tables.md", "claims.md", "claims.json", "index.html", "datasets.json", "models.json")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The grid of one student, not rendered; not to be changed."""
    root = mock(tmp_path_factory.mktemp("render") / "small", SMALL)
    mock_plots(root, SMALL)
    return root


@pytest.fixture
def root(evaluated: Path, tmp_path: Path) -> Path:
    """The same, to be rendered."""
    return Path(shutil.copytree(evaluated, tmp_path / "root"))


def missing() -> Figure:
    raise MissingResultError("rows.parquet: no such file; run `dvc repro evaluate_teacher`")


def defect() -> Figure:
    raise ZeroDivisionError("division by zero")


def draws(monkeypatch: pytest.MonkeyPatch, **pictures: Callable[[], Figure | None]) -> None:
    """In place of all pictures of a report, those that these functions draw, called as these are."""
    drawn = [Picture(PLOTS / f"{name}.png", f"![{name}](plots/{name}.png)", draw) for name, draw in pictures.items()]
    monkeypatch.setattr(Drawing, "numbers", lambda self: iter(drawn))
    monkeypatch.setattr(Drawing, "photographs", lambda self: iter(()))


def test_a_picture_that_lacks_its_rows_is_named_at_the_end_and_all_else_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws(monkeypatch, first=Figure, lost=missing, nothing=lambda: None, last=Figure)
    (root / PLOTS).mkdir(parents=True)
    (root / PLOTS / "lost.png").write_bytes(b"of an earlier run")
    with pytest.raises(
        PictureError, match=r"^reports/plots/lost\.png: not drawn(.|\n)*lost\.png: rows.parquet: no such"
    ):
        render_here(root, style.save)
    assert {file.name for file in (root / PLOTS).iterdir()} == {"first.png", "last.png"}
    assert all((root / "reports" / name).is_file() for name in DOCUMENTS)
    tables = (root / "reports/tables.md").read_text(encoding="utf-8")
    shown = tables.split("## Plots\n\n")[1]
    assert shown == "![first](plots/first.png)\n\nlost.png: not drawn.\n\n![last](plots/last.png)\n"
    assert (root / "reports/index.html").read_text(encoding="utf-8").count("<img ") == 2


def test_an_error_that_nobody_expected_keeps_its_traceback_and_names_the_picture(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws(monkeypatch, lost=missing, wrong=defect, last=Figure)
    with pytest.raises(ZeroDivisionError) as error:
        render_here(root, style.save)
    assert error.traceback[-1].name == "defect"
    (note,) = error.value.__notes__
    assert note.startswith("reports/plots/lost.png, reports/plots/wrong.png: not drawn")
    assert (root / PLOTS / "last.png").is_file()
    assert all((root / "reports" / name).is_file() for name in DOCUMENTS)


def test_a_picture_that_cannot_be_saved_costs_no_other(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(figure: Figure, file: Path) -> None:
        if file.name == "first.png":
            raise OSError(28, "No space left on device", str(file))
        style_save(figure, file)

    style_save: Any = style.save
    draws(monkeypatch, first=Figure, last=Figure)
    with pytest.raises(OSError, match="No space left"):
        render_here(root, full)
    assert (root / PLOTS / "last.png").is_file()
    assert "first.png: not drawn." in (root / "reports/tables.md").read_text(encoding="utf-8")


def test_documents_are_there_before_the_first_picture_is_drawn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library may end the process itself, so that nothing after it happens."""

    def crash() -> Figure:
        assert all((root / "reports" / name).is_file() for name in DOCUMENTS)
        raise KeyboardInterrupt

    draws(monkeypatch, first=crash)
    with pytest.raises(KeyboardInterrupt):
        render_here(root, style.save)


def test_a_grid_without_table_2_has_a_report(tmp_path: Path) -> None:
    """The poster's architectures stand alone: the pictures of table 2 are left out, as its table is."""
    left_out: dict[str, Any] = {section: {"students": []} for section in ("table1", "table2")}
    left_out["custom"] = ALONE["custom"] | {"students": []}
    params = ALONE | left_out | {"architectures": {"students": ["conv5"]}}
    params |= {"students": {"conv5": {"architecture": "conv5"}}}
    repository(tmp_path, params)
    mock_plots(tmp_path, params)
    render_here(tmp_path, lambda _, file: file.touch())
    text = (tmp_path / "reports/tables.md").read_text(encoding="utf-8")
    assert "Table 2." not in text
    assert "## Table 7." in text
    assert "plots/roc.png" not in text
    assert "plots/accuracy.png" in text
