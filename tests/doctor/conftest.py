"""A small rendered set, and copies of it to damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from slimdp.synthetic.dataset import synthesize
from tests.made_once import made_once
from tests.small_sets import small_plan

PLAN = small_plan(stills=2, train_clips=1, val_clips=1, labelled=(0, 2), val_frames=3, val_labelled=(0, 2))


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stills, a training clip and a validation clip; do not change it."""
    return made_once(
        tmp_path_factory, "doctor_set", lambda folder: synthesize(folder, PLAN, seed=3, quiet=True)
    )


@pytest.fixture
def copied(rendered: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copytree(rendered, tmp_path / "set"))
