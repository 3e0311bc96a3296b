"""All that a report needs to know about a repository, read from its files once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from facedistill.grid.layout import Layout
from facedistill.params import PARAMS_FILE, load, read
from facedistill.results.budget import Budget
from facedistill.results.metrics import Results
from facedistill.results.names import Labels
from facedistill.results.paper import Paper
from facedistill.results.provenance import Heading, Provenance
from facedistill.results.verdicts import CLAIMS, Findings, load_findings


@dataclass(frozen=True)
class Reading:
    """The files of a repository that a report is written from.

    Each part is read when it is first used, and kept: later changes of its file have no effect. Git keeps all of these
    files; crops, models and rows are not read here. Every part raises ParamsError, and the parts that read reports/
    raise MissingResultError, if a file lacks what the parameters ask for.

    root: the top of the repository.
    """

    root: Path

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """The whole parameter file, as it is written."""
        return read(self.root / PARAMS_FILE)

    @cached_property
    def layout(self) -> Layout:
        """The tables that the parameters ask for."""
        return Layout.read(self.root / PARAMS_FILE)

    @cached_property
    def labels(self) -> Labels:
        """The names of recipes in tables and plots."""
        file = self.root / PARAMS_FILE
        labels = load(dict[str, dict[str, str | None]], "labels", file)
        return Labels(self.layout, labels, load(Heading, "report", file).own)

    @cached_property
    def paper(self) -> Paper:
        """The numbers that the papers print."""
        return Paper()

    @cached_property
    def results(self) -> Results:
        """Every metric of every cell."""
        return Results(self.layout, self.root)

    @cached_property
    def provenance(self) -> Provenance:
        """The data and the training behind the numbers, from DATASETS, which `write_datasets` writes."""
        return Provenance.read(self.layout, self.root)

    @cached_property
    def found(self) -> Findings:
        """The verdict on each claim, from CLAIMS, which `save` writes."""
        return load_findings(self.root / CLAIMS)

    @cached_property
    def beside(self) -> Mapping[str, Findings]:
        """The verdicts of the kept reports that `report.beside` names, by their names."""
        names = load(Heading, "report", self.root / PARAMS_FILE).beside
        return {name: load_findings(self.root / "reports" / name / CLAIMS.name) for name in names}

    @cached_property
    def budget(self) -> Budget:
        """What each recipe costs to train."""
        return Budget(self.layout, self.values, self.provenance.of("classification").train)
