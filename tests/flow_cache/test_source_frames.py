"""Where the frames of a store's flow are looked for."""

from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from flow_cache import FlowCacheError, FlowStore, precompute
from flow_cache.source_frames import find_source_frames


@pytest.mark.parametrize("store", ["flow.h5", "stores/flow.h5", "stores/flow/part0.h5"])
def test_an_old_relative_source_is_found_beside_its_store(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a store in a folder of its own, too, and beside one that is a folder of files."""
    (tmp_path / "walk").mkdir()
    rng = np.random.default_rng(0)
    for index in range(2):
        cv2.imwrite(
            str(tmp_path / "walk" / f"{index}.png"), rng.integers(0, 255, (32, 48, 3)).astype(np.uint8)
        )
    file = tmp_path / store
    file.parent.mkdir(parents=True, exist_ok=True)
    precompute([tmp_path / "walk"], file, [1])
    with h5py.File(file, "r+") as content:  # as stores had it before
        content["walk"].attrs["source"] = "walk"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with FlowStore(file.parent if file.name == "part0.h5" else file) as opened:
        record = opened.record("walk")
        assert find_source_frames(record).path.samefile(tmp_path / "walk")
        (tmp_path / "walk").rename(tmp_path / "gone")
        with pytest.raises(FlowCacheError, match="the frames of video 'walk' are not there"):
            find_source_frames(record)
