"""A repository after evaluation with tables 1 and 2 alone, and with pairs of unknown people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from report_mock import PARAMS, edit, mock, write_json

from facedistill.paths import METRICS

ALONE: dict[str, Any] = PARAMS | {
    "export": {"models": []},
    "datasets": {
        "classification": {"source": {"kind": "recordio"}},
        "lfw": {"source": {"kind": "bin"}},
        "cfp_fp": {"source": {"kind": "bin"}},
    },
    "evaluation": {"pairs": ["lfw", "cfp_fp"], "far": 0.01},
    "alignment": {"tasks": [], "students": []},
    "verification": {"tasks": [], "students": []},
    "losses": {"students": []},
    "architectures": {"students": []},
    "weighting": {"students": []},
    "proxyless": {"students": [], "margins": []},
    "students": {name: PARAMS["students"][name] for name in ("resnet50-2", "resnet50-4", "resnet50-8")},
}
"""Tables 1 and 2 from RecordIO and .bin files alone."""


def repository(root: Path, params: dict[str, Any]) -> Path:
    """A repository after evaluation of these parameters; people are unknown where the first set is a .bin file."""
    mock(root, params)
    if params["datasets"][params["evaluation"]["pairs"][0]]["source"]["kind"] == "bin":
        edit(root, "teacher.json", lambda m: m.update(identified=False, negatives={"all": 3000}, far=0.01))
        for file in (root / METRICS).rglob("*.json"):
            write_json(file, without_rank1(json.loads(file.read_text())))
    return root


def without_rank1(value: Any) -> Any:
    return {k: without_rank1(v) for k, v in value.items() if k != "rank1"} if isinstance(value, dict) else value
