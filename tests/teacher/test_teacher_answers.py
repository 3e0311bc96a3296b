"""Stored answers: they are the teacher's, what was killed goes on, damage is found, and students learn the same."""

from __future__ import annotations

import json
import multiprocessing
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx_toys import flat as flat_network
from onnx_toys import params, write
from squares import AUGMENTATION, PEOPLE, SIDE, SIZE, run, weights

from facedistill.crops import DataError
from facedistill.crops.shards import Crops
from facedistill.learning import model_files
from facedistill.learning.augment import AugmentationParams
from facedistill.learning.batches import TrainingCrops
from facedistill.learning.model_files import ModelError
from facedistill.learning.parameters import NetworkParams, TrainingParams
from facedistill.learning.processes import Process
from facedistill.learning.teachers import Guide, Online, Teachers
from facedistill.learning.teachers import answers as module
from facedistill.learning.teachers.answers import INDEX, Answers, ask
from facedistill.learning.teachers.importing import ask_model, import_teacher
from facedistill.learning.training_set import data_record
from facedistill.recipe import Recipe

TEACHER = Path("models/teacher/classification")
STILL = AugmentationParams(flip=True, photometric=())


@dataclass
class Counting:
    """A teacher that answers with sums over an image, and counts what it is asked. It can be killed in the middle.

    lives: after so many batches it sends its process `end`.
    """

    width: int = 3
    batch: int = 4
    lives: int = 10**6
    end: signal.Signals = signal.SIGINT
    asked: list[int] = field(default_factory=list)

    def images(self, row: int) -> NDArray[np.uint8]:
        self.asked.append(row)
        return np.random.default_rng(row).integers(0, 256, (5, 5, 3), np.uint8)

    def answers(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.lives -= 1
        if self.lives < 0:
            signal.raise_signal(self.end)
        # The left column alone, so that a mirror image has another answer.
        return np.asarray(images[:, :, 0].astype(np.float32).mean(1))


def expected(row: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The answers of Counting to a crop and to its mirror image."""
    image = np.random.default_rng(row).integers(0, 256, (5, 5, 3), np.uint8).astype(float)
    return image[:, 0].mean(0), image[:, -1].mean(0)


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_ROWS", 8)


@pytest.mark.usefixtures("small_shards")
def test_answers_are_those_of_each_crop_and_of_its_mirror_image(tmp_path: Path) -> None:
    ask(Counting(), 21, {"model": "m"}, tmp_path, Process())
    found = Answers(tmp_path)
    assert (len(found), found.width, found.key) == (21, 3, {"model": "m"})
    rows = np.array([20, 0, 7, 8, 8])
    for both, row in zip(found[rows], rows, strict=True):
        np.testing.assert_allclose(both, expected(row), rtol=1e-3)
    parts = list(found.parts())
    assert [rows for rows, _ in parts] == [slice(0, 8), slice(8, 16), slice(16, 21)]
    np.testing.assert_allclose(np.concatenate([part for _, part in parts])[13], expected(13), rtol=1e-3)


def ask_until(end: signal.Signals, folder: Path) -> None:
    """Ask in a process of its own, which ends by this signal."""
    module.SHARD_ROWS = 8
    with suppress(KeyboardInterrupt):
        ask(Counting(lives=6, end=end), 30, {}, folder, Process())


@pytest.mark.usefixtures("small_shards", "interruptible")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_run_goes_on_with_the_first_missing_shard_and_ends_the_same(
    end: signal.Signals, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    ask(Counting(), 30, {}, whole, Process())
    process = multiprocessing.get_context("spawn").Process(target=ask_until, args=(end, killed))
    process.start()
    process.join(60)
    assert process.exitcode == (-end if end == signal.SIGKILL else 0)
    assert not (killed / INDEX).exists()
    assert [file.name for file in killed.glob("*.safetensors")] == ["000000000-000000008.safetensors"]
    again = Counting()
    ask(again, 30, {}, killed, Process())
    assert min(again.asked) == 8
    assert {file.name: file.read_bytes() for file in whole.iterdir()} == {
        file.name: file.read_bytes() for file in killed.iterdir()
    }


@pytest.mark.usefixtures("small_shards")
def test_processes_share_the_work_and_the_result_is_that_of_one(tmp_path: Path) -> None:
    class Second(Process):
        """The second of two processes; `is_main` is for the first."""

        is_main, rank, world_size = False, 1, 2

    class First(Process):
        world_size = 2

    ask(Counting(), 30, {}, tmp_path / "one", Process())
    second, first = Counting(), Counting()
    ask(second, 30, {}, tmp_path / "two", Second())
    assert sorted(second.asked) == [*range(8, 16), *range(24, 30)]
    ask(first, 30, {}, tmp_path / "two", First())
    assert (tmp_path / "one" / INDEX).read_bytes() == (tmp_path / "two" / INDEX).read_bytes()


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("damage", ["a byte", "a file", "the index", "a width"])
def test_damage_is_found_and_named(tmp_path: Path, damage: str) -> None:
    ask(Counting(), 10, {}, tmp_path, Process())
    shard, index = tmp_path / "000000008-000000010.safetensors", tmp_path / INDEX
    match damage:
        case "a byte":
            data = bytearray(shard.read_bytes())
            data[-1] ^= 1
            shard.write_bytes(data)
        case "a file":
            shard.unlink()
        case "the index":
            index.write_text("{")
        case "a width":
            index.write_text(json.dumps(json.loads(index.read_text()) | {"width": 4}))
    with pytest.raises(DataError, match=rf"{'answers.json' if damage == 'the index' else '0000000'}.*dvc"):
        Answers(tmp_path)
    with pytest.raises(DataError, match="dvc repro"):
        Answers(tmp_path / "nowhere")


def test_an_answer_that_16_bits_cannot_hold_is_refused(tmp_path: Path) -> None:
    class Large(Counting):
        def answers(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
            return 1e6 * super().answers(images)

    with pytest.raises(DataError, match="too large for 16 bits"), np.errstate(over="ignore"):
        ask(Large(), 4, {}, tmp_path, Process())


def imported(crops: Crops) -> None:
    """Import a linear network that takes crops as they are."""
    weight = np.random.default_rng(0).standard_normal((3 * SIZE * SIZE, 6)).astype(np.float32) / SIZE
    file = write(Path("teacher.onnx"), flat_network(), {"w": weight}, shape=("batch", 3, SIZE, SIZE))
    import_teacher(params(file, side=SIZE), TEACHER, crops, 20.0, {"data": data_record(crops)}, Process())


@pytest.mark.parametrize("kind", ["own", "imported"])
def test_stored_answers_are_the_mean_of_the_online_ones_for_both_views(squares: Crops, kind: str) -> None:
    if kind == "own":
        run("teacher/classification", Recipe("softmax"), network=NetworkParams("resnet50", divisor=16))
    else:
        imported(squares)
    side = SIZE  # The whole crop is the input, so only the mirror image is drawn.
    stored = ask_model(TEACHER, squares, side, Process())
    recipes, device = [Recipe("softmax", alpha=1, beta=1)], torch.device("cpu")
    online, asked = (
        Teachers(recipes, guide, guide, device, "fp32") for guide in (Guide(TEACHER), Guide(TEACHER, stored))
    )
    assert online.see_whole == (kind == "imported")
    assert not asked.see_whole
    assert isinstance(online.soft, Online)
    batch = TrainingCrops(squares, side, 0, STILL, 64, whole=True).batch([(0, row) for row in range(20)])
    assert 0 < batch.mirrored.sum() < 20
    assert batch.whole is not None
    other = batch._replace(images=batch.images.flip(3), whole=batch.whole.flip(3), mirrored=~batch.mirrored)
    for one, two, mean in zip(online(batch), online(other), asked(batch), strict=True):
        assert one is not None
        assert two is not None
        assert mean is not None
        assert not torch.allclose(one.hidden, two.hidden, rtol=2e-3)
        hidden = (one.hidden + two.hidden) / 2
        assert online.soft.network.identity is not None
        assert torch.allclose(hidden, mean.hidden, rtol=2e-3, atol=2e-3 * float(hidden.abs().max()))
        assert mean.logits is not None
        assert torch.allclose(online.soft.network.identity(hidden), mean.logits, rtol=2e-3, atol=2e-2)
        assert not mean.maps


def test_a_student_learns_from_stored_answers_what_it_learns_online(squares: Crops) -> None:
    imported(squares)
    guides = {"online": Guide(TEACHER), "stored": Guide(TEACHER, ask_model(TEACHER, squares, SIZE, Process()))}
    still = TrainingParams(AUGMENTATION, precision="fp32", deterministic=False, log_every=1)
    for name, guide in guides.items():
        recipe = Recipe("softmax", alpha=1, beta=1, psi="hidden")
        run(f"s/{name}", recipe, soft_teacher=guide, hidden_teacher=guide, training=still)
    last = {name: model_files.read_record(Path(f"models/s/{name}"))["last_epoch"] for name in guides}
    # Crops of 36 pixels are moved by up to two pixels online, which a linear network of noise notices.
    assert last["online"].keys() == last["stored"].keys()
    assert last["online"]["softmax"] == pytest.approx(last["stored"]["softmax"], rel=0.2)
    assert weights("s/online").keys() == weights("s/stored").keys()


def test_answers_of_another_model_are_refused(squares: Crops) -> None:
    imported(squares)
    stored = ask_model(TEACHER, squares, SIDE, Process())
    run("teacher/classification", Recipe("softmax"))
    with pytest.raises(ModelError, match=r"answers of the model .*`dvc repro` asks again"):
        run("s/x", Recipe("softmax", alpha=1), soft_teacher=Guide(TEACHER, stored))


def test_answers_to_other_crops_are_refused(squares: Crops) -> None:
    imported(squares)
    stored = ask_model(TEACHER, squares, SIZE, Process())
    index = squares.folder / "crops.json"
    index.write_text(index.read_text() + " ")
    with pytest.raises(DataError, match=r"answers to other crops than .*faces; `dvc repro` asks again"):
        run("s/x", Recipe("softmax", alpha=1), soft_teacher=Guide(TEACHER, stored))


def test_another_crop_size_or_part_is_another_question(squares: Crops) -> None:
    run("teacher/classification", Recipe("softmax"))
    shrunk = Crops(squares.folder, "train", 34)
    folders = [
        ask_model(TEACHER, crops, side, Process()) for crops, side in ((squares, 32), (squares, 36), (shrunk, 32))
    ]
    assert len(set(folders)) == 3
    assert len(Answers(folders[0])) == PEOPLE * 8
