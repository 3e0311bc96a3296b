"""The head of a person: one surface over (azimuth, row), and expressions as linear displacements of it.

The surface is star-shaped about a vertical axis through the head. So, for a viewer near the horizon, a point can only
be hidden by points whose azimuth is nearer to the viewer's. `render` relies on that and needs no depth buffer.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facedistill.data.synthetic.person import Person
from facedistill.data.synthetic.view import View

Array = NDArray[Any]
"""float32 unless a docstring says otherwise. The type checker could not follow the exact type."""

ROWS, CAP_ROWS, ROWS_PER_UNIT = 194, 62, 62.0
CAP_Y = -0.55
"""The dome above CAP_Y has CAP_ROWS rows. Below it, a row is a height."""

AZIMUTHS: Array = np.radians(np.r_[-150:-60:48j, np.linspace(-60, 60, 122)[1:-1], 60:150:48j]).astype(np.float32)
"""The azimuth of each column, in radians from the front. Columns are dense on the face."""

SHAPES = 4
"""The number of shapes: neutral head, dropped jaw, smile, raised brows."""

COLLAR = 1.36
"""The height at which clothes hide the neck."""

LIP = 0.16
"""The height of the surface under the mouth line that a dropped jaw stretches."""


def smoothstep(x: Array, low: float | Array, high: float | Array) -> Array:
    """0 below `low`, 1 above `high`, and a cubic between them."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bump(x: Array, y: Array, at: tuple[float, float], size: tuple[float, float]) -> Array:
    """A Gaussian bump with its top at `at` and standard deviations of `size` / sqrt 2."""
    return np.exp(-(((x - at[0]) / size[0]) ** 2) - ((y - at[1]) / size[1]) ** 2)


def row_of(y: Any) -> Any:
    """The row of a height below the dome, for a number or an array."""
    return CAP_ROWS + (y - CAP_Y) * ROWS_PER_UNIT


def height(person: Person, row: Array) -> tuple[Array, Array, Array]:
    """y of the bald skull at these rows, and the cosine and sine of the dome's angle there (1 and 0 below the dome)."""
    angle = np.clip(1 - row / CAP_ROWS, 0, 1) * np.float32(np.radians(88))
    lift = np.sin(angle)
    return CAP_Y - person.skull.crown * lift + np.maximum(row - CAP_ROWS, 0) / ROWS_PER_UNIT, np.cos(angle), lift


def section(person: Person, azimuth: Array, y: Array) -> tuple[Array, Array]:
    """(x, z) of the plain head at these azimuths and heights: a superellipse without any facial feature."""
    k = person.skull
    s, c = np.sin(azimuth), np.cos(azimuth)
    width = (
        k.temples + (k.cheeks - k.temples) * smoothstep(y, -0.5, 0.15) + (k.jaw - k.cheeks) * smoothstep(y, 0.1, 0.85)
    )
    front = k.depth - k.slope * smoothstep(-y, 0.15, 1.0)
    r = (np.abs(s) ** k.boxy + np.abs(c) ** k.boxy) ** (-1 / k.boxy)
    return width * r * s, np.where(c > 0, front, k.depth + 0.04) * r * c


