"""The drawn faces: the same on every machine, exact in what they state, a different problem at each difficulty."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facedistill.data.photograph import Photograph
from facedistill.data.synthetic import (
    Person,
    SyntheticParams,
    SyntheticSource,
    View,
    attributes,
    draw,
    encode,
    landmarks,
    person,
    render,
    scene,
    view,
)
from facedistill.data.synthetic.head import AZIMUTHS
from facedistill.data.synthetic.view import Glasses, Occluder
from facedistill.params import ParamsError, check


def source(**changes: object) -> SyntheticSource:
    given = {"kind": "synthetic", "people": 12, "photographs": 5} | changes
    return SyntheticSource(check(SyntheticParams, given, "datasets.drawn"))


def plain(identity: int = 3, **changes: Any) -> View:
    """A sharp, frontal, open view without noise, or what `changes` make of it."""
    easy = replace(view(0, identity, 0, 0.0), noise=0.0, blur=0.0, exposure=1.0, quality=95)
    return replace(easy, **changes)


def test_the_same_arguments_give_the_same_bytes_in_any_order() -> None:
    first = source()
    keys = [p.key for p in first.scan()]
    forward = {key: first.read(key) for key in keys[:12]}
    render.head.cache_clear()
    second = source()
    assert {key: second.read(key) for key in reversed(keys[:12])} == forward
    assert source(seed=1).read(keys[0]) != forward[keys[0]]


def test_a_person_does_not_depend_on_the_set_around_them() -> None:
    assert source(first_person=7, people=3).read("000008/0002.jpg") == source().read("000008/0002.jpg")


def test_photographs_are_rgb_of_the_stated_size() -> None:
    image = draw(person(0, 3), plain())
    assert image.shape == (218, 178, 3)
    assert image.dtype == np.uint8
    # Skin under white light is redder than green, greener than blue, whoever's it is.
    for identity in range(8):
        how = plain(identity)
        x, y = landmarks(person(0, identity), how)[2].round().astype(int)
        red, green, blue = draw(person(0, identity), how)[y - 14 : y - 8, x - 2 : x + 3].reshape(-1, 3).mean(0)
        assert red > green > blue
    decoded = cv2.imdecode(np.frombuffer(encode(image, plain()), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.abs(decoded[..., ::-1].astype(int) - image).mean() < 4


def test_people_differ_more_than_photographs_of_one_person() -> None:
    def likeness(identity: int, index: int) -> NDArray[np.float64]:
        how = replace(view(0, identity, index, 0.15), scale=47.0, x=89.0, y=100.0, roll=0.0)
        face = draw(person(0, identity), how)[70:160, 55:125].astype(float)
        return np.ravel(face - face.mean((0, 1)))

    faces = np.array([[likeness(i, k) for k in range(3)] for i in range(6)])
    distance = np.linalg.norm(faces[:, None, :, None] - faces[None, :, None, :], axis=-1)
    same = np.concatenate([distance[i, i][np.triu_indices(3, 1)] for i in range(6)])
    other = distance[~np.eye(6, dtype=bool)]
    assert np.median(same) < 0.8 * np.median(other)
    near = distance + 1e9 * (distance == 0)
    assert np.mean([near[i, :, k].argmin() // 3 == i for i in range(6) for k in range(3)]) > 0.8


def marked(who: Person, point: int) -> render.Head:
    """The head of `who`, black but for a spot painted where landmark `point` belongs, by the front plane alone."""
    it = render.head(who)
    e, n, m = who.eyes, who.nose, who.mouth
    x, y = ((-e.x, e.y), (e.x, e.y), (n.bend, n.tip), (-m.width, m.y + m.corners), (m.width, m.y + m.corners))[point]
    spot = np.exp(-((it.front[..., 0] - x) ** 2 + (it.front[..., 1] - y) ** 2) / 0.03**2)
    spot[np.abs(np.degrees(AZIMUTHS)) > 90] = 0
    albedo = np.zeros_like(it.albedo)
    albedo[..., 0] = spot
    flat = np.zeros_like(it.normal)
    flat[..., 3] = 1
    return replace(it, albedo=albedo, normal=flat, lit=np.ones_like(it.lit))


@pytest.mark.parametrize("point", range(5))
def test_landmarks_lie_on_the_drawn_feature(point: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spot painted on the skin is found where the landmark says, in any pose and expression in which it shows."""
    monkeypatch.setattr(render, "_eyes", lambda *given: np.zeros(given[-1].shape[:2], np.float32))
    monkeypatch.setattr(render, "_part_lips", lambda *_: None)
    monkeypatch.setattr(scene, "background", lambda *_: np.zeros((218, 178, 3), np.uint8))
    heads = {who: marked(who, point) for who in (person(4, i) for i in range(6))}
    monkeypatch.setattr(render, "head", heads.get)
    found = 0
    for index in range(24):
        who = person(4, index % 6)
        how = replace(view(4, index % 6, index, 1.0), noise=0.0, blur=0.0, exposure=1.0)
        how = replace(how, glasses=Glasses(0), occluder=Occluder(0))
        red = draw(who, how)[..., 0].astype(float)
        # Past 35 degrees the contour may cut the spot, and its middle is no longer the landmark.
        if red.max() < 100 or abs(how.yaw) > 35:
            continue
        weight = np.where(red > 0.5 * red.max(), red, 0) ** 2
        middle = [(weight * axis).sum() / weight.sum() for axis in np.meshgrid(np.arange(178), np.arange(218))]
        assert np.hypot(*(middle - landmarks(who, how)[point])) < 1.5
        found += 1
    assert found >= 12


