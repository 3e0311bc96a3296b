"""The machines of `stages.lanes`: this one, or those of a cluster of Dask that is there or that it starts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, LocalCluster, SSHCluster

SETTINGS = {
    # How many workers may be lost while they run a stage before it counts as failed; Dask's own number is 3.
    "distributed.scheduler.allowed-failures": 10,
    # As Dask comes it looks around 150 times a second, for tasks of milliseconds. Stages take minutes.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500ms",
}


@contextmanager
def connected(asked: argparse.Namespace) -> Iterator[Client]:
    """A client of the cluster that the command line asks for. What was started for it ends with the block."""
    with dask.config.set(SETTINGS):
        if asked.scheduler:
            with Client(asked.scheduler) as client:
                yield client
            return
        with _started(asked) as cluster, Client(cluster) as client:
            yield client


def _started(asked: argparse.Namespace) -> Any:
    if asked.ssh:
        options = {"nthreads": asked.lanes}
        # Dask starts its scheduler on the first.
        return SSHCluster([asked.ssh[0], *asked.ssh], worker_options=options, remote_python=sys.executable)
    if asked.slurm:
        from dask_jobqueue.slurm import SLURMCluster

        cluster = SLURMCluster(cores=asked.lanes, processes=1, python=sys.executable)
        cluster.scale(jobs=asked.slurm)
        return cluster
    # In this process. Its dashboard is all that can be reached, from this machine, and it takes no orders.
    dask.config.set({"distributed.dashboard.link": "http://127.0.0.1:{port}/status"})
    return LocalCluster(
        n_workers=1,
        processes=False,
        threads_per_worker=asked.lanes,
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        silence_logs=50,
    )


def machines(client: Client) -> list[Mapping[str, float]]:
    """The resources of each machine that is there."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return [worker["resources"] for worker in workers if "lane" in worker["resources"]]
