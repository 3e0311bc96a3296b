"""Where photographs come from: one reader for each form of data. All readers have the interface of `Source`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from facedistill.data.photograph import Source
from facedistill.data.sources.bin_pairs import BinParams, BinSource
from facedistill.data.sources.casia import CasiaParams, CasiaSource
from facedistill.data.sources.celeba import CelebAParams, CelebASource
from facedistill.data.sources.lfw import LfwParams, LfwSource
from facedistill.data.sources.mixed import MixedParams, MixedSource
from facedistill.data.sources.msceleb import MsCelebParams, MsCelebSource
from facedistill.data.sources.photographs import PhotographsParams, PhotographsSource
from facedistill.data.sources.recordio import RecordIOParams, RecordIOSource
from facedistill.data.sources.table import TableParams, TableSource
from facedistill.data.synthetic.source import SyntheticParams, SyntheticSource

SourceParams = Annotated[
    SyntheticParams
    | CasiaParams
    | CelebAParams
    | LfwParams
    | TableParams
    | MsCelebParams
    | RecordIOParams
    | BinParams
    | PhotographsParams
    | MixedParams,
    Field(discriminator="kind"),
]


def open_source(params: SourceParams) -> Source:
    """The reader for these parameters. Nothing is read before `scan`, `read` or `pairs`."""
    match params:
        case SyntheticParams():
            return SyntheticSource(params)
        case CasiaParams():
            return CasiaSource(params)
        case CelebAParams():
            return CelebASource(params)
        case LfwParams():
            return LfwSource(params)
        case TableParams():
            return TableSource(params)
        case MsCelebParams():
            return MsCelebSource(params)
        case RecordIOParams():
            return RecordIOSource(params)
        case BinParams():
            return BinSource(params)
        case PhotographsParams():
            return PhotographsSource(params)
        case MixedParams():
            return MixedSource(params, open_source)