@pytest.mark.parametrize("difficulty", [0.0, 1.0, 2.0])
def test_landmarks_are_in_the_picture_and_in_the_order_of_the_image(difficulty: float) -> None:
    for identity in range(40):
        for index in range(5):
            how = view(6, identity, index, difficulty)
            points = landmarks(person(6, identity), how)
            assert points.shape == (5, 2)
            assert points.dtype == np.float32
            assert (points >= 0).all()
            assert (points <= (177, 217)).all()
            # Along the face's own horizontal: a roll of 30 degrees does not change which eye is the left one.
            lean = np.radians(how.roll)
            across = points @ (np.cos(lean), np.sin(lean))
            assert across[0] < across[1]
            assert across[3] < across[4]


def test_pose_turns_a_solid_head_the_way_it_says() -> None:
    who = person(0, 5)

    def nose_from_eyes(**pose: float) -> NDArray[np.float64]:
        points = landmarks(who, plain(5, smile=0.0, jaw=0.0, **pose))
        return np.asarray(points[2] - points[:2].mean(0))

    sideways = [nose_from_eyes(yaw=yaw)[0] for yaw in (-40, -20, 0, 20, 40)]
    assert (np.diff(sideways) > 2.5).all()
    downwards = [nose_from_eyes(pitch=pitch)[1] for pitch in (-20, 0, 20)]
    assert (np.diff(downwards) < -2).all()
    # Leaning clockwise puts the right eye lower; a flat sticker would keep the halves of the mouth equal under yaw.
    tilted = landmarks(who, plain(5, roll=20.0))
    assert np.degrees(np.arctan2(*(tilted[1] - tilted[0])[::-1])) == pytest.approx(20, abs=0.5)
    turned = landmarks(who, plain(5, yaw=40.0))
    assert turned[1, 0] - turned[2, 0] < 0.35 * (turned[2, 0] - turned[0, 0])


def test_expression_moves_the_landmarks_that_it_should() -> None:
    who = person(0, 5)
    still, smiling = (landmarks(who, plain(5, smile=s)) for s in (0.0, 1.0))
    assert smiling[4, 0] - smiling[3, 0] > still[4, 0] - still[3, 0] + 2
    np.testing.assert_allclose(smiling[:2], still[:2], atol=0.3)


def test_light_comes_from_where_the_attributes_say() -> None:
    for identity in range(4):
        bright = []
        for azimuth in (-70.0, 70.0):
            how = plain(identity, azimuth=azimuth, ambient=0.2, smile=0.0)
            (left, y), (right, _) = landmarks(person(0, identity), how)[:2].round().astype(int)
            image = draw(person(0, identity), how).astype(float)
            cheek = slice(y + 12, y + 20)
            bright.append(image[cheek, right - 3 : right + 4].mean() - image[cheek, left - 3 : left + 4].mean())
        assert bright[0] < -15
        assert bright[1] > 15


