"""Draws photographs of a head: visibility, texture lookup, eyes and mouth, light, then the scene and the camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facedistill.data.synthetic import scene
from facedistill.data.synthetic.head import (
    AZIMUTHS,
    COLLAR,
    LIP,
    ROWS,
    Array,
    coefficients,
    displacements,
    hairline,
    landmarks,
    projection,
    row_of,
    surface,
)
from facedistill.data.synthetic.person import Person
from facedistill.data.synthetic.skin import paint, strands
from facedistill.data.synthetic.view import HEIGHT, WIDTH, View

COLUMNS = len(AZIMUTHS)
LIGHT_AZIMUTHS = (-95.0, -45.0, 0.0, 45.0, 95.0)
LIGHT_ELEVATIONS = (-30.0, 15.0, 55.0)


@dataclass(frozen=True, slots=True)
class Head:
    """A person's surface, ready to be drawn. Arrays run over columns, then rows.

    shapes: (SHAPES * 3, columns * rows), the points of the neutral head and the displacements.
    front: (columns, rows, 2), x and y in the front plane.
    albedo: (columns, rows, 4), linear RGB and gloss.
    normal: (columns, rows, 4), the unit normal and the share of the sky that the point sees.
    lit: (azimuths, elevations, columns / 2, rows / 2), the share of light from each LIGHT_* that arrives, 0..1.
    """

    shapes: Array
    front: Array
    albedo: Array
    normal: Array
    lit: Array


@lru_cache(maxsize=12)
def head(person: Person) -> Head:
    """The surface of a person. It costs as much as ten photographs, so it is cached for the next ones."""
    rng = np.random.default_rng((person.seed, person.identity, 0x5C1))
    azimuth, row = AZIMUTHS[:, None], np.arange(ROWS, dtype=np.float32)[None]
    lumps = 0.28 * cv2.GaussianBlur(strands(rng, person.hair.curl), (0, 0), 2.5)
    # The rows that clothes hide are all moved to the edge of the clothes.
    row = np.minimum(row, _hem(person)[:, None])
    points, front = surface(person, azimuth, row, lumps * np.minimum(row / 25, 1))
    x, y = front.astype(np.float32)
    albedo, bumps = paint(person, x, y, rng)
    shapes = np.concatenate([points[None], displacements(person, azimuth, x, y)]).reshape(-1, COLUMNS * ROWS)
    normal = _normals(points, bumps)
    lit = _lit(points[:, ::2, ::2])
    sky = cv2.resize(lit.mean((0, 1)), (ROWS, COLUMNS), interpolation=cv2.INTER_LINEAR)
    return Head(
        shapes=np.ascontiguousarray(shapes),
        front=np.ascontiguousarray(np.stack([x, y], -1)),
        albedo=albedo,
        normal=np.dstack([normal, np.clip(sky / 0.62, 0.1, 1.1)]).astype(np.float32),
        lit=lit,
    )


def _hem(person: Person) -> Array:
    """(columns,) the row at which clothes hide the neck, or at which hair that hangs over the clothes ends."""
    collar = row_of(COLLAR) + 12 * np.cos(AZIMUTHS)
    hem: Array = np.maximum(collar, row_of(hairline(person, AZIMUTHS)))
    return hem.astype(np.float32)


def _normals(points: Array, bumps: Array) -> Array:
    """(columns, rows, 3) outward unit normals of the points (3, columns, rows), after `bumps` has raised them."""
    down = np.gradient(points, axis=2).transpose(1, 2, 0)
    along = np.gradient(points, axis=1).transpose(1, 2, 0)
    normal: Array = np.cross(along, down)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True) + 1e-9
    raised = points.transpose(1, 2, 0) + normal * bumps[..., None]
    normal = np.cross(np.gradient(raised, axis=0), np.gradient(raised, axis=1))
    normal /= np.linalg.norm(normal, axis=2, keepdims=True) + 1e-9
    return normal


def _lit(points: Array) -> Array:
    """The share of light from each LIGHT_* direction that reaches the points (3, columns, rows), with soft shadows."""
    lit = np.empty((len(LIGHT_AZIMUTHS), len(LIGHT_ELEVATIONS), *points.shape[1:]), np.float32)
    flat = points.reshape(3, -1)
    for i, a in enumerate(np.radians(LIGHT_AZIMUTHS)):
        for j, e in enumerate(np.radians(LIGHT_ELEVATIONS)):
            right = np.array((np.cos(a), 0, -np.sin(a)), np.float32)
            light = np.array((np.sin(a) * np.cos(e), -np.sin(e), np.cos(a) * np.cos(e)), np.float32)
            below = np.cross(light, right)
            x, y, depth = np.einsum("ij,jk->ik", np.stack([right, below, light]), flat)
            x, y = (x + 1.6) * 24, (y + 2.6) * 24
            nearest, order = splat(x, y, light, AZIMUTHS[::2], (136, 84))
            seen = np.append(np.float32(-9), depth[order])[nearest]
            seen = cv2.blur(seen, (3, 3))[
                np.clip(np.rint(y), 0, 135).astype(np.intp), np.clip(np.rint(x), 0, 83).astype(np.intp)
            ]
            lit[i, j] = np.clip(1.5 - (seen - depth) / 0.07, 0, 1).reshape(points.shape[1:])
            lit[i, j] = cv2.GaussianBlur(lit[i, j], (0, 0), 1.6)
    return lit


def splat(
    x: Array, y: Array, towards: Array, azimuths: Array, size: tuple[int, int]
) -> tuple[NDArray[np.uint16], NDArray[np.intp]]:
    """The point of a star-shaped surface that is nearest to the viewer, at each pixel of `size` (height, width).

    x, y: (columns * rows,) pixels of the points.
    towards: the direction from the head to the viewer, in head axes.
    azimuths: of the columns.

    The points are written from far to near, so the last one written at a pixel is the one that is seen. Returns the
    number of this point in the order of writing, from 1 (0 if there is none), and the order, as indices of points.
    """
    h, w = size
    column, row = np.rint(x).astype(np.int32), np.rint(y).astype(np.int32)
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    pixel = np.where(inside, row * w + column, h * w).reshape(len(azimuths), -1)
    index = np.arange(x.size).reshape(pixel.shape)
    if towards[1] < 0:
        pixel, index = pixel[:, ::-1], index[:, ::-1]
    middle = int(np.searchsorted(azimuths, np.arctan2(towards[0], towards[2])))
    far_to_near = [np.concatenate([a[:middle].ravel(), a[middle:][::-1].ravel()]) for a in (pixel, index)]
    seen = np.zeros(h * w + 1, np.uint16)
    # NumPy writes flat arrays in order, so the last value of a repeated index stays.
    seen[far_to_near[0]] = np.arange(1, x.size + 1, dtype=np.uint16)
    # A pixel that is farther away than all pixels around it is a gap between points.
    whole = cv2.morphologyEx(seen[:-1].reshape(size), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    return np.asarray(whole, np.uint16), far_to_near[1]


@dataclass(frozen=True, slots=True)
class Patch:
    """The part of the photograph that has the head in it.

    x, y: its upper left corner.
    column, row: the place on the surface that each pixel shows.
    opacity: of the head at each pixel, 0..1.
    """

    x: int
    y: int
    column: Array
    row: Array
    opacity: Array

    def around(self, x: float, y: float, half: float) -> tuple[slice, slice]:
        """Rows and columns of a square with half side `half` around a pixel, shifted so that the patch contains it."""
        size = 2 * int(half) + 1
        top, left = (
            min(max(int(v - half), 0), max(n - size, 0))
            for v, n in zip((y - self.y, x - self.x), self.row.shape, strict=True)
        )
        return slice(top, top + size), slice(left, left + size)


def project(head: Head, view: View) -> Patch:
    """The point of the surface that each pixel shows, to a fraction of a column and a row."""
    towards = view.rotation()[2]
    middle = np.arctan2(towards[0], towards[2])
    reach = np.radians(97 + 2.5 * max(-view.pitch, 0))
    first, last = np.searchsorted(AZIMUTHS, (middle - reach, middle + reach))
    matrix, offset = projection(view)
    weights = (coefficients(view)[None, :, None] * matrix[:, None, :]).reshape(2, -1)
    # einsum, not @: BLAS would start threads. If each core runs a worker, they cost ten times as much as the sum.
    x, y = np.einsum("ij,jk->ik", weights, head.shapes[:, first * ROWS : last * ROWS]) + offset[:, None]

    left, top = max(int(x.min()) - 1, 0), max(int(y.min()) - 1, 0)
    right, bottom = min(int(x.max()) + 3, WIDTH), min(int(y.max()) + 3, HEIGHT)
    size = (bottom - top, right - left)
    x, y = x - left, y - top
    seen, order = splat(x, y, towards, AZIMUTHS[first:last], size)
    # One pixel more than the visible area, so that the edge can be soft.
    index = order[np.maximum(cv2.dilate(seen, np.ones((3, 3), np.uint8)), 1) - 1]

    # One Newton step, in complex numbers, from the nearest point of the grid to the pixel's exact place.
    at = (x + 1j * y).astype(np.complex64)
    index = np.clip(index, ROWS, x.size - ROWS - 1)
    along, down = at[index + ROWS] - at[index - ROWS], at[index + 1] - at[index - 1]
    pixels = np.arange(size[1], dtype=np.float32) + 1j * np.arange(size[0], dtype=np.float32)[:, None]
    short = (pixels - at[index]).conj()
    slope = 2 / np.maximum((along.conj() * down).imag, 0.15)
    column = index // ROWS + first + np.clip((short * down).imag * slope, -3, 3)
    row = index % ROWS - np.clip((short * along).imag * slope, -3, 3)
    opacity = cv2.GaussianBlur((seen > 0).astype(np.float32), (3, 3), 0.7)
    return Patch(left, top, column.astype(np.float32), row.astype(np.float32), opacity)


def _look(texture: Array, column: Array, row: Array) -> Array:
    return cv2.remap(texture, row, column, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def draw(person: Person, view: View) -> NDArray[np.uint8]:
    """The photograph, (218, 178, 3) uint8 RGB."""
    it = head(person)
    patch = project(it, view)
    points = landmarks(person, view)
    mouth = _part_lips(person, view, it, patch, points[3:])
    albedo = _look(it.albedo, patch.column, patch.row)
    if mouth is not None:
        where, colour, share = mouth
        albedo[where] += (colour - albedo[where]) * share[..., None]
    gleam = _eyes(person, view, it, patch, points[:2], albedo)
    image = scene.background(person, view)
    h, w = patch.row.shape
    area = image[patch.y : patch.y + h, patch.x : patch.x + w]
    cv2.blendLinear(_shade(view, it, patch, albedo, gleam), area, patch.opacity, 1 - patch.opacity, area)
    scene.occlude(image, person, view)
    return scene.camera(image, view)


def _part_lips(
    person: Person, view: View, it: Head, patch: Patch, corners: Array
) -> tuple[tuple[slice, slice], Array, Array] | None:
    """Open the mouth: move the lower lip's rows in place, and return area, colour and opacity of the inside."""
    if view.jaw < 0.01:
        return None
    m = person.mouth
    # The jaw stretches the skin under the mouth line by (LIP + jaw) / LIP. The gap gets that length, not the lip.
    x, y = corners.mean(0)
    where = patch.around(x, y, 1.5 * view.scale * (m.width + 0.1))
    x, y = np.moveaxis(_look(it.front, patch.column[where], patch.row[where]), -1, 0)
    gap = view.jaw * np.clip(1 - (x / (0.96 * m.width)) ** 2, 0, 1)
    hidden = LIP * gap / (LIP + view.jaw)
    under = y - m.y - m.corners * np.clip(np.abs(x) / m.width, 0, 1) ** 2
    near = (under > 0) & (under < LIP)
    lip = np.clip(under - hidden, 0, None) * LIP / (LIP - hidden + 1e-6)
    patch.row[where] += np.where(near, lip - under, 0) * (row_of(1) - row_of(0))
    depth = under * (LIP + view.jaw) / LIP
    pixel = 0.8 / view.scale
    share = np.clip(np.minimum(depth, gap - depth) / pixel + 0.5, 0, 1) * near
    upper = np.clip((0.055 + 0.02 * view.smile - depth) / pixel + 0.5, 0, 1) * np.clip(
        3 - 3.6 * np.abs(x) / m.width, 0, 1
    )
    lower = np.clip((depth - gap + 0.03) / pixel + 0.5, 0, 1) * np.clip(1.6 - 2.4 * np.abs(x) / m.width, 0, 1) * 0.5
    inside = np.array((0.07, 0.02, 0.02, 0.0), np.float32)
    teeth = np.array((0.72, 0.68, 0.60, 0.7), np.float32)
    colour = inside + (teeth - inside) * np.maximum(upper, lower)[..., None]
    return where, colour.astype(np.float32), share.astype(np.float32)


