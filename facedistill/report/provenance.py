"""What stands behind the numbers: which photographs, how many, how long the training, which seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from facedistill.data.shards import Crops
from facedistill.params import PARAMS_FILE, load, params, read
from facedistill.paths import CROPS

KINDS = {
    "synthetic": "synthetic faces",
    "casia": "CASIA-WebFace",
    "celeba": "CelebA",
    "lfw": "LFW",
    "table": "photographs listed in a table",
}
TITLES = {"classification": "Data", "alignment": "Data", "lfw": "Pairs"}
PAPERS = {"classification": "casia", "alignment": "celeba", "lfw": "lfw"}
"""The kind of source that the paper used in each place."""


@params
class Heading:
    """title: of the report. note: a sentence under it, for instance that all this is a demo."""

    title: str
    note: str = ""


@dataclass(frozen=True)
class Dataset:
    """A data set as it was trained and tested on. size: side of a crop in pixels. pairs: 0 for none."""

    name: str
    kind: str
    people: int
    train: int
    test: int
    pairs: int
    size: int

    @classmethod
    def read(cls, name: str, kind: str, crops: Path = CROPS) -> Dataset:
        """From the folder of crops of that name. Raises DataError where it is not there."""
        train, test = Crops(crops / name, "train"), Crops(crops / name, "test")
        pairs = pq.read_metadata(crops / name / "pairs.parquet").num_rows if name == "lfw" else 0
        return cls(name, kind, len(test.classes), len(train), len(test), pairs, test.size)

    def __str__(self) -> str:
        if self.pairs:
            photographs = f"{self.pairs:,} pairs of {self.test:,} photographs of people nobody trained on"
        else:
            photographs = f"{self.people:,} people, {self.train:,} training and {self.test:,} test photographs"
        paper = PAPERS[self.name]
        warning = "" if self.kind == paper else f"; not {KINDS[paper]}"
        return f"{KINDS[self.kind]}, {photographs}, crops of {self.size} px{warning}"


@dataclass(frozen=True)
class Provenance:
    """heading: what the profile says of itself. training: a sentence on epochs and seed."""

    heading: Heading
    datasets: dict[str, Dataset]
    training: str

    @classmethod
    def read(cls, path: Path = PARAMS_FILE, crops: Path = CROPS) -> Provenance:
        """From a parameter file and the folders of crops."""
        values = read(path)
        datasets = {name: Dataset.read(name, values["datasets"][name]["source"]["kind"], crops) for name in PAPERS}
        student, teacher = values["rates"], values["teacher"]["rates"]
        training = (
            f"Students: {_rate(student['scratch'])} from random weights, {_rate(student['initialised'])} from given "
            f"ones; teacher: {_rate(teacher['scratch'])}, then {_rate(teacher['initialised'])} for another task. "
            f"Seed {values['seed']}."
        )
        return cls(load(Heading, "report", path), datasets, training)

    def caption(self, *names: str) -> str:
        """The line under a table: the data sets that its numbers come from, and the training."""
        data = " ".join(f"{TITLES[name]}: {self.datasets[name]}." for name in names)
        return f"<sub>{data} {self.training}</sub>"


def _rate(rate: dict[str, object]) -> str:
    epochs = rate["epochs"]
    return f"{epochs} epoch{'' if epochs == 1 else 's'} at {rate['learning_rate']}"
