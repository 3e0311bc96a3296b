"""Paints a head: skin, lips, brows, beard and hair, as linear RGB over (azimuth, row)."""

from __future__ import annotations

from collections.abc import Iterable
from math import log

import cv2
import numpy as np

from facedistill.data.synthetic.head import (
    AZIMUTHS,
    ROWS,
    Array,
    bump,
    hair_cover,
    hair_hang,
    hairline,
    smoothstep,
    under_jaw,
)
from facedistill.data.synthetic.person import Person

SHAPE = (len(AZIMUTHS), ROWS)


def cloud(rng: np.random.Generator, cells: tuple[int, int], octaves: int = 1) -> Array:
    """Smooth noise over the head, with mean 0 and standard deviation about 1. cells: along azimuth and along rows."""
    total = np.zeros(SHAPE, np.float32)
    for i in range(octaves):
        grid = rng.standard_normal((cells[0] << i, cells[1] << i), dtype=np.float32)
        total += cv2.resize(grid, SHAPE[::-1], interpolation=cv2.INTER_CUBIC) * 0.6**i
    return total


def strands(rng: np.random.Generator, curl: float) -> Array:
    """Noise that is stretched along the hair: straight down the head, or in waves if the hair curls."""
    fine = cv2.resize(rng.standard_normal((SHAPE[0], 14), dtype=np.float32), SHAPE[::-1], interpolation=cv2.INTER_CUBIC)
    locks = cv2.resize(rng.standard_normal((60, 7), dtype=np.float32), SHAPE[::-1], interpolation=cv2.INTER_CUBIC)
    curls = cloud(rng, (44, 44))
    return (0.7 * fine + 0.6 * locks) * (1 - curl) + 1.2 * curls * curl


def lay(planes: list[Array], over: Iterable[Array | float], share: Array) -> None:
    """Blend a colour, or an image of three planes, over `planes` in place, with the opacity `share`."""
    for plane, value in zip(planes, over, strict=True):
        plane += (value - plane) * share


def darken(planes: list[Array], share: Array) -> None:
    """Remove `share` of the light, in place."""
    for plane in planes:
        plane *= 1 - share


def lips(person: Person, x: Array, y: Array) -> Array:
    """Opacity of the lips at the front plane's (x, y)."""
    m = person.mouth
    t = np.clip(np.abs(x) / m.width, 0, 1)
    line = m.y + m.corners * t**2
    bow = 1 - 0.45 * m.bow * np.exp(-((t / 0.16) ** 2))
    upper = m.upper * (1 - t**2.2) * bow * 1.15 + 0.004
    lower = m.lower * (1 - t**2.0) * 1.05 + 0.004
    soft = 0.018
    inside: Array = smoothstep(y, line - upper - soft, line - upper + soft) * (
        1 - smoothstep(y, line + lower - soft, line + lower + soft)
    )
    inside *= 1 - smoothstep(np.abs(x), m.width - 0.01, m.width + 0.02)
    return inside


def brows(person: Person, x: Array, y: Array) -> Array:
    """Opacity of the eyebrows at the front plane's (x, y)."""
    b, e = person.brows, person.eyes
    a = np.abs(x)
    t = np.clip((a - b.inner) / (b.outer - b.inner), -0.2, 1.2)
    middle = e.y - b.height - b.arch * (1 - (2 * t - 1.25) ** 2) - b.tilt * (t - 0.5) * 0.22
    half = b.thickness * (1.1 - 0.65 * np.clip(t, 0, 1) ** 1.5)
    body: Array = 1 - smoothstep(np.abs(y - middle), 0.55 * half, 1.25 * half)
    body *= smoothstep(t, -0.08, 0.08) * (1 - smoothstep(t, 0.9, 1.05)) * b.density
    return body


def beard(person: Person, x: Array, y: Array, front: Array) -> Array:
    """Opacity of the beard at the front plane's (x, y)."""
    h, k, m, n = person.hair, person.skull, person.mouth, person.nose
    a = np.abs(x)
    edge = m.y - 0.10 + 0.16 * np.exp(-(((a - 0.33) / 0.16) ** 2)) - 0.75 * smoothstep(a, 0.5, 0.74)
    cheek = h.cheek * smoothstep(y, edge - 0.09, edge + 0.09) * smoothstep(a, 0.12, 0.34)
    chin = h.goatee * smoothstep(y, m.y + m.lower + 0.02, m.y + m.lower + 0.09) * (1 - smoothstep(a, 0.24, 0.42))
    moustache = (
        h.moustache
        * smoothstep(y, n.tip + 0.09, n.tip + 0.14)
        * (1 - smoothstep(y, m.y + 0.01, m.y + 0.12))
        * (1 - smoothstep(a, m.width * 0.95, m.width * 1.2))
    )
    whole: Array = np.maximum(np.maximum(cheek, chin), moustache) * (1 - smoothstep(y, k.chin + 0.02, k.chin + 0.16))
    whole *= (1 - lips(person, x, y)) * smoothstep(front, 0.0, 0.15)
    return whole