def relief(person: Person, x: Array, y: Array) -> Array:
    """How far (in z) the face rises above the plain head at the front plane's (x, y)."""
    k, e, n, m = person.skull, person.eyes, person.nose, person.mouth
    a = np.abs(x)
    z = k.ridge * bump(a, y, (0.26, e.y - 0.19), (0.3, 0.09)) - 0.5 * k.ridge * bump(a, y, (0.25, -0.45), (0.4, 0.12))
    z += k.cheekbone * bump(a, y, (0.47, 0.16), (0.17, 0.14))
    z += k.fullness * bump(a, y, (0.45, 0.5), (0.2, 0.22))
    # Eye sockets, with eyeballs and lids in them.
    z -= e.deep * bump(a, y, (e.x - 0.04, e.y + 0.01), (0.20, 0.13))
    z += 0.065 * bump(a, y, (e.x, e.y), (0.14, 0.085)) - 0.02 * e.bag * bump(a, y, (e.x, e.y + 0.15), (0.14, 0.035))
    # Nose: a ridge that rises from the root to the tip and ends under the tip.
    root, base = e.y - 0.07, n.tip + 0.075
    t = np.clip((y - root) / (n.tip - root), -1, 1.5)
    bent = x - n.bend * smoothstep(y, root, n.tip)
    rise = n.bridge_out * smoothstep(t, -0.55, 0.4) + (n.tip_out - n.bridge_out) * np.clip(t, 0, 1.5) ** 1.5
    rise = rise + n.hump * bump(t, t, (0.42, 0.42), (0.3, 0.3)) + n.upturn * t * smoothstep(t, 0.7, 1.05)
    rise = rise * (1 - smoothstep(y + 0.35 * np.abs(bent), n.tip - 0.02, base + 0.045))
    width = n.bridge + (n.bulb - n.bridge) * smoothstep(t, 0.3, 1) + 0.05 * smoothstep(-t, -0.2, 0.5)
    z += rise * np.exp(-((np.abs(bent) / width) ** 2.1))
    z += 0.11 * bump(np.abs(bent), y, (n.wings - 0.045, n.tip + 0.012), (0.058, 0.062))
    # Lips, the groove between them, the hollow under them, the groove above them.
    across = np.exp(-((a / (m.width * 0.95)) ** 4))
    z += (
        across
        * m.out
        * (
            np.exp(-(((y - m.y + 0.6 * m.upper) / (1.0 * m.upper + 0.025)) ** 2))
            + 1.1 * np.exp(-(((y - m.y - 0.55 * m.lower) / (0.85 * m.lower + 0.02)) ** 2))
        )
    )
    z -= 0.03 * across * np.exp(-(((y - m.y) / 0.018) ** 2)) + 0.012 * bump(a, y, (m.width + 0.02, m.y), (0.05, 0.05))
    z -= 0.045 * bump(a, y, (0, m.y + m.lower + 0.075), (0.2, 0.05))
    z -= 0.018 * bump(a, y, (0, m.y - m.upper - 0.05), (0.03, 0.06))
    z += k.chin_out * bump(a, y, (0, k.chin - 0.1), (k.chin_width, 0.12))
    z -= 0.05 * k.cleft * bump(a, y, (0, k.chin - 0.1), (0.03, 0.09))
    # Folds from nose to mouth, which get deeper with age.
    fold = 0.17 + (y - n.tip) * 0.55
    depth = (0.004 + 0.015 * person.skin.age) * smoothstep(y, n.tip - 0.08, n.tip + 0.05)
    z -= depth * (1 - smoothstep(y, m.y - 0.02, m.y + 0.08)) * np.exp(-(((a - fold) / 0.035) ** 2))
    return z


def hairline(person: Person, azimuth: Array) -> Array:
    """The height of the hairline at each azimuth."""
    h = person.hair
    degrees = np.degrees(azimuth)
    fringe = h.sweep * np.clip(1 - np.abs(degrees / 55 - h.part) ** 1.5, 0, 1)
    temple = -h.recession * np.exp(-(((np.abs(degrees) - 32) / 13) ** 2))
    front = h.line + h.peak * np.exp(-((degrees / 9) ** 2)) + temple + fringe
    knots = [0.0, 40.0, 52.0, 66.0, 78.0, 86.0, 104.0, 116.0, 150.0]
    sideburn = max(min(h.length, 0.25), 0.0)
    behind = max(h.length, 0.75)
    drop = [
        0.0,
        0.0,
        0.25,
        0.55,
        sideburn - h.line,
        sideburn - h.line - 0.15,
        -0.15 - h.line,
        0.6 - h.line,
        behind - h.line,
    ]
    if h.length > 0.5:
        full = h.length - h.line
        drop = [0.0, 0.0, 0.2, 0.42 * full, 0.85 * full, full, full, full, full]
    return (front + np.interp(np.abs(degrees), knots, drop)).astype(np.float32)


def hair_cover(person: Person, azimuth: Array, y: Array, soft: float) -> Array:
    """The share of hair at these azimuths and heights: 1 above the hairline, 0 below, and a ramp of `soft` units."""
    return smoothstep(hairline(person, azimuth) - y, -0.5 * soft, soft)


def hair_hang(person: Person, azimuth: Array, y: Array) -> Array:
    """How far long hair holds the surface away from the neck, 0..1. It changes slowly, because the columns are few."""
    length = person.hair.length
    if length <= 0.5:
        return np.zeros(np.broadcast(azimuth, y).shape, np.float32)
    hang: Array = smoothstep(np.abs(azimuth), 0.75, 1.65) * (1 - smoothstep(y, length - 0.1, length + 0.25))
    return hang


def under_jaw(person: Person, azimuth: Array, y: Array) -> Array:
    """0 on the head, 1 on the neck."""
    k = person.skull
    s, c = np.abs(np.sin(azimuth)), np.cos(azimuth)
    line = k.chin - (k.chin - k.corner) * np.where(c > 0, s, 1) ** k.square - 0.15 * smoothstep(-c, 0.0, 0.6)
    return smoothstep(y, line - 0.07, line + 0.13)


