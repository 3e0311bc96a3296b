"""Which metrics a model gets by its task and heads. Other files test the metrics themselves."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from coloured_people import EACH, PEOPLE, SIDE, SOFTMAX, draw

from facedistill.crops.shards import Crops
from facedistill.evaluation.cross_model import rank1
from facedistill.evaluation.embedding_map import EACH as EACH_MAPPED
from facedistill.evaluation.embedding_map import PEOPLE as PEOPLE_MAPPED
from facedistill.evaluation.embedding_map import WIDTH, mapped
from facedistill.evaluation.false_accepts import TooFewNegatives
from facedistill.evaluation.models import Evaluation
from facedistill.evaluation.operating_point import tpr_at_far
from facedistill.evaluation.pairs import UndefinedMetricError
from facedistill.evaluation.predictions import predict
from facedistill.grid.layout import EvaluationParams
from facedistill.learning import model_files
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import NetworkParams, TaskParams

ARCFACE = TaskParams("arcface", "faces", SIDE, 8, 0, embedding=8)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Untrained networks, and crops with pairs in two folds."""
    monkeypatch.chdir(tmp_path)
    draw(Path("data/crops/faces"), attributes=False)
    draw(Path("data/crops/lfw"), attributes=True)
    draw(Path("data/crops/packed"), attributes=False, people=False)
    a = np.arange(0, PEOPLE * EACH - EACH, 2, dtype=np.int32)
    for name, same in (("lfw", np.arange(len(a)) % 2 == 0), ("packed", np.arange(len(a)) % 2 == 1)):
        columns = {"a": a, "b": np.where(same, a + 1, a + EACH).astype(np.int32), "same": same}
        columns["fold"] = (np.arange(len(a)) // 8).astype(np.int32)
        pq.write_table(pa.table(columns), f"data/crops/{name}/pairs.parquet")
    torch.manual_seed(0)
    for name, network, classes, scale in (
        ("softmax", NetworkParams("resnet50", 32), PEOPLE, 0.0),
        ("feature", NetworkParams("resnet50", 32), 0, 0.0),
        ("teacher", NetworkParams("resnet50", 16, 8), PEOPLE, 16.0),
        ("student", NetworkParams("resnet50", 32, 8), PEOPLE, 16.0),
    ):
        model_files.save(tmp_path / name, FaceNetwork(network, classes, scale=scale), {})
    return tmp_path


def test_a_classifier_has_top1_and_the_numbers_on_unseen_people(models: Path) -> None:
    evaluation = Evaluation(EvaluationParams(("lfw",), 0.05))
    metrics = evaluation.of(SOFTMAX, models / "softmax", "table2/softmax")
    assert metrics.keys() == {"top1", "pairs", "tpr", "rank1", "parameters"}
    assert metrics["tpr"].keys() == {"all", "frontal", "pose", "lighting"}
    lfw = Crops(Path("data/crops/lfw"), "test")
    embeddings = predict(model_files.load(models / "softmax"), lfw, SIDE).embeddings
    frontal = np.arange(PEOPLE * EACH) % 2 == 0
    expected = tpr_at_far(embeddings[frontal], np.array(lfw.identities)[frontal], 0.05)
    assert metrics["tpr"]["frontal"] == expected.tpr
    assert metrics["rank1"] == rank1(embeddings, embeddings, lfw.identities)
    negatives = evaluation.negatives(SOFTMAX, models / "softmax")
    assert negatives["all"] == (PEOPLE * EACH) ** 2 * (PEOPLE - 1) // PEOPLE // 2
    assert negatives["frontal"] == expected.negatives


def test_who_is_right_about_which_photograph_is_kept(models: Path) -> None:
    """The claims of the report are resampled from these rows, so their shares are the metrics."""
    evaluation = Evaluation(EvaluationParams(("lfw",), 0.05))
    triplet = TaskParams("triplet", "faces", SIDE, 8, 4)
    found = {"t": evaluation.of(triplet, models / "softmax", "t"), "s": evaluation.of(SOFTMAX, models / "softmax", "s")}
    found["a"] = evaluation.of(ARCFACE, models / "student", "a", models / "teacher")
    evaluation.save(models / "evaluation")
    rows = pq.read_table(models / "evaluation/hits.parquet").to_pandas()
    shares = 100 * rows.groupby(["model", "metric"])["hit"].mean()
    assert shares.to_dict() == pytest.approx(
        {
            ("t", "nn_top1"): found["t"]["nn_top1"],
            ("s", "top1"): found["s"]["top1"],
            ("a", "top1"): found["a"]["top1"],
            ("a", "cross"): found["a"]["cross"]["rank1"],
        }
    )
    test = Crops(Path("data/crops/faces"), "test")
    answers = predict(model_files.load(models / "softmax"), test, SIDE).answers
    assert answers is not None
    assert rows[rows["model"] == "s"]["hit"].tolist() == np.equal(answers, test.labels).tolist()
    # Who is taken for whom, and nothing of models that do not classify.
    taken = pq.read_table(models / "evaluation/confusion.parquet").to_pandas()
    assert set(taken["model"]) == {"s", "a"}
    counted = Counter(zip(test.labels.tolist(), answers.tolist(), strict=True))
    of_s = taken[taken["model"] == "s"]
    assert {(a, b): n for a, b, n in of_s[["label", "answer", "photographs"]].to_numpy().tolist()} == counted


def test_embeddings_of_a_few_unseen_people_are_kept_for_their_map(models: Path) -> None:
    evaluation = Evaluation(EvaluationParams(("lfw",), 0.05))
    evaluation.of(SOFTMAX, models / "softmax", "s")
    evaluation.save(models / "evaluation")
    table = pq.read_table(models / "evaluation/embeddings.parquet")
    lfw = Crops(Path("data/crops/lfw"), "test")
    embeddings = predict(model_files.load(models / "softmax"), lfw, SIDE).embeddings.double()
    assert table["person"].to_pylist() == [int(name[1:]) for name in lfw.identities]
    # Nearly all the principal components there are, so photographs are as far apart as by their embeddings.
    components = torch.tensor(table["components"].to_pylist()).double()
    assert components.shape == (PEOPLE * EACH, WIDTH)
    within = torch.cdist(embeddings, embeddings)
    assert torch.cdist(components, components).numpy() == pytest.approx(within.numpy(), abs=1e-3)
    packed = Evaluation(EvaluationParams(("packed",), 0.7))
    packed.of(SOFTMAX, models / "softmax", "s")
    assert not packed.rows["embeddings"]


def test_the_map_is_of_the_people_with_most_photographs_and_of_no_more_than_fit() -> None:
    names = ["b"] * 2 + ["a"] * (EACH_MAPPED + 3) + ["b"] + [f"c{i}" for i in range(PEOPLE_MAPPED)]
    rows, person = mapped(names)
    assert [names[i] for i in rows[person == 0]] == ["a"] * EACH_MAPPED
    assert rows[person == 1].tolist() == [0, 1, 2 + EACH_MAPPED + 3]
    assert [names[i] for i in rows[person > 1]] == [f"c{i}" for i in range(PEOPLE_MAPPED - 2)]


def test_a_network_without_classifier_has_no_top1(models: Path) -> None:
    assert "top1" not in Evaluation(EvaluationParams(("lfw",), 0.05)).of(SOFTMAX, models / "feature", "losses/feature")


def test_a_model_against_itself_as_teacher_searches_as_it_does_alone(models: Path) -> None:
    evaluation = Evaluation(EvaluationParams(("lfw",), 0.05))
    itself = evaluation.of(ARCFACE, models / "teacher", "arcface/itself", models / "teacher")
    assert itself["cross"]["rank1"] == itself["rank1"]
    assert itself["cross"]["accuracy"] == pytest.approx(itself["pairs"]["lfw"]["accuracy"])
    student = evaluation.of(ARCFACE, models / "student", "arcface/student", models / "teacher")
    lfw = Crops(Path("data/crops/lfw"), "test")
    probes, gallery = (
        predict(model_files.load(models / name), lfw, SIDE).embeddings for name in ("student", "teacher")
    )
    assert student["cross"]["rank1"] == rank1(probes, gallery, lfw.identities)
    evaluation.save(models / "evaluation")
    centres = pq.read_table(models / "evaluation/centres.parquet")
    assert centres.num_rows == 2 * PEOPLE * EACH
    rows = centres.to_pandas().groupby("model").mean()
    assert student["centres"] == pytest.approx((100 * rows.loc["arcface/student"]).to_dict())
    assert pq.read_table(models / "evaluation/pairs.parquet")["model"].unique().to_pylist() == [
        "arcface/itself",
        "arcface/student",
    ]


def test_a_false_accept_rate_that_the_people_cannot_resolve_is_refused(models: Path) -> None:
    with pytest.raises(TooFewNegatives, match="a higher FAR"):
        Evaluation(EvaluationParams(("lfw",), 0.0001)).of(SOFTMAX, models / "softmax", "table2/softmax")


def test_a_subset_without_an_operating_point_is_left_out_for_every_model_alike(models: Path) -> None:
    """In a studio nobody turns their head: of the subset `pose` there is no photograph."""
    shutil.rmtree("data/crops/lfw")
    pairs = pq.read_table("data/crops/packed/pairs.parquet")
    draw(Path("data/crops/lfw"), attributes=True, turned=0.0)
    pq.write_table(pairs, "data/crops/lfw/pairs.parquet")
    evaluation = Evaluation(EvaluationParams(("lfw",), 0.05))
    assert evaluation.of(SOFTMAX, models / "softmax", "x")["tpr"].keys() == {"all", "frontal", "lighting"}
    negatives = evaluation.negatives(SOFTMAX, models / "softmax")
    assert negatives["pose"] == 0
    assert negatives["frontal"] == negatives["all"]


@pytest.mark.parametrize(
    ("fold", "same", "message"),
    [
        (lambda n: np.zeros(n), None, "one fold only"),
        (lambda n: np.arange(n) % 2 * 2, None, "fold 1 has no pairs"),
        (lambda n: np.arange(n) % 2, True, "all show one person"),
    ],
)
def test_pairs_that_define_no_accuracy_are_named_with_their_set(
    models: Path, fold: Callable[[int], Any], same: bool | None, message: str
) -> None:
    """An error of the project's own: the stage ends with this line, and not with a traceback."""
    file = "data/crops/lfw/pairs.parquet"
    pairs = pq.read_table(file).to_pydict()
    pairs["fold"] = fold(len(pairs["a"])).astype(np.int32)
    pairs["same"] = pairs["same"] if same is None else [same] * len(pairs["a"])
    pq.write_table(pa.table(pairs), file)
    with pytest.raises(UndefinedMetricError, match=f"^data/crops/lfw: .*{message}"):
        Evaluation(EvaluationParams(("lfw",), 0.05)).of(SOFTMAX, models / "softmax", "table2/softmax")


def test_every_set_of_pairs_has_its_accuracy_and_the_first_all_else(models: Path) -> None:
    evaluation = Evaluation(EvaluationParams(("lfw", "packed"), 0.05))
    metrics = evaluation.of(SOFTMAX, models / "softmax", "table2/softmax")
    assert list(metrics["pairs"]) == ["lfw", "packed"]
    alone = [Evaluation(EvaluationParams((name,), 0.7)) for name in ("lfw", "packed")]
    found = [one.of(SOFTMAX, models / "softmax", "x")["pairs"] for one in alone]
    assert metrics["pairs"] == found[0] | found[1]
    evaluation.save(models / "evaluation")
    pairs = pq.read_table(models / "evaluation/pairs.parquet")
    assert pairs["same"].to_pylist() == Crops(Path("data/crops/lfw"), "test").pairs.same.tolist()
    assert metrics.keys() == {"top1", "pairs", "tpr", "rank1", "parameters"}


def test_of_unknown_people_there_is_what_their_pairs_tell_and_no_more(models: Path) -> None:
    evaluation = Evaluation(EvaluationParams(("packed", "lfw"), 0.7))
    student = evaluation.of(ARCFACE, models / "student", "arcface/student", models / "teacher")
    assert student.keys() == {"top1", "pairs", "tpr", "cross", "centres", "parameters"}
    assert student["tpr"].keys() == {"all"}
    assert student["cross"].keys() == {"accuracy"}
    assert not evaluation.identified
    assert evaluation.negatives(ARCFACE, models / "teacher") == {"all": 8}
    with pytest.raises(TooFewNegatives, match=r"on 8 pairs of two people.*set evaluation.far to 0\.631 or more"):
        Evaluation(EvaluationParams(("packed",), 0.5)).of(SOFTMAX, models / "softmax", "table2/softmax")


def test_a_network_whose_rectifiers_died_is_named(models: Path) -> None:
    """Zeros have no direction: no distance between them says anything."""
    dead = model_files.load(models / "softmax")
    for weight in dead.trunk.parameters():
        weight.data.zero_()
    model_files.save(models / "dead", dead, {})
    with pytest.raises(
        model_files.ModelError, match=r"dead: K is 0 for 36 of the 36 photographs of .*faces: .*lower rate"
    ):
        Evaluation(EvaluationParams(("lfw",), 0.05)).of(SOFTMAX, models / "dead", "table2/dead")
