"""Checks of the DensePose surface files. No pickle is opened: a pickle can run anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import loadmat

from slimdp.doctor.findings import Findings
from slimdp.structures import PARTS

CHARTS = "UV_Processed.mat"
#: Of the published charts (UV_Processed.mat): faces, vertices of the charts, vertices of the mesh.
FACES, CHART_VERTICES, MESH_VERTICES = 13774, 7829, 6890
#: Pairs of the 27,554 vertices of the subdivided mesh, a distance each.
_DISTANCES = 27554 * 27553 // 2
_MAT_STARTS = (b"MATLAB 5.0", b"\x89HDF")
#: Key -> shape (1 along any axis does not count), lowest and highest value.
_CHART_KEYS: dict[str, tuple[tuple[int, ...], float, float]] = {
    "All_Faces": ((FACES, 3), 1, CHART_VERTICES),
    "All_FaceIndices": ((FACES,), 1, PARTS),
    "All_U_norm": ((CHART_VERTICES,), 0, 1),
    "All_V_norm": ((CHART_VERTICES,), 0, 1),
    "All_vertices": ((CHART_VERTICES,), 1, MESH_VERTICES),
}


def check_surface_file(path: Path, file: str, findings: Findings) -> None:
    """Check keys and counts of the charts, and whether the other files can be what their names say."""
    if path.name == CHARTS:
        _check_charts(path, file, findings)
    elif path.suffix == ".mat":
        with open(path, "rb") as opened:
            start = opened.read(512)
        if not start.startswith(_MAT_STARTS):
            findings.add("surface-damaged", file, "", f"no MATLAB file: it begins with {start[:12]!r}")
    elif path.stat().st_size < 2 * _DISTANCES:
        found = f"{path.stat().st_size:,} bytes, too few for {_DISTANCES:,} distances"
        findings.add("surface-damaged", file, "", found)


def _check_charts(path: Path, file: str, findings: Findings) -> None:
    try:
        content = loadmat(str(path))
    except Exception as error:  # loadmat raises many kinds for a damaged file
        findings.add("surface-damaged", file, "", f"{type(error).__name__}: {error}")
        return
    for key, (shape, lowest, highest) in _CHART_KEYS.items():
        if key not in content:
            findings.add("surface-damaged", file, key, "missing")
            continue
        array = np.squeeze(content[key])
        if array.shape != shape or array.dtype.kind not in "iuf":
            findings.add("surface-damaged", file, key, f"{array.dtype} {array.shape}, but {shape} is wanted")
        elif not (array.min() >= lowest and array.max() <= highest):
            found = f"{array.min():g}..{array.max():g}, but {lowest:g}..{highest:g} is wanted"
            findings.add("surface-damaged", file, key, found)
