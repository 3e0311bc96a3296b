"""What the pictures of the report show, tested where it is computed: fronts, errors, confusions, places."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from report_mock import SMALL, drawing, mock, mock_plots
from sklearn.metrics import roc_curve

from facedistill.evaluation.pairs import roc
from facedistill.grid.layout import TEACHER, Layout
from facedistill.paths import EVALUATION
from facedistill.recipe import PsiName, Recipe
from facedistill.report.pictures import distances, identities, photographs, plots, style
from facedistill.report.pictures.curves import Curve
from facedistill.report.pictures.distances import equal_error
from facedistill.report.pictures.drawing import PLACES
from facedistill.report.pictures.identities import MIXED, confusions, mixed_up
from facedistill.report.pictures.photographs import HARDEST, Found, Pair
from facedistill.report.pictures.plots import pareto
from facedistill.results.metrics import MissingResultError
from facedistill.results.provenance import write_datasets
from facedistill.results.samples import model_rows


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The grid of one student, not rendered; not to be changed."""
    root = mock(tmp_path_factory.mktemp("pictures") / "small", SMALL)
    mock_plots(root, SMALL)
    write_datasets(Layout.read(root / "params.yaml"), root)
    return root


def test_every_term_has_a_panel_and_those_of_ones_own_too() -> None:
    own = Recipe("custom.margin:wide", alpha=1, beta=1, psi="custom.similarity:similarity")
    recipes = [*(Recipe("softmax", beta=1, psi=psi) for psi in get_args(PsiName)), own]
    points = np.array([1.0, 2.0])
    curves = [
        Curve("s", "soft", "", recipe, dict.fromkeys(terms, (points, points)))
        for recipe in recipes
        for terms in [("loss", *recipe.phi_terms, *(["soft"] if recipe.alpha else []), recipe.psi_term)]
    ]
    axes = plots.learning_curves(curves, style.TARGET_LOOKS, {"s": "S"}, "Curves").axes
    drawn = {ax.get_title("left"): len(ax.lines) for ax in axes}
    several = len(recipes)
    assert drawn == {"Whole loss": several, "Φ, softmax": several - 1, "Φ, wide": 1, "H, soft target": 1, "Ψ": several}


def test_a_front_holds_what_nothing_beats_at_its_cost_or_under_it() -> None:
    points = [(1, 50, "a"), (2, 40, "b"), (2, 60, "c"), (2, 55, "d"), (4, 60, "e"), (8, 61, "f"), (1, 49, "g")]
    assert pareto(points) == [(1, 50, "a"), (2, 60, "c"), (8, 61, "f")]


def test_the_equal_error_is_where_rejects_and_accepts_meet() -> None:
    rng = np.random.default_rng(0)
    same = np.tile([True, False], 4000)
    distance = rng.normal(2 - 2 * same, 1)
    # Two normal distributions two deviations apart meet one deviation from each: 15.87 %.
    far, tpr, _ = roc(distance, same)
    assert equal_error(far, tpr) == pytest.approx(15.87, abs=0.8)
    far, tpr, _ = roc_curve(same, -distance)
    assert equal_error(far, tpr) == pytest.approx(equal_error(*roc(distance, same)[:2]), abs=0.1)
    assert equal_error(np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0])) == 0


def test_those_who_are_mixed_up_most_are_found_over_all_models_and_both_ways() -> None:
    first = {(0, 0): 9, (1, 2): 2, (2, 1): 2, (5, 6): 3}
    assert mixed_up([first, {(5, 6): 0, (9, 8): 4, (3, 3): 50}]) == [1, 2, 5, 6, 8, 9]
    many = {(2 * i, 2 * i + 1): i + 1 for i in range(MIXED)}
    assert mixed_up([many]) == list(range(MIXED, 2 * MIXED))


def test_a_confusion_shows_shares_of_all_photographs_of_a_person() -> None:
    """Of person 1's four one is taken for 2, and one for 7, who is mixed up less and not shown."""
    model = {(1, 1): 2, (1, 2): 1, (1, 7): 1, (2, 2): 3} | {(i, i + 1): 5 for i in range(10, 26, 2)}
    figure = confusions({"A": model | {(2, 1): 1}})
    texts = {text.get_text() for text in figure.axes[0].texts}
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == MIXED
    assert texts == {"100"}
    shown = confusions({"A": {key: n for key, n in model.items() if key[0] < 10}})
    assert [text.get_text() for text in shown.axes[0].texts] == ["50", "25", "25", "100"]


def test_landmarks_are_shown_from_the_best_to_the_worst_of_each_network(
    evaluated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[tuple[str, Found]]] = {}
    monkeypatch.setattr(photographs, "landmarks", lambda rows, title: seen.update(rows) or Figure())
    for picture in drawing(evaluated).photographs():
        picture.draw()
    assert list(seen) == ["Teacher", "ResNet-50/8\nundistilled", "ResNet-50/8\ncustom"]
    for found in seen.values():
        errors = [one.nrmse for _, one in found]
        assert errors == sorted(errors)
        assert [name for name, _ in found] == [name for name, _ in PLACES]
        for _, one in found:
            eyes = np.linalg.norm(one.true[0] - one.true[1])
            off = np.sqrt(((one.predicted - one.true) ** 2).sum(axis=1).mean())
            assert one.nrmse == pytest.approx(100 * off / eyes)


