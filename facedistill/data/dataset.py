"""The parameters of one data set: where it is, how it is split, and how its faces are cropped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from facedistill.data.detector import DetectorParams
from facedistill.data.face_crop import CropParams
from facedistill.data.people import PairsParams, PeopleParams
from facedistill.data.sources import SourceParams
from facedistill.params import params


@params
class SplitParams:
    """How photographs are split into a training side and a test side.

    by: the unit that stays on one side: an image, or a group of images that are nearly alike.
    test: the share of the test side.
    validation: leave the test side out and split the training side once more, to choose hyperparameters on.
    fewest: the fewest photographs of a person who is tested. All photographs of people with fewer are for training.
    """

    by: Literal["image", "group"]
    test: Annotated[float, Field(gt=0, lt=1)]
    validation: bool = False
    fewest: Annotated[int, Field(ge=2)] = 2


@params
class DatasetParams:
    """One entry of `datasets` in params.yaml.

    source: where the photographs are, and in which form.
    split: null keeps every photograph for testing.
    crop: how faces are cropped.
    bad_share: the share of bad records above which a stage fails.
    leave_out: a file with identities, or keys of photographs, to leave out, one a line; `#` begins a comment. Or null.
    detector: finds landmarks for photographs that have none. Or null.
    people: holds people out, or takes those who are held out. Or null for everybody.
    pairs: draws verification pairs from the people of the set. Or null.
    """

    source: SourceParams
    split: SplitParams | None
    crop: CropParams
    bad_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    leave_out: Path | None = None
    detector: DetectorParams | None = None
    people: PeopleParams | None = None
    pairs: PairsParams | None = None
