"""Batches, the loop, teachers and model files, on a small set of coloured squares in place of people."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from squares import AUGMENTATION, PEOPLE, SIDE, SIZE, SMALL, TRAINING, draw, optimisation, run, run_together, weights

from facedistill.crops import DataError
from facedistill.crops.align import transform, warp
from facedistill.crops.shards import Crops
from facedistill.learning import model_files
from facedistill.learning.augment import AugmentationParams, ScatterParams, TransformParams
from facedistill.learning.batches import IdentityBatches, ShuffledBatches, TrainingCrops, centre_batches, cut
from facedistill.learning.divergence import DivergedError
from facedistill.learning.feed import Feed
from facedistill.learning.nesterov import Nesterov
from facedistill.learning.networks import FaceNetwork
from facedistill.learning.parameters import NetworkParams, SnapshotParams, TaskParams
from facedistill.learning.teachers import Guide
from facedistill.learning.training import Plan, rounds
from facedistill.params import ParamsError
from facedistill.paths import MODELS
from facedistill.recipe import PsiName, Recipe


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Crops:
    folder = tmp_path_factory.mktemp("crops")
    draw(folder)
    return Crops(folder, "train")


def test_a_sample_depends_on_epoch_and_row_alone(crops: Crops) -> None:
    data = TrainingCrops(crops, SIDE, 3, AUGMENTATION, 64)
    together = data.batch([(1, 5), (1, 9), (2, 5)])
    assert torch.equal(data.batch([(1, 9)]).images[0], together.images[1])
    assert not torch.equal(together.images[0], together.images[2])


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("noise", [(), (TransformParams("GaussNoise", 1.0, {}),)], ids=["plain", "noisy"])
def test_threads_and_cache_never_change_a_batch(crops: Crops, threads: int, noise: tuple[TransformParams, ...]) -> None:
    batches = []
    for cache_mb, ahead in ((64, 0), (0, threads)):
        sampler = ShuffledBatches(len(crops), 8, seed=1)
        sampler.epoch = 4
        data = TrainingCrops(crops, SIDE, 1, AugmentationParams(flip=True, photometric=noise), cache_mb)
        batches.append(list(Feed(data, sampler, ahead, torch.device("cpu"))))
    assert len(batches[0]) == 6
    for cached, other in zip(*batches, strict=True):
        assert all(torch.equal(part, other.tensors()[name]) for name, part in cached.tensors().items())


def test_crops_on_the_device_are_cut_to_the_same_bytes(crops: Crops) -> None:
    data = TrainingCrops(crops, SIDE, 2, AUGMENTATION, 64)
    keys = [(epoch, row) for epoch in range(2) for row in range(len(crops))]
    expected, described = data.batch(keys), data.batch(keys, resident=True)
    assert 0 < int(described.mirrored.sum()) < len(keys)
    assert described.images.float().std(0).min() > 0
    images = cut(torch.from_numpy(data.cache), described.images, described.rows, described.mirrored, SIDE)
    assert images.is_contiguous(memory_format=torch.channels_last)
    for name, part in described._replace(images=images).tensors().items():
        assert torch.equal(part, expected.tensors()[name]), name


def test_landmarks_stay_on_their_dots_through_crop_and_flip(crops: Crops) -> None:
    data = TrainingCrops(crops, SIDE, 0, AUGMENTATION, 64)
    batch = data.batch([(epoch, row) for epoch in range(3) for row in range(len(crops))])
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    seen = 0
    for image, landmarks in zip(batch.images, batch.landmarks * SIDE, strict=True):
        for x, y in landmarks.round().int().tolist():
            if 0 <= x < SIDE and 0 <= y < SIDE:
                assert image[:, y, x].min() > 200
                seen += 1
    assert seen > 500


def test_scattered_landmarks_stay_on_their_eyes() -> None:
    """Each landmark has a blob. After the warp, the blob's centre of mass is where the landmark is."""
    rng, size = np.random.default_rng(0), 48
    points = np.array([[17, 18], [30, 19], [24, 25], [19, 32], [29, 31]], np.float32)
    scatter = ScatterParams(degrees=40, scale=1.3, shift=0.1)
    y, x = np.mgrid[:size, :size]
    turned = []
    for _ in range(20):
        matrix = scatter.draw(rng, size, 40)
        for point in points:
            blob = 255 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / 8)
            seen = warp(np.repeat(blob[..., None], 3, 2).astype(np.uint8), matrix, 40)[..., 0].astype(float)
            rows, columns = np.mgrid[:40, :40]
            centre = np.array([(columns * seen).sum(), (rows * seen).sum()]) / seen.sum()
            np.testing.assert_allclose(transform(point, matrix), centre, atol=0.15)
        factor = np.hypot(*matrix[:, 0])
        assert 1 / 1.3 <= factor <= 1.3
        turned.append(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
        middle = transform(np.array([(size - 1) / 2] * 2), matrix) - 19.5
        assert abs(middle).max() <= 4 + 1e-4
    assert max(turned) > 20
    assert min(turned) < -20
    assert max(map(abs, turned)) <= 40


def test_a_scatter_of_nothing_is_the_middle_of_the_crop(crops: Crops) -> None:
    nothing = ScatterParams(degrees=0, scale=1, shift=0)
    data = TrainingCrops(crops, SIDE, 0, AugmentationParams(flip=False, photometric=()), 64, scatter=nothing)
    found, (expected,) = data.batch([(0, row) for row in range(16)]), list(centre_batches(crops, SIDE, 16, range(16)))
    assert torch.equal(found.images, expected.images)
    torch.testing.assert_close(found.landmarks, expected.landmarks)


def test_only_alignment_can_scatter_its_crops() -> None:
    with pytest.raises(ValueError, match="scatter: only for phi: landmarks, not softmax"):
        TaskParams("softmax", "faces", SIDE, 8, 0, scatter=ScatterParams(5, 1, 0))


def test_a_flip_swaps_left_and_right(crops: Crops) -> None:
    turned = TrainingCrops(crops, SIZE, 0, AUGMENTATION, 64).batch([(epoch, 0) for epoch in range(16)])
    original = crops.landmarks[0]
    mirrored = np.stack([SIZE - 1 - original[:, 0], original[:, 1]], axis=1)[[1, 0, 2, 4, 3]]
    found = [np.allclose(points * SIZE, mirrored, atol=1e-4) for points in turned.landmarks.numpy()]
    assert 0 < sum(found) < 16
    assert all(f or np.allclose(p * SIZE, original, atol=1e-4) for f, p in zip(found, turned.landmarks, strict=True))


def test_centre_batches_cut_the_middle_in_order(crops: Crops) -> None:
    batches = list(centre_batches(crops, SIDE, batch=20))
    assert torch.cat([b.rows for b in batches]).tolist() == list(range(len(crops)))
    expected = crops.image(0)[2:34, 2:34].transpose(2, 0, 1)
    assert np.array_equal(batches[0].images[0].numpy(), expected)


def test_an_input_larger_than_the_crop_is_refused(crops: Crops) -> None:
    with pytest.raises(ValueError, match="raise the crop's size"):
        TrainingCrops(crops, SIZE + 1, 0, AUGMENTATION, 64)


def test_photometric_transforms_are_drawn_by_sample_and_move_nothing(crops: Crops) -> None:
    noisy = AugmentationParams(flip=True, photometric=(TransformParams("GaussNoise", 1.0, {}),))
    plain, changed = (
        TrainingCrops(crops, SIDE, 0, chosen, 64).batch([(0, 0), (0, 1)]) for chosen in (AUGMENTATION, noisy)
    )
    again = TrainingCrops(crops, SIDE, 0, noisy, 64).batch([(0, 1)])
    assert not torch.equal(plain.images, changed.images)
    assert torch.equal(plain.landmarks, changed.landmarks)
    assert torch.equal(again.images[0], changed.images[1])


@pytest.mark.parametrize("name", ["HorizontalFlip", "NoSuchThing", "os"])
def test_a_transform_that_moves_pixels_is_refused(crops: Crops, name: str) -> None:
    augmentation = AugmentationParams(flip=True, photometric=(TransformParams(name, 1.0, {}),))
    with pytest.raises(ParamsError, match="pixel-level"):
        TrainingCrops(crops, SIDE, 0, augmentation, 64)


def test_shuffled_batches_take_every_row_once_in_an_order_of_the_epoch() -> None:
    sampler = ShuffledBatches(50, 16, seed=0)
    first = [row for batch in sampler for _, row in batch]
    assert len(first) == 48 == len(set(first))
    assert first == [row for batch in sampler for _, row in batch]
    sampler.epoch = 1
    assert first != [row for batch in sampler for _, row in batch]


def test_identity_batches_hold_p_identities_by_q_photographs() -> None:
    labels = np.repeat(np.arange(10), [4, 4, 6, 9, 2, 4, 1, 4, 4, 4]).astype(np.int32)
    sampler = IdentityBatches(labels, batch=16, per_identity=4, seed=0)
    seen = set()
    for batch in sampler:
        assert len(batch) == 16
        groups = labels[[row for _, row in batch]].reshape(4, 4)
        assert (groups == groups[:, :1]).all()
        seen |= {row for _, row in batch}
    assert len(sampler) == 3
    assert 6 not in labels[list(seen)]


@pytest.mark.parametrize(("batch", "per_identity"), [(8, 4), (4, 2), (6, 2)])
def test_every_batch_shows_two_people(batch: int, per_identity: int) -> None:
    # The first person has half of the groups: by chance many batches of two groups would be theirs alone.
    labels = np.repeat(np.arange(5, dtype=np.int32), [40, 12, 12, 8, 8])
    sampler = IdentityBatches(labels, batch, per_identity, seed=0)
    for epoch in range(50):
        sampler.epoch = epoch
        batches = [[row for _, row in keys] for keys in sampler]
        assert len(batches) == len(sampler) == 80 // batch
        assert min(len(set(labels[rows])) for rows in batches) >= 2
        assert all((labels[rows[::per_identity]] == labels[rows].reshape(-1, per_identity).T).all() for rows in batches)
        groups = [tuple(rows[i : i + per_identity]) for rows in batches for i in range(0, batch, per_identity)]
        assert len(set(groups)) == len(groups), "no group is taken twice"


def test_identity_batches_refuse_a_person_who_would_fill_a_batch() -> None:
    labels = np.repeat(np.arange(2, dtype=np.int32), [44, 36])
    with pytest.raises(DataError, match=r"one person has 44 of 80 .* per_identity 4 some batches of 8 would"):
        IdentityBatches(labels, 8, 4, 0)
    assert len(IdentityBatches(labels, 12, 4, 0)) == 6


def test_identity_batches_refuse_people_without_a_second_photograph() -> None:
    with pytest.raises(DataError, match="two people with two photographs"):
        IdentityBatches(np.array([0, 0, 1, 2], np.int32), 4, 2, 0)


def test_photographs_without_a_name_are_in_no_batch_of_identities() -> None:
    labels = np.array([0, 0, -1, 1, 1, -1, -1, -1], np.int32)
    rows = {row for batch in IdentityBatches(labels, 4, 2, 0) for _, row in batch}
    assert rows == {0, 1, 3, 4}


def test_whole_crops_are_moved_and_mirrored_as_the_images_are(crops: Crops) -> None:
    """The middle of a whole crop is what the student sees, where both have the same pixels."""
    data = TrainingCrops(crops, SIDE, 0, AUGMENTATION, 64, whole=True)
    batch = data.batch([(epoch, row) for epoch in range(4) for row in range(12)])
    assert batch.whole is not None
    middle = (SIZE - SIDE) // 2
    part = batch.whole[:, :, middle : middle + SIDE, middle : middle + SIDE]
    assert torch.equal(part[~batch.mirrored], batch.images[~batch.mirrored])
    assert torch.equal(part[batch.mirrored], batch.images[batch.mirrored])
    assert 0 < batch.mirrored.sum() < len(batch.mirrored)
    assert TrainingCrops(crops, SIDE, 0, AUGMENTATION, 64).batch([(0, 0)]).whole is None


def test_schedules() -> None:
    constant, cosine = optimisation(warmup_steps=4), optimisation(schedule="cosine", warmup_steps=4)
    assert [constant.rate(step, 12) for step in range(5)] == pytest.approx([0.0125, 0.025, 0.0375, 0.05, 0.05])
    assert cosine.rate(4, 12) == pytest.approx(0.05)
    assert cosine.rate(8, 12) == pytest.approx(0.025)
    assert cosine.rate(12, 12) == pytest.approx(0)


def test_nesterov_takes_the_steps_of_torchs_own() -> None:
    ours, theirs = (FaceNetwork(SMALL, classes=5).to(memory_format=torch.channels_last) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    mine = Nesterov(ours.parameters(), momentum=0.9, weight_decay=0.01)
    reference = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    for rate in (0.01, 0.02, 0.02, 0.005):
        mine.zero_grad()
        reference.zero_grad()
        for network in (ours, theirs):
            network(images).logits.square().mean().backward()
        mine.step(rate)
        reference.param_groups[0]["lr"] = rate
        reference.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-5)


def test_nesterov_leaves_weights_without_a_gradient_alone() -> None:
    used, unused = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    optimiser = Nesterov([used, unused], momentum=0.9, weight_decay=0.1)
    used.sum().backward()  # type: ignore[no-untyped-call]
    optimiser.step(0.5)
    assert torch.equal(unused, torch.ones(3))
    assert torch.allclose(used, torch.ones(3) - 0.5 * 1.1 * 1.9)


def test_training_is_repeatable_and_learns(workspace: Path) -> None:
    longer = {"optimisation": optimisation(epochs=12), "network": NetworkParams(architecture="resnet50", divisor=8)}
    for model in ("s/one", "s/two"):
        run(model, Recipe(phi="softmax"), **longer)
    one, two = weights("s/one"), weights("s/two")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert model_files.read_record(Path("models/s/one"))["last_epoch"]["loss"] < 1.3  # chance: log 6 = 1.79
    epochs, steps = (
        (workspace / "models/s/one" / file).read_text().splitlines() for file in ("epochs.tsv", "steps.tsv")
    )
    assert epochs[0].split("\t") == ["epoch", "softmax", "loss", "learning_rate"]
    assert [row.split("\t")[0] for row in epochs[1:]] == [str(epoch) for epoch in range(1, 13)]
    assert steps[0].split("\t") == ["step", "softmax", "loss"]


def test_every_task_and_target_trains_from_a_start_with_teachers(workspace: Path) -> None:
    del workspace
    run("teacher/classification", Recipe(phi="softmax"), network=NetworkParams(architecture="resnet50", divisor=16))
    run("s/softmax", Recipe(phi="softmax"))
    teacher = Path("models/teacher/classification")
    before = weights("teacher/classification")
    for phi in ("softmax", "landmarks", "triplet", "triplet_softmax", "none"):
        psi: PsiName = "hint" if phi == "none" else "hidden"
        recipe = Recipe(phi=phi, alpha=float(phi != "none"), beta=1, psi=psi, start="softmax")
        run(f"s/{phi}", recipe, soft_teacher=Guide(teacher), hidden_teacher=Guide(teacher))
        record = model_files.read_record(Path(f"models/s/{phi}"))
        assert record["landmarks"] == (phi == "landmarks")
        assert record["classes"] == (0 if phi == "none" else PEOPLE)
        assert {"loss", psi} <= record["last_epoch"].keys()
        assert not [name for name in weights(f"s/{phi}") if "projector" in name or "regressor" in name]
    after = weights("teacher/classification")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_students_that_train_together_become_what_they_become_alone(workspace: Path) -> None:
    del workspace
    run("teacher/classification", Recipe(phi="softmax"), network=NetworkParams(architecture="resnet50", divisor=16))
    teacher = Path("models/teacher/classification")
    recipes = {
        "softmax": Recipe(phi="softmax"),
        "soft": Recipe(phi="softmax", alpha=1),
        "hidden": Recipe(phi="softmax", beta=1),
        "hint": Recipe(phi="none", beta=1, psi="hint"),
    }
    teachers = {"soft_teacher": Guide(teacher), "hidden_teacher": Guide(teacher)}
    run_together({f"together/{name}": recipe for name, recipe in recipes.items()}, **teachers)
    for name, recipe in recipes.items():
        run(f"alone/{name}", recipe, **teachers)
        alone, together = weights(f"alone/{name}"), weights(f"together/{name}")
        assert alone.keys() == together.keys()
        assert all(torch.equal(alone[key], together[key]) for key in alone), name
        alone_record, together_record = (model_files.read_record(MODELS / who / name) for who in ("alone", "together"))
        assert alone_record["last_epoch"] == together_record["last_epoch"]


def test_a_round_ends_where_the_rate_changes_or_a_start_is_still_in_training() -> None:
    def plan(name: str, recipe: Recipe) -> Plan:
        return Plan(Path(name), recipe, Path(recipe.start) if recipe.start else None)

    plans = [
        plan("hidden", Recipe(phi="softmax", beta=1)),
        plan("hint", Recipe(phi="none", beta=1, psi="hint")),
        plan("fitnet", Recipe(phi="softmax", alpha=1, start="hint", rate="scratch")),
        plan("ours", Recipe(phi="softmax", alpha=1, start="softmax")),
        plan("full", Recipe(phi="softmax", start="softmax")),
    ]
    assert [[p.model.name for p in run] for run in rounds(plans)] == [["hidden", "hint"], ["fitnet"], ["ours", "full"]]
    assert list(rounds([])) == []


def test_a_margin_student_takes_over_its_teachers_centres_and_leaves_them_where_they_are(workspace: Path) -> None:
    del workspace
    run("teacher/classification", Recipe(phi="softmax"), network=NetworkParams(architecture="resnet50", divisor=16))
    wider = {"network": NetworkParams(architecture="resnet50", divisor=16)}
    run("teacher/arcface", Recipe(phi="arcface", start="classification"), **wider)
    teacher, arcface = Path("models/teacher/arcface"), TaskParams("arcface", "faces", SIDE, 16, 0, embedding=8)
    centres = weights("teacher/arcface")["identity.weight"]
    assert centres.shape == (PEOPLE, 8)
    for recipe in (
        Recipe(phi="arcface", classifier="teacher"),
        Recipe("none", 0, 1, "embedding", classifier="teacher"),
    ):
        run("s/inherits", recipe, task=arcface, soft_teacher=Guide(teacher), hidden_teacher=Guide(teacher))
        assert torch.equal(weights("s/inherits")["identity.weight"], centres)
    run("s/kd", Recipe(phi="arcface", alpha=1), soft_teacher=Guide(teacher))
    assert not torch.equal(weights("s/kd")["identity.weight"], centres)
    with pytest.raises(model_files.ModelError, match="needs a teacher to inherit from"):
        run("s/alone", Recipe(phi="arcface", classifier="teacher"))


def test_teacher_weighting_is_logged_and_asks_the_teacher_even_where_it_gives_no_soft_target(workspace: Path) -> None:
    del workspace
    run("teacher/classification", Recipe(phi="softmax"))
    teacher = Path("models/teacher/classification")
    recipe = Recipe(phi="softmax", beta=1, psi="normalised", weighting=0.5)
    run("s/weighted", recipe, soft_teacher=Guide(teacher), hidden_teacher=Guide(teacher))
    terms = model_files.read_record(Path("models/s/weighted"))["last_epoch"]
    assert 0.5 <= terms["mu"] <= 1
    assert 0 <= terms["mu_below_1"] <= 1


def test_a_teacher_of_other_people_is_refused(workspace: Path) -> None:
    model_files.save(workspace / "models/other", FaceNetwork(SMALL, classes=PEOPLE + 1), {})
    with pytest.raises(model_files.ModelError, match=f"classifier of {PEOPLE + 1} people.*has {PEOPLE}"):
        run("s/soft", Recipe(phi="softmax", alpha=1), soft_teacher=Guide(workspace / "models/other"))
    run("teacher/classification", Recipe(phi="softmax"))
    index = workspace / "data/crops/faces/crops.json"
    found = json.loads(index.read_text())
    index.write_text(json.dumps(found | {"classes": found["classes"][::-1]}))
    with pytest.raises(
        model_files.ModelError, match=f"classifier of {PEOPLE} people, but data/crops/faces has other people"
    ):
        run("s/soft", Recipe(phi="softmax", alpha=1), soft_teacher=Guide(Path("models/teacher/classification")))


@pytest.mark.parametrize(
    ("record", "message"),
    [("{", "damaged: Expecting"), ('{"classes": 6, "sha256": ""}', "no network, landmarks, scale")],
)
def test_a_record_that_save_did_not_write_is_named(tmp_path: Path, record: str, message: str) -> None:
    (tmp_path / "model.json").write_text(record)
    with pytest.raises(model_files.ModelError, match=rf"model\.json: {message}"):
        model_files.load(tmp_path)


def test_alignment_on_crops_without_landmarks_is_refused(workspace: Path) -> None:
    draw(workspace / "data/crops/faces", landmarks=False)
    with pytest.raises(DataError, match="48 of 48 training crops have no landmarks"):
        run("s/landmarks", Recipe(phi="landmarks"))


def test_warm_start_takes_the_trunk_and_the_heads_that_fit(tmp_path: Path) -> None:
    source = FaceNetwork(SMALL, classes=5)
    model_files.save(tmp_path, source, {})
    same, other = FaceNetwork(SMALL, classes=5), FaceNetwork(SMALL, classes=7, landmarks=True)
    fresh = other.identity.weight.clone()  # type: ignore[union-attr]
    for network in (same, other):
        model_files.warm_start(network, tmp_path)
        assert torch.equal(network.trunk.state_dict()["conv1.weight"], source.trunk.state_dict()["conv1.weight"])
    assert torch.equal(same.identity.weight, source.identity.weight)  # type: ignore[union-attr]
    assert torch.equal(other.identity.weight, fresh)  # type: ignore[union-attr]
    with pytest.raises(model_files.ModelError, match="not the same trunk"):
        model_files.warm_start(FaceNetwork(NetworkParams(architecture="resnet50", divisor=16)), tmp_path)


def test_a_saved_network_gives_the_same_outputs_when_loaded(tmp_path: Path) -> None:
    network = FaceNetwork(SMALL, classes=5, landmarks=True).eval()
    model_files.save(tmp_path, network, {"seed": 1})
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    loaded = model_files.load(tmp_path).eval()
    one, two = network(images), loaded(images)
    assert all(torch.equal(a, b) for a, b in zip((*one[:1], *one[2:4]), (*two[:1], *two[2:4]), strict=True))
    assert json.loads((tmp_path / "model.json").read_text())["parameters"] == sum(
        p.numel() for p in network.parameters()
    )


def test_damaged_or_missing_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(model_files.ModelError, match="no such model"):
        model_files.load(tmp_path)
    model_files.save(tmp_path, FaceNetwork(SMALL), {})
    file = tmp_path / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(model_files.ModelError, match="damaged"):
        model_files.load(tmp_path)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_its_batch_and_the_last_good_weights(workspace: Path) -> None:
    del workspace
    recipe, wild = Recipe(phi="softmax"), optimisation(learning_rate=1e30, clip_norm=0)
    with pytest.raises(DivergedError, match=r"epoch 1, step 2: softmax, loss no longer.*no snapshot yet") as error:
        run("s/wild", recipe, optimisation=wild, snapshots=SnapshotParams(epochs=1, minutes=10))
    assert not Path("models/s/wild/model.safetensors").exists()
    batch = load_file(re.findall(r"kept in (\S+\.safetensors)", str(error.value))[0])
    crops = Crops(Path("data/crops/faces"), "train")
    data = TrainingCrops(crops, SIDE, 0, AUGMENTATION, 64)
    seen = data.batch(list(ShuffledBatches(len(crops), 16, 0))[1])
    assert all(torch.equal(batch[name], part) for name, part in seen.tensors().items())

    with pytest.raises(DivergedError, match=r"epoch 1, step 2.*last good weights in \S+/000000001-\w+\.safetensors"):
        run("s/wild", recipe, optimisation=wild, snapshots=SnapshotParams(epochs=1, minutes=1e-9))


def test_training_does_not_import_the_compiler(workspace: Path) -> None:
    """It would take each of some forty stages as long to start as torch and all else."""
    script = (
        "import sys; from squares import Recipe, run; run('s/softmax', Recipe(phi='softmax'));"
        "assert 'torch._dynamo' not in sys.modules and 'pandas' not in sys.modules"
    )
    path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": path}, cwd=workspace, check=True)


def test_deterministic_algorithms_are_asked_of_all_training_or_of_none(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    recipe, asked = Recipe(phi="triplet_softmax"), replace(TRAINING, deterministic=True)
    run("s/asked", recipe, training=asked)
    with pytest.raises(RuntimeError, match="put_ does not have a deterministic implementation"):
        torch.zeros(2).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.backends.cudnn.benchmark
    run("s/free", recipe)
    torch.zeros(2).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
    asked_of, free = weights("s/asked"), weights("s/free")
    assert all(torch.equal(free[name], tensor) for name, tensor in asked_of.items())
