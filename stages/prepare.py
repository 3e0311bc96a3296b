"""Read the lists of one data set and write its manifest."""

from __future__ import annotations

import argparse
import sys

from facedistill.agreement import cut_otherwise
from facedistill.data.dataset import DatasetParams
from facedistill.data.prepare import prepare
from facedistill.evaluation.false_accepts import check_far
from facedistill.grid.layout import EvaluationParams
from facedistill.params import PARAMS_FILE, load, read
from facedistill.paths import MANIFESTS
from stages.common import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="a key of `datasets` in params.yaml")
    name = parser.parse_args().dataset
    dataset = load(DatasetParams, f"datasets.{name}")
    prepare(dataset, load(int, "seed"), MANIFESTS / name)
    evaluation = load(EvaluationParams, "evaluation")
    if name == evaluation.pairs[0]:
        check_far(MANIFESTS / name, evaluation.far)
        for said in cut_otherwise(read()):
            print(f"{PARAMS_FILE}: {said}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
