"""The numbers that the papers print, beside which the report shows those of here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files


class Paper:
    """The numbers that the papers print: the main one on CASIA-WebFace, CelebA and LFW, half of its table 2 on
    MS-Celeb-1M, the poster on CASIA-WebFace, LFW and photographs of its own. In percent, but the cost: milliseconds, MB
    and millions of multiply-adds."""

    def __init__(self) -> None:
        self._tables = json.loads(files(__package__).joinpath("paper.json").read_text(encoding="utf-8"))

    def get(self, *path: str) -> float | None:
        """The number at this place of paper.json; None where the papers have none."""
        value = self._tables
        for name in path:
            if not isinstance(value, Mapping) or name not in value:
                return None
            value = value[name]
        return float(value) if isinstance(value, int | float) else None
