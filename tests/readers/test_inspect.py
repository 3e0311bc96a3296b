"""`inspect`, which a new user runs first, names what it finds, and prints a block that can be used unchanged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packed_faces import python2_pickle, write_recordio
from photographs import BROKEN, GOOD, red

from facedistill.crops import DataError
from facedistill.data.dataset import DatasetParams
from facedistill.data.inspect import describe, survey
from facedistill.data.prepare import prepare
from facedistill.data.sources import SourceParams, open_source
from facedistill.data.sources.recognise import recognise
from facedistill.params import check


def inspected(path: Path) -> tuple[str, dict[str, Any]]:
    """What is said of the only set at `path`, and the data set of the block to paste."""
    (block,) = recognise(path)
    text = describe(block, survey(open_source(check(SourceParams, block, "source"))))
    (dataset,) = yaml.safe_load(text[text.index("\ndatasets:") :])["datasets"].values()
    return text, dataset


def test_every_published_layout_is_recognised(real_layouts: Path) -> None:
    blocks = recognise(real_layouts)
    raw = str(real_layouts)
    assert blocks == [
        {"kind": "folder", "root": f"{raw}/CASIA-WebFace", "landmarks": f"{raw}/casia_landmark.txt"},
        {"kind": "celeba", "root": f"{raw}/CelebA", "variant": "in_the_wild"},
        {"kind": "table", "file": f"{raw}/faces.csv", "root": raw},
        {"kind": "recordio", "root": f"{raw}/faces_webface_112x112"},
        {"kind": "bin", "file": f"{raw}/faces_webface_112x112/lfw.bin"},
        {
            "kind": "lfw",
            "root": f"{raw}/lfw",
            "pairs": f"{raw}/pairs.txt",
            "landmarks": f"{raw}/lfw_landmark.txt",
        },
    ]
    for block in blocks[1:2] + blocks[3:]:
        assert block in recognise(Path(block.get("file") or block["root"]))


def test_the_numbers_are_those_of_the_real_photographs(real_layouts: Path, tmp_path: Path) -> None:
    text, dataset = inspected(real_layouts / "faces.csv")
    numbers = {line[2:20].strip(): line[20:32].strip() for line in text.splitlines() if line.startswith("  ")}
    assert numbers["people"] == "250"
    assert numbers["photographs"] == numbers["with landmarks"] == "3,024"
    assert numbers["groups"] == "825"
    assert numbers["unusable records"] == numbers["broken among them"] == "0"
    assert numbers["opened"] == "2,000"
    assert "8 to 15       250" in text
    assert dataset["split"] == {"by": "group", "test": 0.2}
    assert dataset["crop"]["method"] == "landmarks"
    prepare(check(DatasetParams, dataset, "datasets.x"), 0, tmp_path / "m")


def test_a_list_that_fits_no_face_is_said_before_it_is_pasted(tmp_path: Path) -> None:
    exchanged = "30 40 60 41 45 55 57 71 33 70"
    (tmp_path / "faces/a").mkdir(parents=True)
    for i in range(3):
        (tmp_path / f"faces/a/{i}.jpg").write_bytes(red("JPEG", (90, 90)))
    (tmp_path / "list.txt").write_text("".join(f"a/{i}.jpg\t{exchanged}\n" for i in range(3)))
    text, _ = inspected(tmp_path / "faces")
    assert "wrong: the landmarks of 3 of the 3 photographs looked at fit no face" in text
    assert "right_mouth, left_mouth" in text
    assert "# these landmarks fail the stage prepare" in text


def test_broken_records_are_counted_and_named(tmp_path: Path) -> None:
    for person, photographs in {"a": ["plain"], "b": ["plain", "png"], "c": ["plain", "cut", "bomb"]}.items():
        (tmp_path / "faces" / person).mkdir(parents=True)
        for name in photographs:
            data = GOOD[name] if name in GOOD else BROKEN[name][0]
            (tmp_path / "faces" / person / f"{name}.jpg").write_bytes(data)
    (tmp_path / "faces/c/notes.txt").write_text("about c")
    (tmp_path / "faces/b/gone.jpg").symlink_to("/nowhere.jpg")
    text, dataset = inspected(tmp_path / "faces")
    assert "broken: c/cut.jpg: cannot be decoded" in text
    assert "broken: c/bomb.jpg: 60000×60000 pixels by its header" in text
    assert "note: " + str(tmp_path / "faces") + ": c/notes.txt: not a photograph" in text
    assert "b/gone.jpg: no such file" in text
    assert [line.split() for line in text.splitlines() if line.endswith("#")] == [
        ["1", "1", "#" * 20],
        ["2", "to", "3", "2", "#" * 40],
    ]
    assert "# no landmarks: crop.method landmarks needs a detector" in text
    assert "# more records are unusable than bad_share allows" in text
    assert dataset["crop"] == {"method": "centre", "pixels": 40, "quality": 95}


def test_aligned_crops_are_kept_as_they_are(tmp_path: Path) -> None:
    write_recordio(tmp_path / "set", [[red("JPEG", (112, 112))] * 3, [red("JPEG", (112, 112))] * 2])
    _, dataset = inspected(tmp_path / "set/train.rec")
    assert dataset["crop"] == {"method": "none", "pixels": 112, "quality": 95}
    assert dataset["source"] == {"kind": "recordio", "root": str(tmp_path / "set")}


def test_a_verification_set_is_pasted_under_its_own_name_and_its_people_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "cfp_fp.bin").write_bytes(python2_pickle([red("JPEG", (112, 112))] * 20, [True, False] * 5, 2))
    text, dataset = inspected(tmp_path / "cfp_fp.bin")
    assert "people: unknown" in text
    assert "\n  cfp_fp:\n" in text
    assert "# and name it in evaluation.pairs: [cfp_fp]" in text
    assert dataset["split"] is None


def test_a_set_without_a_photograph_gives_nothing_to_paste(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,identity\n1.jpg,a\n")
    (block,) = recognise(tmp_path / "t.csv")
    text = describe(block, survey(open_source(check(SourceParams, block, "source"))))
    assert "unusable records             1" in text
    assert "nothing to paste" in text


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["1.jpg", "2.jpg"], "not in a folder for each identity"),
        (["a.zip"], "no face data is recognised here; expected a folder for each identity, LFW"),
        ([".hidden/1.jpg"], "no face data is recognised here"),
        (["a/b/c/d.txt"], "no face data is recognised here"),
        (["train.rec/1.txt"], "no face data is recognised here"),
    ],
)
def test_what_is_not_recognised_is_told_what_would_be(files: list[str], message: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=message):
        recognise(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        recognise(tmp_path / "gone")


def test_the_command_reads_what_it_can_and_ends_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "Zoë").mkdir()
    (tmp_path / "t.csv").write_text("path,identity\nZoë/1.jpg,a\n")
    (tmp_path / "Zoë/1.jpg").write_bytes(GOOD["plain"])
    (tmp_path / "x.bin").write_bytes(b"no pickle")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "facedistill", "inspect", str(tmp_path / "x.bin")]
    done = subprocess.run(command, cwd=root, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 3
    assert "x.bin: not a verification set" in done.stderr
    assert "Traceback" not in done.stderr
    done = subprocess.run([*command[:-1], str(tmp_path / "t.csv")], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0
    assert "photographs                  1" in done.stdout
