"""What stays the same in every photograph of a person. It is drawn at random from (seed, identity) alone.

Lengths are in head units: the eyes are usually 0.67 apart. x points to the right of the image, and y down from the
middle of the head. Colours are linear RGB in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Skull:
    """Half-widths of temples, cheeks and jaw, heights of jaw corner and chin, and how far parts protrude."""

    temples: float
    cheeks: float
    jaw: float
    corner: float
    chin: float
    square: float
    crown: float
    depth: float
    boxy: float
    slope: float
    ridge: float
    cheekbone: float
    fullness: float
    chin_out: float
    chin_width: float
    cleft: float
    neck: float
    ear: float
    ear_out: float


@dataclass(frozen=True, slots=True)
class Eyes:
    """The eye on the right of the image. The other eye is its mirror image. `tilt` lifts the outer corner."""

    x: float
    y: float
    width: float
    height: float
    tilt: float
    almond: float
    iris: float
    colour: Colour
    deep: float
    crease: float
    fold: float
    lash: float
    bag: float


@dataclass(frozen=True, slots=True)
class Brows:
    height: float
    thickness: float
    arch: float
    tilt: float
    inner: float
    outer: float
    density: float


@dataclass(frozen=True, slots=True)
class Nose:
    tip: float
    bridge_out: float
    tip_out: float
    bridge: float
    wings: float
    hump: float
    upturn: float
    bulb: float
    bend: float


@dataclass(frozen=True, slots=True)
class Mouth:
    y: float
    width: float
    upper: float
    lower: float
    bow: float
    corners: float
    out: float
    red: float


@dataclass(frozen=True, slots=True)
class Skin:
    colour: Colour
    blotches: float
    flush: float
    freckles: float
    moles: tuple[tuple[float, float, float], ...]
    age: float
    gloss: float


@dataclass(frozen=True, slots=True)
class Hair:
    """The hair of a head, with its beard.

    length: the height down to which it hangs.
    line: the height of the hairline.
    density: 0 for a bald head, 1 for full hair.
    """

    colour: Colour
    density: float
    line: float
    peak: float
    recession: float
    part: float
    sweep: float
    top: float
    sides: float
    length: float
    curl: float
    cheek: float
    moustache: float
    goatee: float


@dataclass(frozen=True, slots=True)
class Person:
    seed: int
    identity: int
    skull: Skull
    eyes: Eyes
    brows: Brows
    nose: Nose
    mouth: Mouth
    skin: Skin
    hair: Hair


_SKIN = np.array(
    [(0.74, 0.50, 0.40), (0.62, 0.39, 0.27), (0.42, 0.235, 0.14), (0.20, 0.10, 0.06), (0.075, 0.038, 0.026)]
)
_HAIR = np.array(
    [(0.012, 0.010, 0.010), (0.05, 0.028, 0.017), (0.13, 0.07, 0.035), (0.30, 0.19, 0.09), (0.55, 0.40, 0.21)]
)
_RED = np.array((0.28, 0.075, 0.02))
_IRIS = np.array([(0.03, 0.015, 0.008), (0.10, 0.05, 0.02), (0.14, 0.13, 0.05), (0.10, 0.18, 0.14), (0.12, 0.22, 0.38)])


def _along(stops: np.ndarray, at: float) -> np.ndarray:
    """The colour at `at`, 0..1, on the line through the colours `stops`."""
    knots = np.linspace(0, 1, len(stops))
    return np.array([np.interp(at, knots, stops[:, c]) for c in range(3)])


def _colour(values: np.ndarray) -> Colour:
    r, g, b = np.clip(values, 0.003, 0.9).tolist()
    return r, g, b


@lru_cache(maxsize=4096)
def person(seed: int, identity: int) -> Person:
    """Person number `identity` (>= 0) of the population `seed`. The same arguments always give the same person."""
    rng = np.random.default_rng((seed, identity, 0xFACE))

    def near(mean: float, spread: float) -> float:
        return float(mean + spread * np.clip(rng.standard_normal(), -2.2, 2.2))

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def chance(p: float) -> bool:
        return bool(rng.random() < p)

    # Features of real people are correlated: beard, brow ridge and jaw share one latent, and age is another.
    heavy = between(-1, 1)
    age = between(0, 1) ** 1.3
    tone = between(0, 1) ** 1.15

    temples = near(0.79, 0.035)
    cheeks = temples * near(0.985, 0.04)
    chin = near(1.13 + 0.03 * heavy, 0.06)
    skull = Skull(
        temples=temples,
        cheeks=cheeks,
        jaw=cheeks * near(0.88 + 0.04 * heavy, 0.055),
        corner=near(0.62, 0.06),
        chin=chin,
        square=float(np.clip(near(1.75 + 0.45 * heavy, 0.5), 0.95, 3.4)),
        crown=near(0.74, 0.045),
        depth=near(0.93, 0.03),
        boxy=near(2.25, 0.14),
        slope=near(0.10 + 0.05 * heavy, 0.06),
        ridge=near(0.035 + 0.03 * heavy, 0.018),
        cheekbone=near(0.05, 0.028),
        fullness=near(0.0, 0.045),
        chin_out=near(0.05 + 0.02 * heavy, 0.035),
        chin_width=near(0.20 + 0.03 * heavy, 0.04),
        cleft=between(0.4, 1) if chance(0.2) else 0.0,
        neck=near(0.49 + 0.07 * heavy, 0.03),
        ear=near(0.26, 0.025),
        ear_out=near(0.13, 0.045),
    )
    eyes = Eyes(
        x=near(0.335, 0.026),
        y=near(-0.05, 0.03),
        width=near(0.158, 0.014),
        height=near(0.061, 0.013),
        tilt=near(0.06, 0.11),
        almond=between(1.5, 2.8),
        iris=near(0.067, 0.004),
        colour=_colour(_along(_IRIS, np.clip(between(-0.25, 1.1) - 1.1 * max(tone - 0.35, 0), 0, 1)) * near(1, 0.15)),
        deep=near(0.10, 0.035),
        crease=between(0.035, 0.085),
        fold=between(0.1, 1),
        lash=between(0.3, 1) - 0.2 * heavy,
        bag=max(near(0.25 + 0.5 * age, 0.3), 0),
    )
    brows = Brows(
        height=near(0.215 - 0.02 * heavy, 0.032),
        thickness=max(near(0.046 + 0.008 * heavy, 0.013), 0.018),
        arch=near(0.035 - 0.015 * heavy, 0.03),
        tilt=near(0.0, 0.13),
        inner=near(0.13, 0.035),
        outer=near(0.56, 0.035),
        density=between(0.35, 1),
    )
    tip = near(0.41, 0.045)
    nose = Nose(
        tip=tip,
        bridge_out=near(0.12, 0.045),
        tip_out=near(0.285, 0.045),
        bridge=max(near(0.085, 0.02), 0.045),
        wings=near(0.165 + 0.03 * tone, 0.028),
        hump=near(0.0, 0.03),
        upturn=near(0.0, 0.035),
        bulb=near(0.11, 0.02),
        bend=near(0.0, 0.016),
    )
    mouth = Mouth(
        y=tip + near(0.275, 0.03),
        width=near(0.285, 0.032),
        upper=max(near(0.056 + 0.018 * tone - 0.008 * age, 0.015), 0.015),
        lower=max(near(0.084 + 0.02 * tone - 0.01 * age, 0.019), 0.025),
        bow=between(0, 1),
        corners=near(-0.010, 0.016),
        out=near(0.045 + 0.03 * tone, 0.018),
        red=max(near(0.5 - 0.2 * heavy, 0.25), 0.0),
    )
    base = _along(_SKIN, tone)
    base = base * (1 + np.array((0.05, -0.04, -0.07)) * near(0, 1)) * near(1, 0.07)
    moles = tuple(
        (between(-0.62, 0.62), between(-0.6, 1.0), between(0.013, 0.032)) for _ in range(int(rng.poisson(1.6)))
    )
    skin = Skin(
        colour=_colour(base),
        blotches=between(0.2, 1),
        flush=between(0, 1) * (1 - 0.7 * tone),
        freckles=between(0.35, 1) if chance(0.55 * (1 - tone) ** 2) else 0.0,
        moles=moles,
        age=age,
        gloss=between(0.3, 1),
    )

    shade = np.clip(between(0, 1) ** 1.2 - 0.9 * max(tone - 0.3, 0), 0, 1)
    hair_colour = _along(_HAIR, shade) * near(1, 0.12)
    if chance(0.14 * (1 - tone)):
        hair_colour = hair_colour * 0.3 + _RED * 0.7
    grey = np.clip((age - 0.66) * near(2.0, 1.2), 0, 1)
    hair_colour = hair_colour * (1 - grey) + grey * np.array((0.38, 0.37, 0.36)) * near(1, 0.25)
    bald = chance(0.30 * max(heavy, 0) + 0.04)
    buzz = not bald and chance(0.16 + 0.12 * heavy)
    long = not bald and not buzz and chance(0.42 - 0.38 * heavy)
    bearded = chance(0.25 + 0.65 * heavy) and heavy > -0.2
    hair = Hair(
        colour=_colour(hair_colour),
        density=0.0 if bald else between(0.45, 0.8) if buzz else 1.0,
        line=near(-0.70 - 0.03 * heavy, 0.075),
        peak=near(0.03, 0.05),
        recession=between(0, 0.25) * (0.5 + age) * (0.6 + 0.4 * heavy),
        part=between(-0.7, 0.7),
        sweep=0.0 if buzz or chance(0.45) else between(0.05, 0.36),
        top=0.01 if bald or buzz else between(0.06, 0.26),
        sides=0.01 if bald or buzz else between(0.02, 0.14) + 0.06 * long,
        length=between(0.55, 1.5) if long else between(-0.1, 0.3),
        curl=between(0.2, 1) if chance(0.35) else between(0, 0.2),
        cheek=between(0.25, 1) if bearded and chance(0.65) else between(0.0, 0.25) * (heavy > 0),
        moustache=between(0.5, 1) if bearded and chance(0.75) else between(0.0, 0.2) * (heavy > 0),
        goatee=between(0.6, 1) if bearded and chance(0.75) else between(0.0, 0.2) * (heavy > 0),
    )
    return Person(seed, identity, skull, eyes, brows, nose, mouth, skin, hair)
