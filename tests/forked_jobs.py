"""Local jobs of submitit that are forked processes, which have everything imported already."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from submitit.core.submission import process_job
from submitit.core.utils import JobPaths

from tests.forked import Forked


def fork_local_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local jobs are forked until the test ends; they write the files that jobs of submitit write."""
    monkeypatch.setattr("submitit.local.local.start_controller", _start)


def _start(folder: Path, command: str, **_: object) -> Forked:
    return Forked(lambda: _do_job(folder))


def _do_job(folder: Path) -> int:
    number = str(os.getpid())
    places = ("JOB_ID", number), ("NTASKS", "1"), ("NODEID", "0"), ("JOB_NUM_NODES", "1")
    os.environ.update({f"SUBMITIT_LOCAL_{name}": value for name, value in places})
    os.environ.update(SUBMITIT_EXECUTOR="local", SUBMITIT_LOCAL_LOCALID="0", SUBMITIT_LOCAL_GLOBALID="0")
    paths = JobPaths(folder, number, 0)
    for file, number_of_stream in ((paths.stdout, 1), (paths.stderr, 2)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number_of_stream)
    process_job(folder)
    return 0