def _eyes(person: Person, view: View, it: Head, patch: Patch, pupils: Array, albedo: Array) -> Array:
    """Paint both eyes into the albedo of the patch, and return the highlights, which are added after shading."""
    e = person.eyes
    gleam = np.zeros(patch.row.shape, np.float32)
    pixel = 0.9 / view.scale
    light = view.rotation().T @ view.light()
    places = [patch.around(x, y, 1.3 * e.width * view.scale) for x, y in pupils]
    # Both eyes at once, as (2, height, width), for speed.
    front = np.stack([_look(it.front, patch.column[at], patch.row[at]) for at in places])
    side = np.array((-1, 1), np.float32)[:, None, None]
    x, y = side * front[..., 0] - e.x, front[..., 1] - e.y
    t = x / e.width
    down = y + e.tilt * x
    lower = 0.78 * e.height * np.maximum(1 - t**2, 0)
    upper = -1.15 * e.height * np.maximum(1 - np.abs(t) ** e.almond, 0)
    upper += (lower - upper) * view.blink
    share = np.clip(np.minimum(down - upper, lower - down) / pixel + 0.4, 0, 1) * (np.abs(t) < 1)
    lash = np.exp(-(((down - upper) / (0.6 * pixel + 0.008 * e.lash)) ** 2))
    lash *= np.maximum(1.25 - np.abs(t) ** 3, 0) * (0.55 + 0.35 * e.lash)

    x, y = x - side * view.gaze[0], y - view.gaze[1]
    r = np.hypot(x, y + 0.1 * e.height)
    iris = np.clip((e.iris - r) / pixel + 0.5, 0, 1)
    ring = np.clip(1.25 - (r / e.iris) ** 4 * 0.75, 0.35, 1.2)
    pupil = np.clip((0.42 * e.iris - r) / pixel + 0.5, 0, 1)
    lid_shade = np.clip(0.45 + (down - upper) / (0.9 * e.height), 0.45, 1)
    white = 1 - 0.35 * t * t
    before = np.stack([albedo[at] for at in places])
    skin = before.copy()
    for c, ball in enumerate((0.56, 0.52, 0.50)):
        eye = (ball * white * (1 - iris) + e.colour[c] * ring * iris) * (1 - 0.95 * pupil) * lid_shade
        skin[..., c] += (eye - skin[..., c]) * share
        skin[..., c] *= 1 - lash
    skin[..., 3] *= 1 - share
    spot = np.hypot(x - side * 0.03 * light[0], y - 0.03 * light[1])
    spot = 0.7 * view.key * np.clip((0.018 - spot) / pixel + 0.5, 0, 1) * share
    for i, at in enumerate(places):
        albedo[at] += skin[i] - before[i]
        gleam[at] += spot[i]
    return gleam


