"""`calibrate`: a threshold on one's own pairs, which `verify` then takes, and which says what it was set on."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from exported_toys import OURS, POINTS
from photographs import GOOD

import facedistill
from facedistill.evaluation.operating_point import tpr_of_pairs
from facedistill.inference import batch
from facedistill.inference.calibration import calibrate, keep
from facedistill.inference.commands import main
from facedistill.inference.model import FaceModel, ModelFileError
from facedistill.inference.thresholds import PairsError

ROOT = Path(__file__).parents[2]
FAR = 0.1


def command(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def model() -> FaceModel:
    return facedistill.load(OURS.folder)


@pytest.fixture
def pairs(people: Path) -> Path:
    """All 66 pairs of the twelve photographs of six people: 60 of them show two."""
    files = sorted(file.relative_to(people) for file in people.glob("*/*.png"))
    lines = [f"{a},{b},{int(a.parent == b.parent)}" for a, b in combinations(files, 2)]
    return write(people, lines)


def write(folder: Path, lines: list[str], header: str = "a,b,same") -> Path:
    (folder / "pairs.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder / "pairs.csv"


def test_the_threshold_is_that_of_the_distances_which_verify_gives(pairs: Path) -> None:
    loaded, distances, same = model(), [], []
    for line in pairs.read_text().splitlines()[1:]:
        a, b, one = line.split(",")
        faces = (loaded.face(pairs.parent / name) for name in (a, b))
        distances.append(loaded.verify(*faces).distance)
        same.append(one == "1")
    expected = tpr_of_pairs(1 - np.array(distances) / 2, np.array(same), FAR)
    found = calibrate(pairs, loaded, FAR)
    assert found.threshold.distance == pytest.approx(2 - 2 * expected.threshold, abs=1e-5)
    assert found.threshold.tpr == pytest.approx(expected.tpr)
    assert (found.genuine, found.impostor, found.accepted) == (6, 60, 6)
    assert (sum(found.histograms.genuine), sum(found.histograms.impostor)) == (6, 60)
    assert found.smallest_far == pytest.approx(5 / 60)
    low, high = found.threshold.far_interval
    assert low < FAR < high
    assert found.threshold.faces == "taken as centred"
    assert calibrate(pairs, loaded, FAR, threads=3) == found


def test_verify_takes_the_threshold_that_was_kept(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("calibrate", pairs, "--far", 0.2, "--model", OURS.folder, "--write", tmp_path / "mine")
    assert command(*arguments) == 0
    text = capsys.readouterr().out
    expected = calibrate(pairs, model(), 0.2)
    limit = expected.threshold
    assert f"threshold {limit.distance:.3f} (squared Euclidean, 0 to 4), for {OURS.folder}/float32.onnx" in text
    assert "FAR 0.2 (" in text
    assert "12 of 60 impostor pairs are accepted, for 0.2 was asked" in text
    assert "so many impostor pairs resolve a FAR of 0.083 at best" in text
    assert "face taken as centred: 12 photographs" in text
    kept = facedistill.load(tmp_path / "mine")
    assert (kept.metadata.threshold, kept.metadata.histograms) == (limit, expected.histograms)
    assert sorted(file.name for file in (tmp_path / "mine").iterdir()) == ["float32.onnx", "float32.threshold.json"]
    people, chosen = pairs.parent, ("--model", tmp_path / "mine")
    near = calibrate(pairs, kept, 0.2)
    assert near.threshold == limit
    command("verify", people / "0/0.png", people / "1/0.png", *chosen)
    text = capsys.readouterr().out
    assert "threshold chosen on pairs.csv at FAR 0.2 (60 impostor pairs); " in text
    assert "; faces of these pairs: taken as centred\n" in text
    command("search", people, people / "0/0.png", *chosen)
    assert f"threshold {limit.distance:.3f}, chosen on pairs.csv at FAR 0.2" in capsys.readouterr().out
    assert model().metadata.threshold != limit


def test_it_may_be_kept_beside_the_model_itself(pairs: Path, tmp_path: Path) -> None:
    loaded = facedistill.load(keep(calibrate(pairs, model(), FAR), model(), tmp_path))
    again = keep(calibrate(pairs, loaded, 0.3), loaded, tmp_path)
    assert facedistill.load(again).judge[0].far == 0.3


def test_a_photograph_is_embedded_once(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, real = list[str](), batch.Embedder._face

    def counting(self: batch.Embedder, record: batch.Record) -> object:
        keys.append(record.key)
        return real(self, record)

    monkeypatch.setattr(batch.Embedder, "_face", counting)
    calibrate(pairs, model(), FAR)
    assert len(keys) == len(set(keys)) == 12


def test_pairs_of_photographs_that_cannot_be_used_are_left_out_and_counted(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = pairs.parent
    expected = calibrate(pairs, model(), FAR)
    (people / "cut.jpg").write_bytes(GOOD["plain"][:-60])
    (tmp_path / "outside.png").write_bytes(GOOD["png"])
    lines = pairs.read_text().splitlines()[1:]
    more = ["cut.jpg,0/0.png,1", "1/0.png,cut.jpg,0", "lost.jpg,0/0.png,0", "../outside.png,0/1.png,0"]
    write(people, [*more, *lines, "", "./4/0.png,5/0.png,0"][:-1])
    assert command("calibrate", pairs, "--far", FAR, "--model", OURS.folder, "--json") == 3
    text = capsys.readouterr()
    told = json.loads(text.out)
    assert told["threshold"] == json.loads(json.dumps(expected.threshold.__dict__))
    assert (told["genuine"], told["impostor"], told["accepted"], told["pairs_left_out"]) == (6, 60, 6, 4)
    assert told["left_out"].keys() == {"cut.jpg", "lost.jpg", "../outside.png"}
    assert told["left_out"]["../outside.png"] == f"not a path inside {people}"
    assert "left out: cut.jpg: cannot be decoded" in text.err
    assert command("calibrate", pairs, "--far", FAR, "--model", OURS.folder) == 3
    text = capsys.readouterr()
    assert "no embedding: 1 photographs: no such file in" in text.out
    assert "4 pairs were left out, because of 3 photographs" in text.out


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0/0.png,0/1.png,yes"], "line 2: same is 'yes'; expected 1 for one person, or 0 for two"),
        (["0/0.png,0/1.png,1", "0/0.png,0/1.png"], "line 3: 2 fields, but 3 columns"),
        (["0/0.png,,1"], "line 2: a and b each need the path"),
        (["0/0.png,./0/0.png,1"], "line 2: a and b are one photograph, 0/0.png"),
        (["0/0.png,0/1.png,1", "0/1.png,0/0.png,1"], "line 3: the pair of line 2 once more"),
        (
            ["0/0.png,0/1.png,1", "0/1.png,1/0.png,1", "1/0.png,0/0.png,0"],
            "line 4: 1/0.png and 0/0.png are two people here, but one person by other lines",
        ),
        (["0/0.png,1/0.png,0"] + [f"{i}/0.png,{i}/1.png,2" for i in range(6)], "and 1 more wrong lines"),
        (['0/0.png,"0/1.png,1'], "not a CSV table in UTF-8: unexpected end of data"),
    ],
)
def test_a_wrong_line_is_named(lines: list[str], message: str, people: Path) -> None:
    with pytest.raises(PairsError) as raised:
        calibrate(write(people, lines), model(), FAR)
    assert message in str(raised.value)


def test_a_list_that_is_no_list_is_said(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for header, said in (("a,b,label", "line 1: expected one column same each; found a, b, label"), ("", "nothing")):
        assert command("calibrate", write(people, [], header), "--model", OURS.folder) == 3
        assert said in capsys.readouterr().err
    assert command("calibrate", people / "lost.csv", "--model", OURS.folder) == 3
    assert "lost.csv: No such file" in capsys.readouterr().err
    (people / "pairs.csv").write_bytes(b"a,b,same\n\xff\xfe,x,1\n")
    assert command("calibrate", people / "pairs.csv", "--model", OURS.folder) == 3
    assert "not a CSV table in UTF-8" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        command("calibrate", people / "pairs.csv", "--far", 1.5)
    assert stopped.value.code == 2


def test_a_far_that_so_few_pairs_cannot_resolve_is_refused_before_the_work(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch.Embedder, "_face", lambda *_: pytest.fail("embedded"))
    assert command("calibrate", pairs, "--model", OURS.folder) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("a FAR of 0.001 takes 5,000 pairs of two people, or --far 0.083334; there are 60")
    one = [line for line in pairs.read_text().splitlines()[1:] if line.endswith("0")]
    write(pairs.parent, one)
    assert command("calibrate", pairs, "--far", FAR, "--model", OURS.folder) == 3
    assert "pairs.csv: no pair of one person (same is 1)" in capsys.readouterr().err


def test_the_far_that_the_message_names_can_be_asked_for(pairs: Path) -> None:
    assert calibrate(pairs, model(), 0.083334).accepted == 5


def test_where_no_face_is_seen_the_reason_is_told(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The toy's landmark model sees no face."""
    arguments = ("--model", OURS.folder, "--finder", POINTS.folder, "--far", FAR)
    assert command("calibrate", pairs, *arguments) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "pairs.csv: no pair of one person (same is 1) whose photographs both have an embedding; the first" in line
    assert "is 0/0.png: no face is seen" in line


