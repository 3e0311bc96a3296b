"""Pictures of an answer: what the file knows of distances, the faces as found, the words, and the commands."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from exported_toys import OURS, TEACHER
from numpy.typing import NDArray
from photographs import png
from PIL import Image

from facedistill.crops.align import TEMPLATE
from facedistill.data.face_crop import CropParams
from facedistill.evaluation import cosine
from facedistill.export.histograms import judged
from facedistill.inference.commands import main
from facedistill.inference.face import Face, PhotographError, find
from facedistill.inference.looking import picture, words
from facedistill.inference.looking.picture import Shown
from facedistill.inference.looking.portrait import PIXELS, portrait
from facedistill.inference.looking.scale import MOST, scale
from facedistill.inference.metadata import BINS, FARTHEST, Histograms, Threshold

BLUE, ORANGE, YELLOW = (0, 114, 178), (213, 94, 0), (240, 228, 66)


def counts(**at: int) -> tuple[int, ...]:
    """Counts of bins, which `at` names b0, b1 …; all others are empty."""
    return tuple(at.get(f"b{i}", 0) for i in range(BINS))


def command(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


class TestHistograms:
    """What `export` counts, against one pair at a time."""

    @pytest.fixture
    def embedded(self) -> tuple[NDArray[np.float32], list[str]]:
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(40, 8)) * rng.uniform(0.1, 10, (40, 1))
        rows[1], rows[2] = rows[0], -3 * rows[0]  # distances 0 and 4, but for rounding
        return rows.astype(np.float32), [f"person {i % 7}" for i in range(40)]

    def naive(self, rows: NDArray[np.float32], pairs: list[tuple[int, int, bool]]) -> Histograms:
        found = [[0] * BINS, [0] * BINS]
        for a, b, same in pairs:
            x, y = rows[a].astype(np.float64), rows[b].astype(np.float64)
            distance = 2 - 2 * (x @ y) / math.sqrt((x @ x) * (y @ y))
            found[0 if same else 1][min(BINS - 1, max(0, math.floor(distance / (FARTHEST / BINS))))] += 1
        return Histograms(*map(tuple, found))

    def test_all_pairs_are_counted_where_everybody_has_a_name(
        self, embedded: tuple[NDArray[np.float32], list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows, people = embedded
        every = [(a, b, people[a] == people[b]) for a, b in combinations(range(40), 2)]
        expected = self.naive(rows, every)
        assert expected.impostor[0] == 1
        assert expected.impostor[-1] == 2
        for most in (cosine.BLOCK_BYTES, 8 * 40 * 7):  # one block, and six
            monkeypatch.setattr(cosine, "BLOCK_BYTES", most)
            assert judged(rows, SimpleNamespace(identities=people), 1.0)[0] == expected  # type: ignore[arg-type]

    def test_else_the_pairs_of_the_list_are(self, embedded: tuple[NDArray[np.float32], list[str]]) -> None:
        rows, people = embedded
        some = [(a, b, people[a] == people[b]) for a, b in combinations(range(0, 40, 3), 2)]
        a, b, same = (np.array(column) for column in zip(*some, strict=True))
        crops = SimpleNamespace(identities=[None, *people[1:]], pairs=SimpleNamespace(a=a, b=b, same=same))
        assert judged(rows, crops, 1.0)[0] == self.naive(rows, some)  # type: ignore[arg-type]


class TestPortrait:
    CROP = CropParams("box", 40, margin=0.0)

    def image(self) -> NDArray[np.uint8]:
        """A photograph with a blue rectangle, 50 x 50 at 60, 40."""
        image = np.full((200, 300, 3), 220, np.uint8)
        image[40:90, 60:110] = BLUE
        return image

    @pytest.mark.parametrize("orientation", [1, 6])
    def test_the_outline_is_around_what_the_model_saw(self, orientation: int) -> None:
        image = self.image()
        data = png(image if orientation == 1 else np.ascontiguousarray(np.rot90(image)), orientation)
        found = portrait(data, find(data, self.CROP, box=(60, 40, 50, 50)), 40)
        assert found.image.shape == (PIXELS, PIXELS, 3)
        assert found.points is None
        left, top = found.outline.min(0)
        right, bottom = found.outline.max(0)
        rows, columns = np.nonzero(np.abs(found.image.astype(int) - BLUE).max(2) < 30)
        # Edges are between pixels, and blue and grey blend at them.
        expected = (columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5)
        np.testing.assert_allclose((left, top, right, bottom), expected, atol=4)
        assert (right - left) / PIXELS == pytest.approx(1 / 1.7, abs=0.01)

    def test_a_model_that_sees_the_middle_of_the_crop_has_a_smaller_outline(self) -> None:
        data = png(self.image())
        face = find(data, self.CROP, box=(60, 40, 50, 50))
        whole, part = (portrait(data, face, side) for side in (40, 20))
        sides = [np.ptp(found.outline, 0)[0] for found in (whole, part)]
        np.testing.assert_allclose(sides, PIXELS / 1.7, atol=1)  # both fill as much of their portraits
        np.testing.assert_allclose(whole.outline.mean(0), part.outline.mean(0), atol=1e-3)
        shown = [(np.abs(found.image.astype(int) - BLUE).max(2) < 30).mean() for found in (whole, part)]
        assert shown[1] > 2 * shown[0]

    def test_points_lie_on_what_they_mark(self) -> None:
        image = np.full((200, 300, 3), 220, np.uint8)
        points = np.round(TEMPLATE + np.array([90, 30])).astype(np.float32)
        for x, y in points.astype(int):
            image[y - 2 : y + 3, x - 2 : x + 3] = ORANGE
        data = png(image)
        found = portrait(data, find(data, CropParams("landmarks", 112), points), 112)
        assert found.points is not None
        for x, y in np.round(found.points).astype(int):
            np.testing.assert_allclose(found.image[y, x], ORANGE, atol=2)

    def test_what_is_beyond_the_photograph_is_not_shown_unless_the_model_saw_it(self) -> None:
        data = png(np.full((100, 100, 3), 220, np.uint8))
        whole = portrait(data, find(data, CropParams("photograph", 40)), 40)
        assert (whole.image == 220).all()
        beyond = portrait(data, find(data, self.CROP, box=(-50, 0, 100, 100)), 40)
        assert not beyond.image[PIXELS // 2, 0].any()

    def test_a_face_that_cannot_be_shown_is_an_error_that_names_the_photograph(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(png(self.image()))
        face = Face(np.zeros((40, 40, 3), np.uint8), np.array([[900.0, 0, 0], [0, 900, 0]]), "in the box given", False)
        with pytest.raises(PhotographError, match=r"a\.png: the face is"):
            portrait(tmp_path / "a.png", face, 40)


class TestWords:
    KNOWN = Histograms(counts(b0=1, b1=3), counts(b1=1, b10=99_999))

    def test_a_distance_is_placed_among_the_pairs(self) -> None:
        # At four fifths of bin 1, 1 + 2.4 of 4 genuine pairs are nearer, and 0.8 of 100,000 impostor pairs.
        told = "Of the pairs of two people there, about 1 in 125,000 are as near as this or nearer. "
        assert (
            words.placed(0.018, self.KNOWN) == told + "Of the pairs of one person, about 15.0 % are as far or farther."
        )
        assert words.placed(0.0, self.KNOWN).endswith(
            "none of 100,000 are as near as this or nearer. Of the pairs of one person, all are as far or farther."
        )
        assert words.placed(4.0, self.KNOWN).endswith(
            "all are as near as this or nearer. Of the pairs of one person, none of 4 are as far or farther."
        )

    def test_the_threshold_says_how_often_it_errs_and_on_what(self) -> None:
        threshold = Threshold(1.25, 0.001, (0.00076, 0.0013), 82.44, 60000, "LFW", "by hand")
        assert words.sure(threshold) == (
            "The threshold was chosen on LFW (faces by hand): at most 0.1 % of its 60,000 pairs of two people pass as "
            "one person (FAR; 0.076 to 0.13 % with 95 % confidence), and 82.4 % of its pairs of one "
            "person are recognised (TPR)."
        )
        assert words.compared(1.2, threshold) == "The distance is 1.200, below the threshold of 1.250."
        # What is at the threshold is not accepted.
        assert "1.250, not below the" in words.compared(1.25, threshold)


class TestScale:
    def test_few_bins_are_shown_as_they_are(self) -> None:
        found = scale(Histograms(counts(b0=1, b1=3), counts(b1=1, b3=1)), [0.01])
        assert found.end == pytest.approx(0.04)
        assert (found.genuine, found.impostor) == ((25, 75, 0, 0), (0, 50, 0, 50))

    def test_many_are_joined_and_none_is_lost(self) -> None:
        rng = np.random.default_rng(0)
        known = Histograms(*(tuple(rng.integers(0, 9, BINS).tolist()) for _ in range(2)))
        found = scale(known, [])
        assert (found.end, len(found.genuine)) == (FARTHEST, MOST)
        expected = [sum(known.genuine[i : i + 4]) / sum(known.genuine) * 100 for i in range(0, BINS, 4)]
        np.testing.assert_allclose(found.genuine, expected)

    @pytest.mark.parametrize("distance", [0.0, 0.3, 1.0, 2.345, 3.97, 4.0])
    def test_every_distance_has_room(self, distance: float) -> None:
        found = scale(Histograms(counts(b0=1), counts(b2=1)), [distance])
        assert distance <= found.end <= FARTHEST + 1e-9
        assert len(found.genuine) == len(found.impostor) <= MOST
        assert sum(found.genuine) == pytest.approx(100)


def has(picture: Path, colour: tuple[int, int, int]) -> bool:
    with Image.open(picture) as opened:
        assert opened.format == "PNG"
        shown = np.asarray(opened.convert("RGB")).astype(int)
    return bool((np.abs(shown - colour).max(2) < 8).sum() > 100)


class TestCommands:
    def test_verify_draws_and_says_the_same(
        self, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # Between two dollars matplotlib would read a formula.
        a = (people / "0/0.png").rename(people / "$a_b$ \\frac.png")
        out, arguments = tmp_path / "out.png", ("verify", a, people / "3/0.png", "--model", OURS.folder)
        for form in ((), ("--json",)):
            code = command(*arguments, *form)
            text = capsys.readouterr().out
            assert command(*arguments, *form, "--draw", out) == code
            assert capsys.readouterr().out == text
            assert has(out, BLUE)
            assert has(out, ORANGE)
            assert has(out, YELLOW)
            out.unlink()

    def test_landmarks_that_were_given_are_drawn_each_on_its_face(
        self, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn: list[Shown] = []

        def verification(faces: list[Shown], *_: object) -> bytes:
            drawn.extend(faces)
            return b""

        monkeypatch.setattr(picture, "verification", verification)
        a, out = people / "0/0.png", tmp_path / "out.png"
        both = [TEMPLATE * 36 / 112, TEMPLATE * 30 / 112]
        given = [word for points in both for word in ("--landmarks", *points.ravel())]
        command("verify", a, a, "--model", OURS.folder, *given, "--draw", out)
        command("verify", a, a, "--model", OURS.folder, "--draw", out)
        assert [face.portrait.points is None for face in drawn] == [False, False, True, True]
        for face in drawn[:2]:
            points, outline = face.portrait.points, face.portrait.outline
            assert points is not None
            # The model sees the middle 32 of 36 pixels of a crop that is aligned to the template.
            seen = (TEMPLATE + 0.5) * (36 / 112) - 2
            side = outline[1, 0] - outline[0, 0]
            np.testing.assert_allclose((points - outline[0]) / side, seen / 32, atol=0.01)

    def test_search_draws_the_first_matches_of_a_folder(
        self, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out, arguments = tmp_path / "out.png", ("search", people, people / "2/1.png", "--model", OURS.folder, "--json")
        assert command(*arguments, "--top", 6) == 0
        text = capsys.readouterr().out
        assert len(json.loads(text)["matches"]) == 6
        assert command(*arguments, "--top", 6, "--draw", out) == 0
        assert capsys.readouterr().out == text
        assert has(out, YELLOW)
        assert has(out, BLUE)

    def test_what_cannot_be_drawn_is_said_before_any_work(
        self, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        a, model = people / "0/0.png", ("--model", OURS.folder)
        assert command("embed", people, "--out", tmp_path / "people.parquet", *model) == 0
        assert command("verify", a, a, *model, "--draw", tmp_path / "lost/out.png") == 3
        assert "out.png: No such file" in capsys.readouterr().err
        assert command("search", tmp_path / "people.parquet", a, *model, "--draw", tmp_path / "out.png") == 2
        assert "people.parquet is no folder" in capsys.readouterr().err
        monkeypatch.setattr("facedistill.inference.commands.find_spec", lambda _: None)
        for arguments in (("verify", a, a), ("search", people, a)):
            assert command(*arguments, "--model", "lost", "--draw", tmp_path / "out.png") == 2
            assert "`pip install matplotlib`" in capsys.readouterr().err
        assert not (tmp_path / "out.png").exists()
        assert command("verify", a, a, "--model", TEACHER.folder) == 0
