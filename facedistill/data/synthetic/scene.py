"""What is around a head: background, shoulders, glasses, occluders, and the camera."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from facedistill.data.synthetic.head import COLLAR, Array, projection
from facedistill.data.synthetic.person import Person
from facedistill.data.synthetic.view import HEIGHT, WIDTH, Glasses, Occluder, View

Image = NDArray[np.uint8]
SHIFT = 4
"""Fractional bits of the coordinates given to OpenCV."""


def _points(xy: ArrayLike) -> NDArray[np.int32]:
    return np.rint(np.asarray(xy, np.float64) * (1 << SHIFT)).astype(np.int32)


def _rgb(rng: np.random.Generator, grey: float = 0.5) -> tuple[int, int, int]:
    """A random colour. With `grey` 1 it has no saturation."""
    values = rng.uniform(15, 240, 3).tolist()
    mean = sum(values) / 3
    r, g, b = (int(v + (mean - v) * grey) for v in values)
    return r, g, b


def background(person: Person, view: View) -> Image:
    """(HEIGHT, WIDTH, 3): blurred shapes, and shoulders. They are drawn at half size, which is soft and fast."""
    rng = view.rng(1)
    h, w = HEIGHT // 2, WIDTH // 2
    cells = rng.uniform(-1, 1, (int(rng.integers(3, 9)), int(rng.integers(3, 8)), 3)).astype(np.float32)
    cells = cells * 0.35 + cells.mean(2, keepdims=True)
    plain = np.asarray(_rgb(rng, 0.7), np.float32)
    half = cv2.resize(plain + cells * np.float32(70 * view.clutter), (w, h), interpolation=cv2.INTER_CUBIC)
    half = np.clip(half, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 1 + round(9 * view.clutter)))):
        x, y, long, short = rng.uniform((-10, -10, 3, 3), (w + 10, h + 10, 35, 35))
        colour, angle = _rgb(rng, 0.65), float(rng.uniform(0, 180))
        match int(rng.integers(3)):
            case 0:
                box = cv2.boxPoints(((x, y), (2 * long, 2 * short), angle))
                cv2.fillConvexPoly(half, _points(box), colour, cv2.LINE_AA, SHIFT)
            case 1:
                cv2.ellipse(half, ((x, y), (2 * long, 2 * short), angle), colour, -1)
            case _:
                far = (x + 4 * (long - 19), y + 4 * (short - 19))
                start, end = _points([(x, y), far]).tolist()
                cv2.line(half, start, end, colour, int(rng.integers(1, 6)), cv2.LINE_AA, SHIFT)
    sigma = float(rng.uniform(0.3, 1.8))
    half = cv2.GaussianBlur(half, (0, 0), sigma)
    _shoulders(half, person, view, rng)
    return np.asarray(cv2.resize(half, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), np.uint8)


def _shoulders(half: Image, person: Person, view: View, rng: np.random.Generator) -> None:
    """Clothes, at half size. The shoulders follow the place of the head but do not turn with it."""
    s = view.scale / 2
    matrix, offset = projection(view)
    x, y = (matrix @ np.array((0, COLLAR, -0.2), np.float32) + offset) / 2
    wide = (1.35 + 1.1 * person.skull.neck) * s * rng.uniform(0.85, 1.1)
    t = np.linspace(0, np.pi, 24)
    slope = 0.5 * np.sin(t) ** 0.6 + 0.28 * np.exp(-((np.cos(t) / 0.38) ** 2))
    rim = np.stack([x - wide * np.cos(t), y + (0.62 - slope) * s], 1)
    mask = np.zeros(half.shape[:2], np.uint8)
    outline = np.concatenate([rim, [(x + wide, HEIGHT), (x - wide, HEIGHT)]])
    cv2.fillPoly(mask, [_points(outline)], 255, cv2.LINE_AA, SHIFT)
    colour = np.asarray(_rgb(rng, 0.4), np.float32) * (0.5 + 0.35 * view.ambient)
    across = (np.arange(half.shape[1], dtype=np.float32) - x) / wide
    light = np.clip(0.75 + 0.3 * np.sin(np.radians(view.azimuth)) * across - 0.25 * across**2, 0.25, 1.3)
    top = max(int(rim[:, 1].min()), 0)
    _blend(half[top:], mask[top:], np.clip(colour * light[:, None], 0, 255))


def occlude(image: Image, person: Person, view: View) -> None:
    """Draw glasses and the occluder over the photograph, in place."""
    if view.glasses:
        _glasses(image, person, view)
    if view.occluder:
        _OCCLUDERS[view.occluder](image, person, view)


def _glasses(image: Image, person: Person, view: View) -> None:
    rng = view.rng(2)
    e, k = person.eyes, person.skull
    matrix, offset = projection(view)
    dark = view.glasses is Glasses.DARK
    wide, high = rng.uniform((0.215, 0.13), (0.27, 0.22)) * (1.08 if dark else 1.0)
    power = rng.uniform(2, 5)
    frame = _rgb(rng, 0.7) if rng.random() < 0.4 else (18, 16, 16)
    tint = np.asarray(rng.uniform(8, 60, 3), np.float32)
    thickness = max(1, round(view.scale * rng.uniform(0.015, 0.06)))
    t = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    c, s = np.cos(t), np.sin(t)
    r = (np.abs(c) ** power + np.abs(s) ** power) ** (-1 / power)
    z = k.depth + 0.10 + 0.3 * person.nose.bridge_out
    middle = max(e.x + 0.01, wide + 0.04)
    rims = []
    for side in (-1, 1):
        x = side * middle + wide * r * c
        rims.append(np.stack([x, e.y + 0.03 + high * r * s, z - 0.28 * x**2]))
    flat = [_points((matrix @ rim).T + offset) for rim in rims]
    opacity = 0.9 if dark else 0.10
    lens = image.copy()
    cv2.fillPoly(lens, flat, tint.tolist() if dark else (225, 230, 235), cv2.LINE_AA, SHIFT)
    cv2.addWeighted(lens, opacity, image, 1 - opacity, 0, image)
    cv2.polylines(image, flat, True, frame, thickness, cv2.LINE_AA, SHIFT)
    bridge = np.array([(-middle + wide, e.y, z), (0, e.y - 0.035, z + 0.02), (middle - wide, e.y, z)]).T
    cv2.polylines(image, [_points((matrix @ bridge).T + offset)], False, frame, thickness, cv2.LINE_AA, SHIFT)
    for side in (-1, 1):
        # The arm on the far side is behind the head.
        if side * view.yaw < 8:
            x = side * (middle + wide)
            arm = np.array([(x, e.y - 0.03, z - 0.28 * x**2), (side * (k.temples + 0.03), e.y - 0.02, 0.05)]).T
            cv2.polylines(image, [_points((matrix @ arm).T + offset)], False, frame, thickness, cv2.LINE_AA, SHIFT)


def _frame(person: Person, view: View) -> tuple[Array, Array]:
    """(2, 2) and (2,): from head units in a plane before the face to pixels. The plane rolls but never turns."""
    c, s = np.cos(np.radians(view.roll)), np.sin(np.radians(view.roll))
    matrix, offset = projection(view)
    middle = matrix @ np.array((0, 0.2, 0.9), np.float32) + offset
    lean = np.array([(c, -s), (s, c)]) * view.scale
    return lean, middle - lean @ np.array((0, 0.2))


def _blend(image: Image, mask: Image, colour: Array) -> None:
    share = mask[..., None].astype(np.float32) / 255
    image[:] = (image + (colour - image) * share).astype(np.uint8)


def _hand(image: Image, person: Person, view: View) -> None:
    rng = view.rng(3)
    lean, origin = _frame(person, view)
    light = view.ambient + 0.6 * view.key
    skin = np.sqrt(np.clip(np.asarray(person.skin.colour) * light, 0, 1)) * 255
    a = np.radians(view.occluder_angle)
    along, across = np.array((-np.sin(a), -np.cos(a))), np.array((np.cos(a), -np.sin(a)))
    palm = np.asarray(view.occluder_at)
    wide = view.occluder_size
    width = max(3, round(0.45 * wide * view.scale))
    shade = np.zeros_like(image)
    mask = np.zeros(image.shape[:2], np.uint8)
    wrist = palm - along * 2.6
    bones = [
        (wrist, palm - along * 0.35, 2.6 * width, 0.86),
        (palm - along * 0.4, palm - along * 0.1, 2.6 * width, 0.92),
    ]
    for i, length in enumerate((0.30, 0.40, 0.38, 0.27)):
        root = palm + across * wide * (0.55 * (i - 1.5))
        tip = root + along * (length + 0.1) * (wide / 0.35) + across * 0.05 * (i - 1.5) * rng.uniform(0.5, 1.5)
        bones.append((root - along * 0.2, tip, width, 1.0 - 0.04 * i))
    for start, end, thick, tone in bones:
        p, q = (_points(lean @ v + origin).tolist() for v in (start, end))
        cv2.line(mask, p, q, 255, int(thick), cv2.LINE_AA, SHIFT)
        cv2.line(shade, p, q, (skin * tone * 0.72).tolist(), int(thick), cv2.LINE_AA, SHIFT)
        cv2.line(shade, p, q, (skin * tone).tolist(), max(int(0.62 * thick), 1), cv2.LINE_AA, SHIFT)
    _blend(image, mask, cv2.GaussianBlur(shade, (0, 0), 0.9).astype(np.float32))


def _scarf(image: Image, person: Person, view: View) -> None:
    rng = view.rng(3)
    matrix, offset = projection(view)
    azimuth = np.radians(np.linspace(-115, 115, 25)) + np.radians(view.yaw) * -1
    top = view.occluder_at[1] + 0.06 * np.cos(3 * azimuth) - 0.28 * (1 - np.cos(np.clip(azimuth, -1.6, 1.6)))
    rim = np.stack([0.84 * np.sin(azimuth), top, 1.08 * np.cos(azimuth) * 1.0])
    edge = (matrix @ rim).T + offset
    below = (edge[::-1] - offset) * (1.25, 1) + offset + (0, 0.95 * view.scale)
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [_points(np.concatenate([edge, below]))], 255, cv2.LINE_AA, SHIFT)
    colour = np.asarray(_rgb(rng, 0.3), np.float32) * 0.8
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    folds = np.sin((y + 9 * np.sin(x / rng.uniform(14, 30))) / rng.uniform(2.5, 6)) * rng.uniform(0.03, 0.18)
    side = 0.3 * np.sin(np.radians(view.azimuth)) * (x - view.x) / view.scale
    _blend(image, mask, np.clip(colour * (0.8 + folds + side)[..., None], 0, 255))


def _thing(image: Image, person: Person, view: View) -> None:
    rng = view.rng(3)
    lean, origin = _frame(person, view)
    a = np.radians(view.occluder_angle)
    half = view.occluder_size * rng.uniform((0.6, 0.6), (1.1, 1.3))
    turn = np.array([(np.cos(a), -np.sin(a)), (np.sin(a), np.cos(a))])
    if rng.random() < 0.35:
        t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        shape = np.stack([np.cos(t), np.sin(t)], 1)
    else:
        shape = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    corners = (lean @ (turn @ (shape * half).T + np.asarray(view.occluder_at)[:, None])).T + origin
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [_points(corners)], 255, cv2.LINE_AA, SHIFT)
    tiles = rng.integers(1, 5, 2)
    pattern = np.asarray(_rgb(rng), np.float32) + rng.uniform(-60, 60, (int(tiles[0]), int(tiles[1]), 3)).astype(
        np.float32
    )
    texture = cv2.resize(pattern, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC if tiles[0] % 2 else cv2.INTER_NEAREST)
    _blend(image, mask, np.clip(texture, 0, 255))


_OCCLUDERS = {Occluder.HAND: _hand, Occluder.SCARF: _scarf, Occluder.OBJECT: _thing}


@lru_cache(maxsize=1)
def _grain() -> Array:
    """A large image of sensor noise with standard deviation 1, as soft as after demosaicing."""
    noise = np.random.default_rng(0x9EED).standard_normal((HEIGHT + 128, WIDTH + 128, 3), dtype=np.float32)
    soft: Array = cv2.GaussianBlur(noise, (0, 0), 0.5)
    soft /= soft.std()
    return soft


def camera(image: Image, view: View) -> Image:
    """The photograph as a camera records it: with its focus, exposure and noise."""
    rng = view.rng(4)
    if view.blur > 0.3:
        cv2.GaussianBlur(image, (0, 0), view.blur, image)
    x, y = rng.integers(0, 128, 2)
    noise = _grain()[y : y + HEIGHT, x : x + WIDTH] * np.float32(view.noise)
    seen: Array = np.clip(image * np.float32(view.exposure) + noise, 0, 255)
    return seen.astype(np.uint8)
