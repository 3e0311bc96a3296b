"""How a photograph was taken: pose, expression, light, occlusion and camera, drawn from (seed, identity, index)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import cos, exp, radians, sin

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 178, 218
"""The size of every photograph in pixels, as in aligned CelebA."""


class Glasses(IntEnum):
    NONE = 0
    CLEAR = 1
    DARK = 2


class Occluder(IntEnum):
    NONE = 0
    HAND = 1
    SCARF = 2
    OBJECT = 3


@dataclass(frozen=True, slots=True)
class View:
    """One photograph of one person.

    yaw, pitch, roll: degrees; yaw > 0 turns to the right of the image, pitch > 0 looks up, roll > 0 leans clockwise.
    x, y: the pixel of the head's middle.
    scale: pixels in a head unit.
    jaw: how far the jaw drops, in head units.
    smile: its strength; below 0 a frown.
    brow: how far the brows are raised.
    blink: how far the lids are closed, 0..1.
    gaze: the irises' offset from the middle of the eye, in head units.
    azimuth, elevation: the direction of the key light, in degrees from the camera, to the right of the image and up.
    key, ambient: the strength of the two lights.
    warmth: the colour of the light, from -1 (blue) to 1 (orange).
    clutter: how busy the background is.
    occluder_at, occluder_size: the middle and half extent of the occluder, in head units.
    occluder_angle: in degrees.
    covered: the share of the face that the occluder hides.
    blur: standard deviation in pixels.
    noise: standard deviation in grey levels.
    exposure: gain.
    quality: of the JPEG.
    """

    seed: int
    identity: int
    index: int
    yaw: float
    pitch: float
    roll: float
    x: float
    y: float
    scale: float
    jaw: float
    smile: float
    brow: float
    blink: float
    gaze: tuple[float, float]
    azimuth: float
    elevation: float
    key: float
    ambient: float
    warmth: float
    clutter: float
    glasses: Glasses
    occluder: Occluder
    occluder_at: tuple[float, float]
    occluder_size: float
    occluder_angle: float
    covered: float
    blur: float
    noise: float
    exposure: float
    quality: int

    def rng(self, purpose: int) -> np.random.Generator:
        """A random generator of this photograph for one purpose. It is independent of the one that drew the view."""
        return np.random.default_rng((self.seed, self.identity, self.index, purpose))

    def rotation(self) -> NDArray[np.float32]:
        """The (3, 3) matrix from head to camera axes: x right, y down, z towards the camera."""
        return rotation(self.yaw, self.pitch, self.roll)

    def light(self) -> NDArray[np.float32]:
        """(3,) unit vector towards the key light, in camera axes."""
        a, e = radians(self.azimuth), radians(self.elevation)
        return np.array((sin(a) * cos(e), -sin(e), cos(a) * cos(e)), np.float32)


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float32]:
    """The (3, 3) matrix of yaw, then pitch, then roll, in degrees. It is multiplied out because it is needed often."""
    (sy, cy), (sp, cp), (sr, cr) = ((sin(a), cos(a)) for a in map(radians, (yaw, pitch, roll)))
    across = np.array((cy, 0.0, sy))
    down = np.array((sp * sy, cp, -sp * cy))
    return np.array((cr * across - sr * down, sr * across + cr * down, (-cp * sy, sp, cp * cy)), np.float32)


def clip(value: float, low: float, high: float) -> float:
    return float(min(max(value, low), high))


def view(seed: int, identity: int, index: int, difficulty: float = 1.0) -> View:
    """Photograph `index` of a person. Difficulty 0 is a studio portrait, 1 is in the wild, 2 is the hardest.

    Difficulty scales the spread of pose, light, expression, blur and noise, and the chance of occlusion.
    """
    d = float(difficulty)
    rng = np.random.default_rng((seed, identity, index, 0x71E3))

    def near(spread: float, limit: float) -> float:
        return clip(d * spread * rng.standard_normal(), -limit, limit)

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def chance(p: float) -> bool:
        return bool(rng.random() < min(p * d, 0.9))

    yaw, pitch, roll = near(24, 45), near(9, 25), near(8, 30)
    scale = clip(47 * exp(near(0.12, 0.3)), 35, 57)
    # The middle of the face may be anywhere that keeps the landmarks inside the image.
    face = rotation(yaw, pitch, roll) @ (0.0, 0.3, 0.9) * scale
    margin = 0.85 * scale
    x = clip(WIDTH / 2 + near(14, 40), margin, WIDTH - margin) - float(face[0])
    y = clip(0.52 * HEIGHT + near(12, 40), margin, HEIGHT - margin) - float(face[1])

    talks = chance(0.3)
    jaw = between(0.02, 0.24) * min(d, 1) if talks else 0.0
    smile = clip(near(0.6, 1.2) + 0.15 * min(d, 1), -0.6, 1.2)
    blink = between(0.75, 1.0) if chance(0.06) else max(near(0.18, 0.5), 0.0)
    gaze = (near(0.018, 0.045) - 0.0003 * yaw, near(0.008, 0.016))

    harsh = min(d, 1.6) * between(0, 1)
    glasses = Glasses.NONE
    if chance(0.25):
        glasses = Glasses.DARK if rng.random() < 0.3 else Glasses.CLEAR
    occluder = Occluder(int(rng.integers(1, 4))) if chance(0.25) else Occluder.NONE
    at, size, angle = _place(occluder, rng)
    return View(
        seed=seed,
        identity=identity,
        index=index,
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        x=x,
        y=y,
        scale=scale,
        jaw=jaw,
        smile=smile,
        brow=near(0.45, 1.0),
        blink=blink,
        gaze=gaze,
        azimuth=near(50, 90),
        elevation=clip(25 + near(22, 60), -25, 70),
        key=0.75 + 0.65 * harsh,
        ambient=0.60 - 0.40 * min(harsh, 1),
        warmth=near(0.9, 2.0),
        clutter=min(d, 1.5),
        glasses=glasses,
        occluder=occluder,
        occluder_at=at,
        occluder_size=size,
        occluder_angle=angle,
        covered=covered(occluder, at, size),
        blur=abs(near(0.85, 2.4)),
        noise=1.0 + abs(near(5.0, 16)),
        exposure=exp(near(0.25, 0.5)),
        quality=round(94 - abs(near(22, 60))),
    )


def _place(occluder: Occluder, rng: np.random.Generator) -> tuple[tuple[float, float], float, float]:
    """Middle and half extent (in head units) and angle (in degrees) of an occluder."""
    side = float(rng.choice((-1, 1)))
    x, y, size, angle = (float(v) for v in rng.uniform((0.3, 0.2, 0.22, -40), (0.75, 0.95, 0.5, 40)))
    match occluder:
        case Occluder.NONE:
            return (0.0, 0.0), 0.0, 0.0
        case Occluder.HAND:
            return (side * x, y), 0.55 * size + 0.12, side * (25 + abs(angle))
        case Occluder.SCARF:
            return (0.0, 0.42 + 0.5 * y), 1.2, 0.2 * angle
        case Occluder.OBJECT:
            return (side * x, 1.6 * y - 0.7), size, angle


_FACE = np.stack(np.meshgrid(np.linspace(-0.7, 0.7, 15), np.linspace(-0.5, 1.1, 17)))
_FACE = _FACE[:, np.hypot(_FACE[0] / 0.7, (_FACE[1] - 0.3) / 0.8) <= 1]


def covered(occluder: Occluder, at: tuple[float, float], size: float) -> float:
    """The share of a frontal face (an ellipse from brow to chin) that the occluder hides, to a few percent."""
    if occluder is Occluder.NONE:
        return 0.0
    x, y = _FACE
    hidden = (y > at[1]) if occluder is Occluder.SCARF else np.maximum(abs(x - at[0]), abs(y - at[1])) < 0.9 * size
    return float(np.mean(hidden))


def attributes(view: View) -> dict[str, float]:
    """The attributes of a photograph as numbers: degrees, strengths, kinds (Glasses, Occluder), shares, pixels."""
    return {
        "yaw": view.yaw,
        "pitch": view.pitch,
        "roll": view.roll,
        "scale": view.scale,
        "light_azimuth": view.azimuth,
        "light_elevation": view.elevation,
        "light_strength": view.key,
        "light_ambient": view.ambient,
        "jaw": view.jaw,
        "smile": view.smile,
        "blink": view.blink,
        "glasses": float(view.glasses),
        "occluder": float(view.occluder),
        "occlusion": view.covered,
        "blur": view.blur,
        "noise": view.noise,
        "exposure": view.exposure,
        "quality": float(view.quality),
    }
