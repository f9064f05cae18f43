"""Checks of the DensePose surface files. No pickle is run: what it says is read without obeying it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slimdp.doctor.findings import Findings
from slimdp.surface import PEOPLE, load_uv_symmetry
from slimdp.surface.densepose import files
from slimdp.surface.densepose.arrays import load_arrays
from slimdp.surface.densepose.matlab5 import read_contents
from slimdp.surface.densepose.surface import load_subdivided, load_transform
from slimdp.surface.densepose.table import KEY, find_distances, open_distances

CHARTS = files.CHARTS.name
#: Of the published charts (UV_Processed.mat): faces, vertices of the charts, vertices of the mesh.
FACES, CHART_VERTICES, MESH_VERTICES = 13774, 7829, 6890
#: Vertices of the subdivided mesh; their pairs have a distance each.
_SUBDIVIDED = 27554
_DISTANCES = _SUBDIVIDED * (_SUBDIVIDED - 1) // 2
#: Key -> shape (1 along any axis does not count), lowest and highest value.
_CHART_KEYS: dict[str, tuple[tuple[int, ...], float, float]] = {
    "All_Faces": ((FACES, 3), 1, CHART_VERTICES),
    "All_FaceIndices": ((FACES,), 1, len(PEOPLE.parts)),
    "All_U_norm": ((CHART_VERTICES,), 0, 1),
    "All_V_norm": ((CHART_VERTICES,), 0, 1),
    "All_vertices": ((CHART_VERTICES,), 1, MESH_VERTICES),
}


def check_surface_file(path: Path, file: str, findings: Findings) -> None:
    """Check keys, counts and ranges; of the distances what can be seen without reading all of them."""
    if path.name == CHARTS:
        _check_charts(path, file, findings)
        return
    try:
        if path.name == files.SYMMETRY.name:
            load_uv_symmetry(path)
        elif path.name == files.SUBDIVIDED.name:
            load_subdivided(path)
        elif path.name == files.TRANSFORM.name:
            load_transform(path, None, _SUBDIVIDED)
        else:
            _check_distances(path, file, findings)
    except ValueError as error:
        findings.add("surface-damaged", file, "", str(error).removeprefix(f"{path}: "))


def _check_distances(path: Path, file: str, findings: Findings) -> None:
    stored = find_distances(path)
    if stored.count != _DISTANCES:
        found = f"{stored.count:,} distances, but {_DISTANCES:,} are wanted"
        findings.add("surface-damaged", file, KEY, found)
    elif stored.offset is not None:  # else the whole table would have to be written out first
        open_distances(path)


def _check_charts(path: Path, file: str, findings: Findings) -> None:
    try:
        read_contents(path)
    except ValueError as error:
        findings.add("surface-damaged", file, "", str(error).removeprefix(f"{path}: "))
        return
    for key, (shape, lowest, highest) in _CHART_KEYS.items():
        try:
            array = np.squeeze(load_arrays(path, (key,))[0])
        except ValueError as error:
            findings.add("surface-damaged", file, key, str(error).removeprefix(f"{path}: "))
            continue
        if array.shape != shape:
            findings.add("surface-damaged", file, key, f"shape {array.shape}, but {shape} is wanted")
        elif not (array.min() >= lowest and array.max() <= highest):
            found = f"{array.min():g}..{array.max():g}, but {lowest:g}..{highest:g} is wanted"
            findings.add("surface-damaged", file, key, found)
