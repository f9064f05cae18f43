"""A folder of .flo files alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flow_cache.formats import write_flo
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
