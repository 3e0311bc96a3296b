"""The parameters of one data set: where it is, how it is split, how faces are cut out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from facedistill.data.detector import DetectorParams
from facedistill.data.face_crop import CropParams
from facedistill.data.sources import SourceParams
from facedistill.params import params


@params
class SplitParams:
    """by: the unit that stays on one side, an image or a group of images that are nearly alike. test: its share.

    validation: leave the test side out, and split the training side once more in its place: to choose by.
    """

    by: Literal["image", "group"]
    test: Annotated[float, Field(gt=0, lt=1)]
    validation: bool = False


@params
class DatasetParams:
    """split: null keeps every photograph for testing. bad_share: the share of bad records above which a stage fails.

    leave_out: a list of identities to leave out, one a line, `#` before a comment; or none. detector: finds landmarks
    where the source has none; or none.
    """

    source: SourceParams
    split: SplitParams | None
    crop: CropParams
    bad_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    leave_out: Path | None = None
    detector: DetectorParams | None = None