def test_the_hardest_pairs_are_the_far_of_one_person_and_the_near_of_two(
    evaluated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[Pair]] = {}
    monkeypatch.setattr(photographs, "hardest_pairs", lambda rows, title: seen.update(rows) or Figure())
    for picture in drawing(evaluated).photographs():
        picture.draw()
    rows = model_rows(evaluated / EVALUATION / TEACHER / "pairs.parquet", "classification", "").to_pandas()
    one, two = (sorted(rows[rows["same"] == same]["distance"], reverse=same) for same in (True, False))
    assert [pair.distance for pair in seen["Teacher:\none person"]] == one[:HARDEST]
    assert [pair.distance for pair in seen["Teacher:\ntwo people"]] == two[:HARDEST]
    assert len(seen) == 6


def test_fewer_pairs_than_places_leave_the_rest_of_their_row_empty() -> None:
    black = np.zeros((24, 24, 3), np.uint8)
    pair = Pair(black, black, 0.5)
    figure = photographs.hardest_pairs({"one person": [pair] * 2, "two people": [pair] * HARDEST}, "")
    assert [ax.get_visible() for ax in figure.axes] == [True] * 2 + [False] * (HARDEST - 2) + [True] * HARDEST


@pytest.mark.parametrize(("tpr", "edge"), [(0.0, 1), (1.0, 0)])
def test_an_operating_point_of_0_or_1_is_marked_at_the_edge_of_the_det(tpr: float, edge: int) -> None:
    """Its normal deviate is infinite, which ended the report before any table was written."""
    curve = np.array([0, 0, 1]), np.array([0, 0.5, 1])
    method = style.Method("a recipe", "#0072B2", "-", "P")
    figure = distances.roc_and_det({"A": {"a": curve}}, {"A": {"a": tpr}}, 0.001, {"a": method})
    below = figure.axes[1]
    (mark,) = (line for line in below.lines if line.get_marker() == method.marker)
    assert np.isfinite(below.get_ylim()).all()
    assert np.asarray(mark.get_ydata())[0] == pytest.approx(below.get_ylim()[edge])


@pytest.mark.parametrize("points", [1, 2, 3, 20])
def test_embeddings_without_a_spread_are_one_point_of_their_map(points: int) -> None:
    """t-SNE divides by the spread: it gave NaN, and ended the process where rounding alone was left of it."""
    rounding = 1e-30 * np.arange(points)[:, None] * np.ones(4)
    figure = identities.embedding_map({"A": (np.zeros(points, np.int32), rounding.astype(np.float32))})
    drawn = np.concatenate([collection.get_offsets() for collection in figure.axes[0].collections])
    assert len(drawn) == points
    assert np.ptp(drawn, axis=0).max() < 1e-6


def test_a_model_that_is_lost_leaves_the_others_room_in_the_plot_of_landmarks() -> None:
    errors = np.linspace(1, 9, 50)
    figure = plots.nrmse_curves({"A": [("teacher", "", errors), ("none", "pretrain", 1e12 * errors)]})
    assert figure.axes[0].get_xlim()[1] == pytest.approx(np.percentile(errors, 99))
    lost = plots.nrmse_curves({"A": [("teacher", "", 1e12 * errors)]})
    assert lost.axes[0].get_xlim()[1] > 1e12


def test_pairs_of_another_set_are_refused(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facedistill.report.pictures.drawing.model_rows", lambda *a: model_rows(*a).slice(1))
    with pytest.raises(MissingResultError, match=r"rows of 599 pairs, but .* has 600; run `dvc repro -f eval"):
        drawing(evaluated)._hardest("")


def test_a_saved_plot_is_white_and_small_and_one_of_photographs_keeps_its_colours(tmp_path: Path) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    style.save(photographs.sheet([[crop] * 4], "Crops"), tmp_path / "plot.png")
    style.save(photographs.sheet([[crop] * 4], "Crops"), tmp_path / "photographs.jpg")
    plot, kept = (Image.open(tmp_path / name) for name in ("plot.png", "photographs.jpg"))
    assert plot.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    colours = [len(image.getcolors(1 << 20) or ()) for image in (plot, kept.convert("RGB"))]
    assert 0 < colours[0] <= style.PALETTE < colours[1]
    assert not {"Software", "Creation Time"} & (plot.info.keys() | kept.info.keys())


@pytest.mark.parametrize(("letters", "columns"), [(10, 4), (24, 3), (70, 1)])
def test_a_legend_has_as_many_columns_as_its_figure_is_wide(letters: int, columns: int) -> None:
    figure = Figure(figsize=(9, 5), layout="constrained")
    style.legend(figure, style.lines([style.Method("x" * letters, "#000000")] * 8))
    (legend,) = figure.legends
    assert legend.get_window_extent().width <= figure.bbox.width
    assert [text.get_text() for text in legend.get_texts()] == ["x" * letters] * 8
    assert legend._ncols == columns  # type: ignore[attr-defined]
