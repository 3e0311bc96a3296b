"""Measures latency in PyTorch and in ONNX Runtime, on one and two threads, for batches of 1 and 32 photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn

BATCHES, THREADS = (1, 32), (1, 2)
WARM_UP, RUNS, SECONDS = 2, 15, 0.5
"""The number of untimed runs, the most timed runs, and the time after which no new run begins."""

Images = NDArray[np.uint8]


def key(batch: int, threads: int) -> str:
    """The name of a latency in the metrics."""
    return f"batch{batch}_threads{threads}"


def session(file: Path, threads: int = 1) -> ort.InferenceSession:
    """A session that runs an ONNX file on this number of CPU threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def onnx_latency(file: Path, side: int) -> dict[str, float]:
    """Milliseconds for a whole batch, by `key`, of an ONNX file whose input has this side."""
    found = {}
    for threads in THREADS:
        loaded = session(file, threads)
        for batch in BATCHES:
            found[key(batch, threads)] = _median(partial(_run, loaded), batch, side)
    return found


def _run(loaded: ort.InferenceSession, images: Images) -> None:
    loaded.run(None, {"image": images})


@torch.inference_mode()
def torch_latency(module: nn.Module, side: int) -> dict[str, float]:
    """The same for a module that takes uint8 images and is in evaluation mode, on the CPU."""
    found = {}
    for threads in THREADS:
        with _torch_threads(threads):
            for batch in BATCHES:
                found[key(batch, threads)] = _median(lambda images: module(torch.from_numpy(images)), batch, side)
    return found


def _median(run: Callable[[Images], Any], batch: int, side: int) -> float:
    # Noise, because with an image of zeros the output of whole layers would be zero.
    images = np.random.default_rng(0).integers(0, 256, (batch, 3, side, side), dtype=np.uint8)
    for _ in range(WARM_UP):
        run(images)
    times: list[float] = []
    while len(times) < RUNS and sum(times) < SECONDS:
        start = perf_counter()
        run(images)
        times.append(perf_counter() - start)
    return round(1000 * median(times), 4)


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
