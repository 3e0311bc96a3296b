"""Faces drawn by numpy and OpenCV: people who stay themselves while pose, light, expression and camera change."""

from __future__ import annotations

from .head import landmarks
from .person import Person, person
from .render import draw, encode
from .source import SyntheticParams, SyntheticSource
from .view import View, attributes, view

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
