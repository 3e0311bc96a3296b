"""The numbers that the papers print. The report shows them in brackets after ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files


class Paper:
    """The numbers that the papers print, from paper.json.

    Wang et al. used CASIA-WebFace, CelebA and LFW, and MS-Celeb-1M for half of table 2. The poster used CASIA-WebFace,
    LFW and photographs of its own. All numbers are in percent, except the costs: milliseconds, MB and millions of
    multiply-adds.
    """

    def __init__(self) -> None:
        self._tables = json.loads(files(__package__).joinpath("paper.json").read_text(encoding="utf-8"))

    def get(self, *path: str) -> float | None:
        """The number at this place of paper.json; None if the papers print none."""
        value = self._tables
        for name in path:
            if not isinstance(value, Mapping) or name not in value:
                return None
            value = value[name]
        return float(value) if isinstance(value, int | float) else None