def surface(person: Person, azimuth: Array, row: Array, lumps: Array | float = 0.0) -> tuple[Array, Array]:
    """Points (3, ...) of the neutral head at these azimuths (radians) and rows, and the front plane's (2, ...) x and y.

    lumps: the relative change of the hair's thickness at each point.
    """
    k, h = person.skull, person.hair
    y, cap, lift = height(person, row)
    x, z = section(person, azimuth, y)
    x, z = x * cap, z * cap
    front = np.stack(np.broadcast_arrays(x, y))
    s, c = np.sin(azimuth), np.cos(azimuth)
    z = z + relief(person, x, y) * smoothstep(c, 0.05, 0.45)
    # Under the jaw line the head becomes the neck, except behind hanging hair.
    hanging = hair_hang(person, azimuth, y)
    under = under_jaw(person, azimuth, y) * (1 - hanging)
    x = x + under * (k.neck * (1 + 0.25 * smoothstep(y, 1.4, 2.0)) * s - x)
    z = z + under * (k.neck * 1.1 * c - 0.14 + 0.1 * (y - 1.2) - z)
    ear = (
        np.exp(-(((np.abs(np.degrees(azimuth)) - 93) / 6.5) ** 4))
        * smoothstep(y, -0.12, -0.02)
        * (1 - smoothstep(y, 0.5 * k.ear, k.ear + 0.1))
    )
    cover = hair_cover(person, azimuth, y, 0.5 if h.length > 0.5 else 0.1)
    x = x + np.sign(s) * k.ear_out * ear * (1 - hanging)
    thick = (h.sides + (h.top - h.sides) * smoothstep(-y, 0.2, 0.9)) * cover * (1 + lumps)
    x, z = x + thick * s * (0.35 + 0.65 * cap), z + thick * c * (0.35 + 0.65 * cap)
    return np.stack([x, np.broadcast_to(y - h.top * (1 + lumps) * lift * cover, x.shape), z]).astype(np.float32), front


def displacements(person: Person, azimuth: Array, x: Array, y: Array) -> Array:
    """(SHAPES - 1, 3, ...): how far a point at the front plane's (x, y) moves for one unit of jaw, smile and brow."""
    k, e, m = person.skull, person.eyes, person.mouth
    a, side = np.abs(x), np.sign(x)
    front = smoothstep(np.cos(azimuth), 0.0, 0.5)
    jaw = np.clip((y - m.y) / LIP, 0, 1) * (1 - smoothstep(y, k.chin + 0.06, k.chin + 0.5)) * front
    corner = bump(a, y, (m.width, m.y), (0.16, 0.13)) * front
    cheek = bump(a, y, (0.44, 0.26), (0.2, 0.17)) * front
    brow = bump(a, y, (e.x, e.y - person.brows.height), (0.34, 0.13)) * front
    none = np.zeros_like(jaw)
    return np.stack(
        [
            np.stack([none, jaw, -0.3 * jaw]),
            np.stack(
                [side * (0.065 * corner + 0.01 * cheek), -0.05 * corner - 0.03 * cheek, 0.035 * cheek - 0.03 * corner]
            ),
            np.stack([none, -0.075 * brow, 0.02 * brow]),
        ]
    ).astype(np.float32)


def coefficients(view: View) -> Array:
    """(SHAPES,) weights: of the neutral head, and of each displacement."""
    return np.array((1.0, view.jaw, view.smile, view.brow), np.float32)


def projection(view: View) -> tuple[Array, Array]:
    """(2, 3) matrix and (2,) offset of an orthographic camera: pixel = matrix @ point + offset."""
    return view.rotation()[:2] * np.float32(view.scale), np.array((view.x, view.y), np.float32)


@lru_cache(maxsize=4096)
def _landmark_shapes(person: Person) -> Array:
    """(SHAPES, 3 * 5): the five points of the neutral head, and how each expression moves them."""
    e, n, m = person.eyes, person.nose, person.mouth
    corner = m.y + m.corners
    x = np.array((-e.x, e.x, n.bend, -m.width, m.width))
    y = np.array((e.y, e.y, n.tip, corner, corner))
    azimuth = np.arcsin(x)
    for _ in range(30):
        # Newton's method, with the slope of a circle, finds the azimuth at which the plain section has this x.
        azimuth = azimuth + (x - section(person, azimuth, y)[0]) / (0.9 * np.cos(azimuth))
    points, front = surface(person, azimuth, row_of(y))
    return np.concatenate([points[None], displacements(person, azimuth, front[0], front[1])]).reshape(SHAPES, -1)


def landmarks(person: Person, view: View) -> NDArray[np.float32]:
    """(5, 2) float32 pixels (x right, y down) in the order of `photograph.LANDMARKS`, exact for the drawn head."""
    points = (coefficients(view) @ _landmark_shapes(person)).reshape(3, 5)
    matrix, offset = projection(view)
    pixels: NDArray[np.float32] = (matrix @ points).T + offset
    return pixels
