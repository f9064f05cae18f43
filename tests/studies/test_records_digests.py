from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache import precompute
from flow_cache.estimators import DenseInverseSearch
from slimdp.config import DataSource, TrainConfig
from slimdp.motion import ExactMotion, FlowMotion
from slimdp.studies.records import changes, describe_run, picture_digests, pictures_digest


@pytest.fixture
def config(base_config: TrainConfig, tmp_path: Path) -> TrainConfig:
    """A run on two pictures, and a store of exact flow."""
    (tmp_path / "exact").mkdir()
    for name in ("a.png", "b.png", "exact/one.h5"):
        (tmp_path / name).write_bytes(name.encode())
    content = {"images": [{"file_name": "b.png"}, {"file_name": "a.png"}], "annotations": []}
    (tmp_path / "labels.json").write_text(json.dumps(content))
    source = DataSource(annotations=str(tmp_path / "labels.json"), images=str(tmp_path))
    stages = tuple(stage.replace(data=(source,)) for stage in base_config.stages)
    return base_config.replace(stages=stages, motion=ExactMotion(exact=str(tmp_path / "exact")))


def test_pictures_and_flow_are_known_by_names_and_sizes(config: TrainConfig, tmp_path: Path) -> None:
    there = describe_run(config)
    assert len(there.pictures) == 2
    os.utime(tmp_path / "a.png", ns=(1, 1))  # a copy of the data has other times
    assert changes(there, describe_run(config)) == []
    (tmp_path / "c.png").write_text("a picture that the labels do not name")
    assert changes(there, describe_run(config)) == []
    (tmp_path / "a.png").write_text("larger than it was")
    (line,) = changes(there, describe_run(config))
    assert line.startswith(f"pictures of {tmp_path / 'labels.json'} in {tmp_path}: ")
    (tmp_path / "exact" / "two.h5").write_text("more flow")
    assert len(changes(there, describe_run(config))) == 2
    # What an older sweep took no note of, and what is not there, does not count.
    assert changes(there.replace(pictures={}), describe_run(config)) == []
    (tmp_path / "labels.json").unlink()
    assert not any(line.startswith("pictures") for line in changes(there, describe_run(config)))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": [3]}'])
def test_labels_that_cannot_be_read_have_no_pictures(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.json").write_text(text)
    assert pictures_digest(tmp_path / "labels.json", tmp_path) is None


def test_a_store_of_flow_is_known_by_its_fields(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "walk").mkdir()
    for frame in range(4):
        image = np.full((64, 64, 3), 20 * frame, np.uint8)
        cv2.imwrite(str(tmp_path / "walk" / f"{frame}.png"), image)
    store, fast = tmp_path / "flow.h5", DenseInverseSearch("ultrafast")
    config = config.replace(motion=FlowMotion(flow=str(store)))

    def digest() -> str | None:
        return picture_digests(config).get(f"flow in {store}")

    assert digest() is None
    precompute([tmp_path / "walk"], store, (1,), fast, progress=False)
    first = digest()
    assert first is not None
    os.utime(store, ns=(1, 1))
    assert digest() == first
    precompute([tmp_path / "walk"], store, (1, 2), fast, progress=False)
    assert digest() != first
    store.write_text("no store")
    assert digest() is None
