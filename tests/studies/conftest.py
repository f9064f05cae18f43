"""A little study: three rows of a few steps, two of which share their first stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slimdp.config import DataSource, StageSettings, TrainConfig, config_to_dict
from slimdp.settings_file import dump_yaml
from slimdp.studies import Study, read_study
from tests.training.conftest import ellipses, small_run  # noqa: F401

ROWS = {
    "plain": "base: base.yaml\n",
    "fast": "base: base.yaml\nstages: {1: {learning_rate: 2e-2}}\n",
    "other": "base: base.yaml\nstages: {0: {learning_rate: 1e-2}}\n",
}


@pytest.fixture(scope="session")
def labels(ellipses: DataSource) -> DataSource:  # noqa: F811
    """An annotation file of three pictures."""
    return ellipses


@pytest.fixture(scope="session")
def base_config(small_run: TrainConfig, labels: DataSource) -> TrainConfig:  # noqa: F811
    """What the rows have in common."""
    return small_run.replace(
        stages=(
            StageSettings(name="stills", data=(labels,), steps=6, batch=2, learning_rate=3e-2),
            StageSettings(name="clips", data=(labels,), steps=6, batch=2, learning_rate=1.5e-2),
        ),
        ema_decay=0.5,  # so that it scores points at all
        log_every=1,
        checkpoint_every=2,
    )


@pytest.fixture(scope="session")
def make_study(base_config: TrainConfig, labels: DataSource) -> Callable[..., Study]:
    """Writes a study into a folder and reads it."""

    def make(
        folder: Path, rows: dict[str, str] | None = None, seeds: tuple[int, ...] = (0, 1), more: str = ""
    ) -> Study:
        rows = ROWS if rows is None else rows
        folder.mkdir(exist_ok=True)
        (folder / "base.yaml").write_text(dump_yaml(config_to_dict(base_config)))
        for name, text in rows.items():
            (folder / f"{name}.yaml").write_text(text)
        settings = {
            "title": "a little study",
            "rows": {name: f"{name}.yaml" for name in rows},
            "seeds": list(seeds),
            "evaluate": {"annotations": labels.annotations, "images": labels.images},
        }
        (folder / "study.yaml").write_text(dump_yaml(settings) + more)
        return read_study(folder / "study.yaml")

    return make
