"""What is made once for all tests of a run, also where they run in several processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

#: Changes what every fixture renders and trains; no test may lean on how these come out.
TEST_SEED = int(os.environ.get("SLIMDP_TEST_SEED", "0"))


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name` of this run of the tests, made by whoever asks first; nobody may change it.

    `make(folder)` is called with the folder's final place, which is not there yet.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all processes of this run
    folder, done = base / "made_once" / name, base / "made_once" / f"{name}.done"
    folder.parent.mkdir(exist_ok=True)
    with open(folder.with_name(f"{name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make(folder)
            done.touch()
    return folder
