"""What stands behind the numbers: which photographs, how many, how long the training, which seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from facedistill.data.shards import Crops
from facedistill.grid import Layout
from facedistill.params import PARAMS_FILE, load, params, read
from facedistill.paths import CROPS, MANIFESTS
from facedistill.report.results import read_json

KINDS = {
    "synthetic": "synthetic faces",
    "casia": "CASIA-WebFace",
    "celeba": "CelebA",
    "lfw": "LFW",
    "msceleb": "MS-Celeb-1M",
    "folder": "photographs in folders",
    "table": "photographs listed in a table",
    "recordio": "photographs in RecordIO",
    "bin": "photographs in a .bin file",
}
FORMS = ("folder", "table", "recordio", "bin")
"""Kinds that tell how photographs lie on the disk, and not which they are."""

PAPERS = {"classification": "casia", "alignment": "celeba", "lfw": "lfw"}
"""The kind of source behind the papers' numbers, by data set."""


@params
class Heading:
    """title: of the report. note: a sentence under it, for instance that all this is a demo."""

    title: str
    note: str = ""


@dataclass(frozen=True)
class Dataset:
    """A data set as it was trained and tested on. size: side of a crop in pixels. pairs: 0 for none.

    leave_out: the list of identities to leave out, None for none; people_left_out, photographs_left_out: what it took.
    bad: records that could not be used.
    """

    name: str
    kind: str
    people: int
    train: int
    test: int
    pairs: int
    size: int
    leave_out: str | None
    people_left_out: int
    photographs_left_out: int
    bad: int

    @classmethod
    def read(cls, name: str, params: Mapping[str, Any], pairs: bool, root: Path) -> Dataset:
        """From its section of the parameter file and what `prepare` and `align_crop` left below `root`.

        Raises DataError or MissingResultError where that is not there.
        """
        folder = root / CROPS / name
        train, test = Crops(folder, "train"), Crops(folder, "test")
        prepared = read_json(root / MANIFESTS / name / "report.json", f"prepare@{name}")
        cropped = read_json(folder / "report.json", f"align_crop@{name}")
        return cls(
            name=name,
            kind=params["source"]["kind"],
            people=len(test.classes),
            train=len(train),
            test=len(test),
            pairs=pq.read_metadata(folder / "pairs.parquet").num_rows if pairs else 0,
            size=test.size,
            leave_out=params.get("leave_out"),
            people_left_out=prepared["identities_left_out"],
            photographs_left_out=prepared["photographs_left_out"],
            bad=len(prepared["left_out"]) + len(cropped["left_out"]),
        )

    def line(self, paper: str | None) -> str:
        """What it is and how large. paper: the kind of set that the papers' numbers beside are of, None for none."""
        if self.pairs:
            photographs = f"{self.pairs:,} pairs of {self.test:,} photographs of people nobody trained on"
        else:
            photographs = f"{self.people:,} people, {self.train:,} training and {self.test:,} test photographs"
        warning = f"; not {KINDS[paper]}" if paper and self.kind not in (paper, *FORMS) else ""
        return f"{KINDS[self.kind]}, {photographs}, crops of {self.size} px{warning}"

    @property
    def lost(self) -> str:
        """In words, what was left out of it; empty where nothing was, nor was asked for."""
        people, photographs = f"{self.people_left_out:,} people", f"{self.photographs_left_out:,} photographs"
        words = [f"{people} with {photographs}, by {self.leave_out}"] if self.leave_out else []
        if self.bad:
            words.append(
                f"{self.bad:,} bad records, each named in data/manifests or data/crops/{self.name}/report.json"
            )
        return f"Left out of `{self.name}`: {'; '.join(words)}." if words else ""


@dataclass(frozen=True)
class Provenance:
    """heading: what the profile says of itself. training: a sentence on epochs and seed. sets: as in Layout."""

    heading: Heading
    datasets: dict[str, Dataset]
    sets: Mapping[str, str]
    training: str

    @classmethod
    def read(cls, layout: Layout, root: Path = Path()) -> Provenance:
        """From the parameter file, the manifests and the crops of a repository."""
        values = read(root / PARAMS_FILE)
        datasets = {
            name: Dataset.read(name, section, name in layout.pairs, root)
            for name, section in values["datasets"].items()
        }
        rates = [
            rate_in_words(section[name])
            for section in (values["rates"], values["teacher"]["rates"])
            for name in ("scratch", "initialised")
        ]
        training = (
            f"Students: {rates[0]} from random weights, {rates[1]} from given ones; teacher: {rates[2]}, then "
            f"{rates[3]} for another task. Seed {values['seed']}."
        )
        return cls(load(Heading, "report", root / PARAMS_FILE), datasets, layout.sets, training)

    @property
    def corpus(self) -> str:
        """Whose half of the paper's Table 2 stands beside ours: the kind of the classification set."""
        return "msceleb" if self.datasets["classification"].kind == "msceleb" else PAPERS["classification"]

    def caption(self, *names: str, corpus: str = PAPERS["classification"]) -> str:
        """The line under a table: the data sets that its numbers come from, and the training.

        corpus: the kind of classification set that the papers' numbers in the table are of.
        """
        papers = PAPERS | {"classification": corpus}
        data = " ".join(f"{self._title(name)}: {self.datasets[name].line(papers.get(name))}." for name in names)
        return f"<sub>{data} {self.training}</sub>"

    def _title(self, name: str) -> str:
        if name not in self.sets:
            return "Data"
        return f"Pairs, {self.sets[name]}" if len(self.sets) > 1 else "Pairs"


def rate_in_words(rate: Mapping[str, object]) -> str:
    """How long and how fast, of a mapping with `epochs` and `learning_rate`."""
    epochs = rate["epochs"]
    return f"{epochs} epoch{'' if epochs == 1 else 's'} at {rate['learning_rate']}"
