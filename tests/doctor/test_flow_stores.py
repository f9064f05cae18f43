"""Folders of flow alone: .flo files of other programs, and stores that hold the same video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flow_cache import FlowCacheError, FlowStore, FlowWriter, VideoRecord
from flow_cache.exchange import write_flo
from slimdp.doctor import examine


def test_flo_files_are_a_data_set_and_cut_ones_are_found(tmp_path: Path) -> None:
    for name in ("0001.flo", "0002.flo"):
        write_flo(tmp_path / name, np.zeros((2, 4, 6), np.float32))
    found = examine(tmp_path, quiet=True)
    assert (found.kinds, list(found.findings)) == (["flow files"], [])
    cut = tmp_path / "0002.flo"
    cut.write_bytes(cut.read_bytes()[:-8])
    findings = list(examine(tmp_path, quiet=True).findings)
    assert [(finding.code, finding.file) for finding in findings] == [("flow-damaged", "0002.flo")]


def write_store(path: Path, *videos: str) -> None:
    path.parent.mkdir(exist_ok=True)
    with FlowWriter(path) as writer:
        for name in videos:
            record = VideoRecord(name, 8, 8, ("0.png", "1.png"), "somewhere", "0", "exact", "{}", "0")
            writer.add_video(record, (1,))
            writer.write(name, 0, 1, np.zeros((2, 8, 8), np.float32))


@pytest.mark.parametrize("quick", [False, True])
def test_two_stores_of_a_folder_that_hold_the_same_video_are_named(tmp_path: Path, quick: bool) -> None:
    write_store(tmp_path / "flow" / "dis.h5", "run", "walk")
    write_store(tmp_path / "flow" / "raft.h5", "walk")
    write_store(tmp_path / "other" / "flow.h5", "walk")  # a folder of its own
    with FlowStore(tmp_path / "flow") as store, pytest.raises(FlowCacheError, match="NAME=PATH"):
        store.videos()
    (finding,) = examine(tmp_path, quick, quiet=True).findings
    assert (finding.code, finding.file, finding.place) == ("flow-twice", "flow/raft.h5", "video walk")
    assert finding.severity == "warning"
    assert "dis.h5" in finding.found
    assert "precompute NAME=PATH" in finding.remedy
