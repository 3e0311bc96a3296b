"""Crop the faces of one data set from its photographs and pack them into shards."""

from __future__ import annotations

import argparse

from facedistill.data.align_crop import align_crop
from facedistill.data.dataset import DatasetParams
from facedistill.params import load
from facedistill.paths import CROPS, MANIFESTS
from stages.common import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="a key of `datasets` in params.yaml")
    name = parser.parse_args().dataset
    align_crop(load(DatasetParams, f"datasets.{name}"), MANIFESTS / name, CROPS / name)


if __name__ == "__main__":
    run(main)
