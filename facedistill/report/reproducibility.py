"""The page's section on where the numbers come from: parameters, data and models, with their hashes."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import yaml

from facedistill.files import write_json
from facedistill.grid.cells import cells, teacher
from facedistill.grid.layout import Layout
from facedistill.params import check, params
from facedistill.results.markdown import table
from facedistill.results.metrics import read_json
from facedistill.results.reading import Reading

TRAINED = Path("reports/models.json")
"""What the page says about each model. Git keeps this file, and not the models themselves."""

IDLE = ("loader", "processes", "snapshots")
"""Sections of the parameter file that no stage depends on."""

SHOWN = 12
"""The number of digits of a hash that the page shows."""


@params
class Trained:
    """The record of a trained model.

    revision: the git revision that trained it; None outside git.
    sha256: the hash of its weights.
    seed: the seed of its training.
    """

    revision: str | None
    sha256: str
    seed: int


def write_trained(layout: Layout, root: Path) -> None:
    """Write TRAINED of a repository, from the record beside each model. Raises MissingResultError if one is missing."""
    found = {}
    for model in [*(teacher(task) for task in layout.tasks), *(cell.model for cell in cells(layout))]:
        # Read as plain JSON, because the module that loads models imports torch, which takes seconds.
        record = read_json(root / model / "model.json", None)
        found[str(model)] = asdict(Trained(record["git_revision"], record["sha256"], record["seed"]))
    write_json(root / TRAINED, found)


def origin(reading: Reading) -> str:
    """What is known of where the numbers come from, in Markdown.

    Raises MissingResultError if TRAINED is missing, or ParamsError if it holds something else.
    """
    file, provenance = reading.root / TRAINED, reading.provenance
    models: dict[str, Trained] = check(dict[str, Trained], read_json(file, "report"), str(file))
    revisions = Counter(_short(model.revision) for model in models.values())
    told = ", ".join(f"{revision} ({count})" for revision, count in revisions.items())
    parameters = {name: value for name, value in reading.values.items() if name not in IDLE}
    return "\n\n".join(
        [
            "`dvc.lock` has the hashes of every stage's code, parameters, data and outputs. This page is one of these "
            "outputs, so it cannot give the hash of `dvc.lock`, or the revision that it is committed in. The page does "
            "not say on which machine a network was trained, or how long that took.",
            "### Data",
            table(
                ["Set", "What", "sha256 of its crops"],
                [[f"`{name}`", d.line(None), _short(d.sha256)] for name, d in provenance.datasets.items()],
                names=3,
            ),
            provenance.training,
            "### Models",
            f"{len(models)} models, by the git revision that trained them: {told}.",
            table(
                ["Model", "Seed", "Trained at revision", "sha256 of its weights"],
                [[f"`{name}`", str(m.seed), _short(m.revision), _short(m.sha256)] for name, m in models.items()],
                names=4,
            ),
            "### Parameters",
            f"All of `params.yaml`, except `{'`, `'.join(IDLE)}`, on which no stage depends.",
            f"```yaml\n{yaml.safe_dump(parameters, sort_keys=False, allow_unicode=True, width=100).strip()}\n```",
        ]
    )


def _short(digest: str | None) -> str:
    return "–" if digest is None else f"`{digest[:SHOWN]}`"