def test_difficulty_widens_what_varies() -> None:
    def spread(difficulty: float) -> dict[str, float]:
        table = [attributes(view(1, i, k, difficulty)) for i in range(60) for k in range(10)]
        return {
            **{name: float(np.std([row[name] for row in table])) for name in ("yaw", "pitch", "roll", "light_azimuth")},
            **{
                name: float(np.mean([row[name] for row in table])) for name in ("occlusion", "glasses", "blur", "noise")
            },
        }

    studio, easy, usual, hard = (spread(d) for d in (0.0, 0.5, 1.0, 2.0))
    assert set(studio.values()) == {0.0, 1.0}
    for name in usual:
        assert studio[name] <= easy[name] < usual[name] < hard[name]
    assert 20 < usual["yaw"] < 25
    assert max(abs(view(1, i, 0, 2.0).yaw) for i in range(200)) == 45


def test_attributes_are_finite_floats_in_their_ranges() -> None:
    for index in range(200):
        given = attributes(view(2, 0, index, 1.5))
        assert all(type(value) is float and np.isfinite(value) for value in given.values())
        assert 0 <= given["occlusion"] <= 1
        assert (given["occlusion"] > 0) <= (given["occluder"] > 0)
        assert 1 <= given["quality"] <= 100


def test_scan_lists_every_photograph_without_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facedistill.data.synthetic.source.draw", lambda *_: pytest.fail("scan drew a photograph"))
    photographs = list(source(first_person=100).scan())
    assert [p.key for p in photographs[:6]] == [f"000100/000{i}.jpg" for i in range(5)] + ["000101/0000.jpg"]
    assert Counter(p.identity for p in photographs) == {f"{i:06d}": 5 for i in range(100, 112)}
    how = view(0, 100, 3, 1.0)
    fourth = photographs[3]
    assert isinstance(fourth, Photograph)
    assert fourth.landmarks is not None
    np.testing.assert_array_equal(fourth.landmarks, landmarks(person(0, 100), how))
    assert fourth.attributes == attributes(how)
    assert fourth.group is None


@pytest.mark.parametrize("key", ["000000/0005.jpg", "000012/0000.jpg", "0/0.jpg", "000000/0000.png"])
def test_a_key_that_is_not_there_is_an_error(key: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"000000/0000\.jpg to 000011/0004\.jpg"):
        source().read(key)


def test_pairs_follow_the_protocol() -> None:
    made = source(people=30, pairs_per_fold=20, folds=5)
    pairs = made.pairs()
    assert pairs == made.pairs()
    assert Counter((p.fold, p.same) for p in pairs) == {(f, same): 20 for f in range(5) for same in (True, False)}
    assert all((p.a[:6] == p.b[:6]) == p.same and p.a != p.b for p in pairs)
    assert len({(p.a, p.b) for p in pairs}) == len(pairs)
    people = [{key[:6] for p in pairs if p.fold == fold for key in (p.a, p.b)} for fold in range(5)]
    assert len(set().union(*people)) == sum(map(len, people))
    assert {key for p in pairs for key in (p.a, p.b)} <= {p.key for p in made.scan()}
    assert source().pairs() == []


def test_too_few_people_or_photographs_for_the_pairs_says_so() -> None:
    with pytest.raises(ValueError, match="raise people or photographs"):
        source(people=20, photographs=2, pairs_per_fold=3).pairs()
    with pytest.raises(ValueError, match="raise people or photographs"):
        source(people=9, pairs_per_fold=1).pairs()


@pytest.mark.parametrize(
    "wrong", [{"people": 0}, {"difficulty": 2.5}, {"difficulty": -1.0}, {"folds": 1}, {"faces": 3}]
)
def test_wrong_parameters_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ParamsError, match=next(iter(wrong))):
        source(**wrong)


def test_drawing_is_fast_enough_to_be_the_default() -> None:
    """A bound far under the real speed, so that a busy machine does not fail it."""
    who = person(0, 0)
    draw(who, view(0, 0, 0, 1.0))
    start = time.process_time()
    for index in range(20):
        how = view(0, 0, index, 1.0)
        encode(draw(who, how), how)
    assert time.process_time() - start < 20 / 40