def test_a_threshold_for_another_file_or_a_damaged_one_is_refused(pairs: Path, tmp_path: Path) -> None:
    keep(calibrate(pairs, model(), FAR), model(), tmp_path)
    kept = tmp_path / "float32.threshold.json"
    text = kept.read_text()
    values = json.loads(text)
    for changed, message in (
        (text[:-100], "float32.threshold.json: "),
        (json.dumps(values | {"sha256": "0" * 64}), "a threshold for another file than float32.onnx; set it anew"),
        (json.dumps(values | {"colour": 1}), "colour: unknown key"),
        (json.dumps(values | {"threshold": values["threshold"] | {"negatives": 61}}), "not of the same impostor pairs"),
    ):
        kept.write_text(changed)
        with pytest.raises(ModelFileError, match=r"threshold\.json") as raised:
            facedistill.load(tmp_path)
        assert message in str(raised.value)


def test_it_needs_no_torch(pairs: Path) -> None:
    # pyarrow imports pandas by itself, where it is installed.
    script = (
        "import sys; from facedistill.inference.commands import main; code = main(sys.argv[1:]);"
        "sys.exit(repr({'torch', 'scipy', 'sklearn', 'matplotlib', 'onnx'} & sys.modules.keys() or code))"
    )
    arguments = ["calibrate", str(pairs), "--far", str(FAR), "--model", str(OURS.folder)]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.stderr.strip() == "0"
