"""A loss and a source of pairs from outside of the package, each one file that a settings file imports."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slimdp.config import ConfigError, TrainConfig, config_from_dict, config_to_dict
from slimdp.losses import LOSSES
from slimdp.motion import PAIR_SOURCES
from slimdp.training import train
from slimdp.training.checkpoint import load_checkpoint
from slimdp.training.run_folder import read_metrics
from tests.extending import FILES


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both files where Python finds them; afterwards the registries are as they were."""
    for name in ("my_entropy.py", "my_shift.py"):
        (tmp_path / name).write_text(FILES[name])
    monkeypatch.syspath_prepend(tmp_path)
    losses, sources = dict(LOSSES), dict(PAIR_SOURCES)
    yield
    for registry, before in ((LOSSES, losses), (PAIR_SOURCES, sources)):
        registry.clear()
        registry.update(before)
    for module in ("my_entropy", "my_shift"):
        sys.modules.pop(module, None)


def test_a_loss_and_a_source_of_pairs_from_outside_train(
    outside: None, small_run: TrainConfig, tmp_path: Path
) -> None:
    values = config_to_dict(small_run) | {
        "imports": ["my_entropy", "my_shift"],
        "loss": {"entropy": {"weight": 0.5, "floor": 0.1}, "equivariance": 1.0},
        "motion": {"kind": "shift", "farthest_px": 8, "propagate": True},
    }
    for stage in values["stages"]:
        stage.pop("loss"), stage.pop("motion")
    config = config_from_dict(values, "outside")
    result = train(config, tmp_path / "run")
    losses = [record for record in read_metrics(tmp_path / "run" / "metrics.jsonl") if "loss/total" in record]
    assert losses
    for record in losses:
        assert 0 < record["loss/stack0/entropy"] < 4
        assert 0 < record["loss/stack0/equivariance"] < 2
    # The checkpoint names both, and reads again where they are imported.
    assert load_checkpoint(result).config == config
    assert config.plain()["loss"]["entropy"] == {"weight": 0.5, "floor": 0.1}
    with pytest.raises(ConfigError, match=r"loss.entropy.flor"):
        config_from_dict({**values, "loss": {"entropy": {"flor": 1}}}, "outside")
    with pytest.raises(ConfigError, match=r"unknown key motion.pixels"):
        config_from_dict({**values, "motion": {"kind": "shift", "pixels": 1}}, "outside")
