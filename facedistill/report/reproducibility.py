"""Where the numbers come from, for the page: parameters, data and models, by their hashes."""

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
"""What the page says of each model, which git keeps: the models themselves it does not."""

IDLE = ("loader", "processes", "snapshots")
"""Sections of the parameter file that no stage depends on."""

SHOWN = 12
"""Digits of a hash that the page shows."""


@params
class Trained:
    """A trained model. revision: of the repository when it was trained, None outside git. sha256: of its weights."""

    revision: str | None
    sha256: str
    seed: int


def write_trained(layout: Layout, root: Path) -> None:
    """TRAINED of a repository, from the records beside its models. Raises MissingResultError where one is not there."""
    found = {}
    for model in [*(teacher(task) for task in layout.tasks), *(cell.model for cell in cells(layout))]:
        # Read as JSON: the module of models imports torch, which takes seconds.
        record = read_json(root / model / "model.json", "--pull")
        found[str(model)] = asdict(Trained(record["git_revision"], record["sha256"], record["seed"]))
    write_json(root / TRAINED, found)


def origin(reading: Reading) -> str:
    """In Markdown, all that is known of what the numbers come from.

    Raises MissingResultError, or ParamsError where TRAINED holds something else.
    """
    file, provenance = reading.root / TRAINED, reading.provenance
    models: dict[str, Trained] = check(dict[str, Trained], read_json(file, "report"), str(file))
    revisions = Counter(_short(model.revision) for model in models.values())
    told = ", ".join(f"{revision} ({count})" for revision, count in revisions.items())
    parameters = {name: value for name, value in reading.values.items() if name not in IDLE}
    return "\n\n".join(
        [
            "`dvc.lock` has the hashes of every stage's code, parameters, data and outputs. This page is one of these, "
            "so it cannot name that file's own hash, nor the revision that it is committed in. On which machine a "
            "network was trained and how long that took is not recorded.",
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
            f"Those of `params.yaml`, without `{'`, `'.join(IDLE)}`, on which no stage depends.",
            f"```yaml\n{yaml.safe_dump(parameters, sort_keys=False, allow_unicode=True, width=100).strip()}\n```",
        ]
    )


def _short(digest: str | None) -> str:
    return "–" if digest is None else f"`{digest[:SHOWN]}`"
