"""Read the lists of one data set and write its manifest."""

from __future__ import annotations

import argparse

from facedistill.data.dataset import DatasetParams
from facedistill.data.prepare import prepare
from facedistill.export.chosen import chosen
from facedistill.grid import Layout
from facedistill.params import PARAMS_FILE, ParamsError, load
from facedistill.paths import LEAVE_OUT, MANIFESTS
from stages.common import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="a key of `datasets` in params.yaml")
    name = parser.parse_args().dataset
    dataset = load(DatasetParams, f"datasets.{name}")
    if dataset.leave_out and LEAVE_OUT not in dataset.leave_out.parents:
        raise ParamsError(
            f"{PARAMS_FILE}: datasets.{name}.leave_out: {dataset.leave_out}; put the list into {LEAVE_OUT}, where `dvc "
            "repro` sees that it has changed"
        )
    # Tables that lack what they need, and exports of no model, are refused here, hours before they would be.
    chosen(Layout.read())
    prepare(dataset, load(int, "seed"), MANIFESTS / name)


if __name__ == "__main__":
    run(main)
