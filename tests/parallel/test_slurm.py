"""`stages.lanes` in jobs of a real Slurm, which this test starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import slurm
from machines import ROOT, grid, left, wait_until
from toy_repository import dvc

SETTINGS = """\
jobqueue:
  slurm:
    memory: 1GB
    walltime: "00:10:00"
    interface: lo
    log-directory: {folder}
"""


@pytest.mark.skipif(
    not all(slurm.PROGRAMS.values()) or os.geteuid() != 0,
    reason="no Slurm that root can start: apt-get install slurm-wlm munge",
)
def test_a_grid_in_jobs_of_slurm_is_that_of_dvc_repro(tmp_path: Path) -> None:
    shared, alone = grid(tmp_path / "shared", width=2, depth=1), grid(tmp_path / "alone", width=2, depth=1)
    (tmp_path / "dask").mkdir()
    (tmp_path / "dask/jobqueue.yaml").write_text(SETTINGS.format(folder=tmp_path))
    (tmp_path / "slurm").mkdir()
    with slurm.cluster(tmp_path / "slurm") as environment:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        more = {"DASK_CONFIG": str(tmp_path / "dask"), "PYTHONPATH": str(ROOT), "PATH": path}
        command = [sys.executable, "-m", "stages.lanes", "1", "--slurm", "2"]
        done = subprocess.run(
            command, cwd=shared, env=os.environ | environment | more, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stdout + done.stderr
        wait_until(lambda: not slurm.asked(environment, "squeue", "--noheader").strip())
    assert done.stdout.splitlines()[-1].startswith("7 stages in ")
    dvc(alone, "repro", "-q")
    assert (shared / "dvc.lock").read_bytes() == (alone / "dvc.lock").read_bytes()
    assert len(list(tmp_path.glob("dask-worker-*"))) == 2, "the log of each job"
    assert not left(shared)