def paint(person: Person, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Albedo and gloss (columns, rows, 4) and height of bumps (columns, rows) at the front plane's (x, y)."""
    e, n, m, s, h = person.eyes, person.nose, person.mouth, person.skin, person.hair
    azimuth = AZIMUTHS[:, None]
    a, front = np.abs(x), np.cos(azimuth)
    face = smoothstep(front, 0.0, 0.3)
    tone = np.asarray(s.colour, np.float32)
    blood = (0.95, 0.68, 0.66)

    redness = 0.25 * s.blotches * cloud(rng, (14, 14), 2)
    redness += (
        (0.15 + 0.8 * s.flush)
        * face
        * (bump(a, y, (0.42, 0.32), (0.22, 0.18)) + 0.8 * bump(a, y, (0, n.tip), (0.14, 0.12)))
    )
    shade = 1 + 0.035 * s.blotches * cloud(rng, (24, 24), 2)
    flushed = np.clip(redness, -1, 2.5)
    colour = [t * np.exp(log(b) * flushed) * shade for t, b in zip(tone, blood, strict=True)]

    # Marks on the skin.
    if s.freckles:
        where = smoothstep(cloud(rng, (110, 100)), 1.0, 1.6) * bump(a, y, (0.25, 0.2), (0.5, 0.33)) * face
        lay(colour, tone * (0.55, 0.42, 0.36), 0.8 * s.freckles * where)
    for mx, my, size in s.moles:
        lay(colour, tone * 0.25, 0.9 * np.exp(-((((x - mx) ** 2 + (y - my) ** 2) / size**2) ** 2)) * face)
    bags = bump(a, y, (e.x - 0.02, e.y + 0.13), (0.15, 0.045)) * s.age**0.5 * e.bag
    darken(colour, 0.3 * np.clip(bags, 0, 1) * face)
    lines = np.exp(-((np.sin((y + 0.05 * a**2) * 42) / 0.35) ** 2)) * bump(a, y, (0, -0.47), (0.42, 0.16))
    crow = np.exp(-((np.sin((y - e.y) * 55 + a * 6) / 0.4) ** 2)) * bump(a, y, (e.x + 0.24, e.y + 0.02), (0.07, 0.1))
    wrinkle = max(s.age - 0.35, 0) * (lines + crow) * face
    darken(colour, 0.35 * wrinkle)

    # Eyelids (the crease over the eye and the shade along it), nostrils, and the corners of the nose.
    lid = e.y - 1.2 * e.height * (1 - np.clip((a - e.x) / (1.15 * e.width), -1, 1) ** 2) - e.tilt * (a - e.x) - e.crease
    crease = (
        np.exp(-(((y - lid) / 0.014) ** 2)) * (1 - smoothstep(np.abs(a - e.x), 0.9 * e.width, 1.25 * e.width)) * e.fold
    )
    darken(colour, 0.5 * crease * face)
    lay(colour, tone * 0.06, 0.9 * face * bump(np.abs(x - n.bend), y, (0.55 * n.wings, n.tip + 0.078), (0.042, 0.024)))
    darken(colour, 0.3 * face * bump(a, y, (n.wings + 0.035, n.tip + 0.03), (0.025, 0.06)))

    mouth = lips(person, x, y) * face
    red = tone * (1 - 0.3 * m.red) * np.array((0.95, 0.58 - 0.2 * m.red, 0.58 - 0.12 * m.red), np.float32)
    lay(colour, red, mouth * (0.55 + 0.4 * min(m.red, 1)))
    line = m.y + m.corners * np.clip(a / m.width, 0, 1) ** 2
    slit = np.exp(-(((y - line) / 0.013) ** 2)) * (1 - smoothstep(a, m.width - 0.02, m.width + 0.02)) * face
    lay(colour, tone * (0.16, 0.08, 0.08), 0.85 * slit)
    back = np.abs(np.degrees(azimuth)) - 8 * (y - 0.1)
    ear = bump(back, y, (91, 0.1), (3.2, 0.11)) + 0.5 * bump(back, y, (85.5, 0.1), (1.5, 0.2))
    darken(colour, 0.6 * np.clip(ear, 0, 1))

    # Hair of every kind.
    fibre = strands(rng, h.curl)
    grain = cloud(rng, (128, 120))
    dark = np.asarray(h.colour, np.float32) * 0.75
    brow = brows(person, x, y) * face * np.clip(0.85 + 0.25 * grain, 0, 1)
    lay(colour, dark * 0.8, brow)
    stubble = beard(person, x, y, front)
    lay(colour, dark, np.clip(stubble * (0.9 + 0.25 * grain), 0, 0.96))
    edge = hairline(person, azimuth) + 0.035 * fibre - y
    cover = smoothstep(edge, -0.02, 0.04 if h.density == 1 else 0.12) * h.density
    hang = smoothstep(hair_hang(person, azimuth, y) + 0.05 * fibre, 0.12, 0.3) * under_jaw(person, azimuth, y)
    cover = np.maximum(cover, hang)
    locks = np.clip(1 + 0.32 * fibre, 0.25, 2.2) * (0.6 + 0.4 * smoothstep(np.abs(edge), 0.0, 0.12))
    lay(colour, (c * locks for c in h.colour), np.clip(cover * (1 + 0.2 * grain * (h.density < 1)), 0, 1))
    shadow = hair_cover(person, azimuth, y - 0.06, 0.06) * (1 - cover) * min(8 * h.top, 1)
    darken(colour, 0.35 * shadow)

    gloss = s.gloss * (0.35 + 0.65 * face * (bump(a, y, (0, 0.1), (0.15, 0.5)) + bump(a, y, (0.1, -0.5), (0.4, 0.25))))
    gloss = np.clip(gloss + 0.7 * mouth, 0, 1.5) * (1 - np.clip(stubble + brow, 0, 1)) * (1 - cover) + 0.5 * cover
    bumps = (
        0.010 * cover * fibre
        - 0.012 * wrinkle
        + 0.002 * stubble * grain
        + 0.0005 * cloud(rng, (110, 100)) * (1 - cover)
    )
    return np.clip(cv2.merge([*colour, gloss]), 0.002, 1.5), bumps