def _shade(view: View, it: Head, patch: Patch, albedo: Array, gleam: Array) -> NDArray[np.uint8]:
    """(height, width, 3) RGB of the lit head."""
    turn = view.rotation()
    light, eye = turn.T @ view.light(), turn[2]
    half = (light + eye) / np.linalg.norm(light + eye)
    normal = _look(it.normal, patch.column, patch.row)
    axes = np.zeros((4, 4), np.float32)
    axes[0, :3], axes[1, :3], axes[2, :3], axes[3, 3] = light, half, -turn[1], 1
    facing, mirror, up, sky = cv2.split(cv2.transform(normal, axes))
    arrives = _look(_shadow(it, light), patch.column / 2, patch.row / 2)
    around = sky * (0.72 + 0.28 * up)
    *skin, gloss = cv2.split(albedo)
    mirror = np.clip(mirror, 0, 1) ** 2
    mirror = mirror * mirror
    mirror = mirror * mirror
    shine = 0.11 * gloss * mirror * mirror * mirror * arrives + gleam
    arrives = 0.12 + 0.88 * arrives
    warm = view.warmth
    # Under the skin, light spreads beyond the edge of a shadow; red light spreads furthest.
    for c, key, fill, wrap in ((0, 0.14, -0.04, 0.30), (1, 0.0, 0.0, 0.18), (2, -0.18, 0.06, 0.14)):
        key, fill = view.key * (1 + key * warm), view.ambient * (1 + fill * warm)
        diffuse = np.maximum(facing + wrap, 0) * arrives
        diffuse *= key / (1 + wrap)
        diffuse += around * fill
        skin[c] *= diffuse
        skin[c] += shine * key
    # The square root stands in for the camera's gamma.
    return np.asarray(cv2.convertScaleAbs(cv2.sqrt(cv2.merge(skin)), alpha=255), np.uint8)


def _shadow(it: Head, light: Array) -> Array:
    """(columns / 2, rows / 2): the share of light from this direction (head axes) that arrives, by interpolation."""
    a = np.interp(np.degrees(np.arctan2(light[0], light[2])), LIGHT_AZIMUTHS, np.arange(len(LIGHT_AZIMUTHS)))
    e = np.interp(np.degrees(np.arcsin(-light[1])), LIGHT_ELEVATIONS, np.arange(len(LIGHT_ELEVATIONS)))
    i, j = min(int(a), len(LIGHT_AZIMUTHS) - 2), min(int(e), len(LIGHT_ELEVATIONS) - 2)
    a, e = np.float32(a - i), np.float32(e - j)
    near, far = it.lit[i], it.lit[i + 1]
    arrives: Array = (near[j] * (1 - e) + near[j + 1] * e) * (1 - a) + (far[j] * (1 - e) + far[j + 1] * e) * a
    return arrives


def encode(image: NDArray[np.uint8], view: View) -> bytes:
    """JPEG of an RGB image at the view's quality."""
    ok, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, view.quality])
    if not ok:
        raise RuntimeError(f"OpenCV could not encode a photograph of shape {image.shape} as JPEG")
    return data.tobytes()
