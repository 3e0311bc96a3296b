"""Colour is RGB inside: a red photograph is red in the network's input, whatever its file format."""

from __future__ import annotations

import base64
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packed_faces import write_recordio
from photographs import red
from PIL import Image
from pydantic import TypeAdapter

from facedistill.crops.codec import decode
from facedistill.crops.shards import SIDES, Crops
from facedistill.data.align_crop import align_crop
from facedistill.data.dataset import DatasetParams
from facedistill.data.prepare import prepare
from facedistill.data.sources import SourceParams
from facedistill.data.sources.celeba import BOX_HEADER, POINTS_HEADER
from facedistill.learning.augment import AugmentationParams
from facedistill.learning.batches import ShuffledBatches, TrainingCrops, centre_batches
from facedistill.learning.feed import Feed
from facedistill.learning.networks.face_network import FaceNetwork
from facedistill.learning.parameters import NetworkParams
from facedistill.params import check

SIZE = 36
INPUT = 32
RED = (254, 0, 0)
JPEG = red("JPEG", (SIZE, SIZE), quality=100)
POINTS = "12 13 23 13 18 19 13 25 22 25"


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(JPEG)


def folder(root: Path) -> dict[str, Any]:
    put(root, *(f"{person}/{i}.jpg" for person in "ab" for i in range(4)))
    return {"root": str(root)}


def celeba(root: Path) -> dict[str, Any]:
    names = [f"{i:06d}.jpg" for i in range(1, 9)]
    put(root / "Img/img_celeba", *names)
    (root / "Anno").mkdir()
    for file, header, row in (
        ("list_landmarks_celeba.txt", f"8\n{POINTS_HEADER}\n", POINTS),
        ("list_bbox_celeba.txt", f"8\n{BOX_HEADER}\n", "2 2 30 30"),
        ("identity_CelebA.txt", "", "1"),
    ):
        (root / "Anno" / file).write_text(header + "".join(f"{name} {row}\n" for name in names))
    return {"root": str(root), "variant": "in_the_wild"}


def lfw(root: Path) -> dict[str, Any]:
    put(root, *(f"{person}/{person}_{i:04d}.jpg" for person in "ab" for i in (1, 2)))
    (root / "pairs.txt").write_text("2\t1\na\t1\t2\na\t1\tb\t1\nb\t1\t2\na\t2\tb\t2\n")
    return {"root": str(root), "pairs": str(root / "pairs.txt")}


def table(root: Path) -> dict[str, Any]:
    put(root, *(f"{i}.jpg" for i in range(8)))
    (root / "t.csv").write_text("path,identity\n" + "".join(f"{i}.jpg,me\n" for i in range(8)))
    return {"root": str(root), "file": str(root / "t.csv")}


def msceleb(root: Path) -> dict[str, Any]:
    line = b"m.0\t1\thttp\thttp\tFaceId-%d\tAAAA\t" + base64.b64encode(JPEG) + b"\n"
    (root / "faces.tsv").write_bytes(b"".join(line % i for i in range(8)))
    return {"file": str(root / "faces.tsv")}


def recordio(root: Path) -> dict[str, Any]:
    return {"root": str(write_recordio(root, [[JPEG] * 4] * 2))}


def bin_file(root: Path) -> dict[str, Any]:
    (root / "x.bin").write_bytes(pickle.dumps(([JPEG] * 20, [True, False] * 5), 2))
    return {"file": str(root / "x.bin")}


def photographs(root: Path) -> dict[str, Any]:
    put(root, *(f"{i}.jpg" for i in range(8)))
    return {"root": str(root)}


def mixed(root: Path) -> dict[str, Any]:
    parts = {
        "named": {"kind": "folder", **folder(root / "a")},
        "other": {"kind": "photographs", **photographs(root / "b")},
    }
    return {"parts": parts}


def synthetic(_: Path) -> dict[str, Any]:
    return {"people": 2, "photographs": 4, "difficulty": 0}


WRITERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "casia": folder,
    "folder": folder,
    "celeba": celeba,
    "lfw": lfw,
    "table": table,
    "msceleb": msceleb,
    "recordio": recordio,
    "bin": bin_file,
    "photographs": photographs,
    "mixed": mixed,
    "synthetic": synthetic,
}
METHODS = [
    *((kind, "centre") for kind in WRITERS if kind != "synthetic"),
    ("synthetic", "landmarks"),
    ("celeba", "landmarks"),
    ("celeba", "box"),
    ("casia", "photograph"),
    ("recordio", "none"),
    ("bin", "none"),
]


def test_every_kind_of_source_is_here() -> None:
    kinds = TypeAdapter(SourceParams).json_schema()["discriminator"]["mapping"]
    assert set(kinds) == WRITERS.keys()


def network_input(images: torch.Tensor) -> torch.Tensor:
    """What the trunk of a network is given for a batch, (N, 3, H, W)."""
    network, seen = FaceNetwork(NetworkParams("conv5")).eval(), list[torch.Tensor]()
    network.trunk.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network(images)
    return seen[0]


@pytest.mark.parametrize(("kind", "method"), METHODS)
def test_a_red_photograph_is_red_at_the_input_of_the_network(kind: str, method: str, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    source = {"kind": kind, **WRITERS[kind](tmp_path / "set")}
    split = None if kind in ("lfw", "bin") else {"by": "image", "test": 0.25}
    crop = {"method": method, "pixels": SIZE, "quality": 100}
    dataset = check(DatasetParams, {"source": source, "split": split, "crop": crop}, "datasets.red")
    prepare(dataset, 0, tmp_path / "manifests")
    align_crop(dataset, tmp_path / "manifests", tmp_path / "crops", workers=1)
    train, test = (Crops(tmp_path / "crops", side) for side in SIDES)
    batches = list(centre_batches(test, INPUT, 8))
    if len(train):
        training = TrainingCrops(train, INPUT, 0, AugmentationParams(flip=True, photometric=()), cache_mb=1)
        batches += Feed(training, ShuffledBatches(len(train), 2, 0), 1, torch.device("cpu"))
    assert sum(len(batch.rows) for batch in batches) == len(train) + len(test)
    for batch in batches:
        middle = network_input(batch.images)[:, :, 8:-8, 8:-8].float()
        assert middle.shape[1] == 3
        if kind == "synthetic":  # skin: more red than green than blue
            r, g, b = middle.mean((0, 2, 3))
            assert r > g > b
        else:
            np.testing.assert_allclose(middle.amin((0, 2, 3)), RED, atol=2)
            np.testing.assert_allclose(middle.amax((0, 2, 3)), RED, atol=2)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize(("channel", "colour"), list(enumerate(["red", "lime", "blue"])))
def test_each_colour_is_its_channel(form: str, channel: int, colour: str) -> None:
    data = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(data, form)
    assert decode(data.getvalue())[8, 8].argmax() == channel
