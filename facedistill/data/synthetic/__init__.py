"""Faces drawn by NumPy and OpenCV. A person stays the same while pose, light, expression and camera change."""

from __future__ import annotations

from facedistill.data.synthetic.head import landmarks
from facedistill.data.synthetic.person import Person, person
from facedistill.data.synthetic.render import draw, encode
from facedistill.data.synthetic.source import SyntheticParams, SyntheticSource
from facedistill.data.synthetic.view import View, attributes, view

__all__ = [
    "Person",
    "SyntheticParams",
    "SyntheticSource",
    "View",
    "attributes",
    "draw",
    "encode",
    "landmarks",
    "person",
    "view",
]
