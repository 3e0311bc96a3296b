"""The parameters of one data set: where it is, how it is split, how faces are cut out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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
class CropParams:
    """method: how a crop is cut, the same at train and test.

    - landmarks: a similarity transform of the five points onto ArcFace's template
    - centre: the largest square in the middle
    - photograph: all of it, squeezed into the square
    - box: a square around the face's box, `margin` of its longer side added at each edge

    size: side of a crop in pixels. quality: of its JPEG.
    """

    method: Literal["landmarks", "centre", "photograph", "box"]
    size: Annotated[int, Field(ge=8, le=1024)]
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    margin: Annotated[float, Field(ge=0)] = 0.2


@params
class DatasetParams:
    """split: null keeps every photograph for testing. bad_share: the share of bad records above which a stage fails."""

    source: SourceParams
    split: SplitParams | None
    crop: CropParams
    bad_share: Annotated[float, Field(ge=0, le=1)] = 0.01
