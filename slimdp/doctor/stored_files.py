"""Checks of files that stand alone: DensePose's surface, and what training and prediction wrote.

No pickle is run: what it says is read without obeying it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flow_cache.runtime.checksums import DamagedZipError, check_zip
from flow_cache.runtime.hdf5 import Hdf5ContentError, open_hdf5, text
from slimdp.doctor.findings import FileFindings
from slimdp.surface import PEOPLE, load_uv_symmetry
from slimdp.surface.densepose import files
from slimdp.surface.densepose.matlab5 import load_arrays, read_contents
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


def check_surface_file(path: Path, findings: FileFindings) -> None:
    """Check keys, counts and ranges; of the distances what can be seen without reading all of them."""
    if path.name == CHARTS:
        _check_charts(path, findings)
        return
    try:
        if path.name == files.SYMMETRY.name:
            load_uv_symmetry(path)
        elif path.name == files.SUBDIVIDED.name:
            load_subdivided(path)
        elif path.name == files.TRANSFORM.name:
            load_transform(path, None, _SUBDIVIDED)
        elif (stored := find_distances(path)).count != _DISTANCES:
            found = f"{stored.count:,} distances, but {_DISTANCES:,} are wanted"
            findings.add("surface-damaged", KEY, found)
        elif stored.offset is not None:  # else the whole table would have to be written out first
            open_distances(path)
    except ValueError as error:
        findings.add_refusal("surface-damaged", path, error)


def _check_charts(path: Path, findings: FileFindings) -> None:
    try:
        read_contents(path)
    except ValueError as error:
        findings.add_refusal("surface-damaged", path, error)
        return
    for key, (shape, lowest, highest) in _CHART_KEYS.items():
        try:
            array = np.squeeze(load_arrays(path, (key,))[0])
        except ValueError as error:
            findings.add_refusal("surface-damaged", path, error, key)
            continue
        if array.shape != shape:
            findings.add("surface-damaged", key, f"shape {array.shape}, but {shape} is wanted")
        elif not (array.min() >= lowest and array.max() <= highest):
            found = f"{array.min():g}..{array.max():g}, but {lowest:g}..{highest:g} is wanted"
            findings.add("surface-damaged", key, found)


def is_predictions(path: Path) -> bool:
    """Whether an HDF5 file that is no flow store says that it holds predictions."""
    try:
        with open_hdf5(path) as file:
            return text(file["/"], "format").startswith("slimdp predictions")
    except (OSError, RuntimeError, KeyError, Hdf5ContentError):
        return False


def check_checkpoint(path: Path, findings: FileFindings) -> None:
    """Read a checkpoint (.pt) whole: every byte has its checksum."""
    try:
        check_zip(path)
    except (DamagedZipError, OSError) as error:
        findings.add("checkpoint-damaged", "", str(error))


def check_predictions(path: Path, findings: FileFindings, quick: bool) -> None:
    """Read everyone in a file of predictions; with `quick` the first one alone."""
    from slimdp.evaluation import PredictionFile  # which takes a while to import

    try:
        with PredictionFile(path) as predictions:
            for _ in predictions:
                if quick:
                    break
    except (ValueError, OSError) as error:
        findings.add("predictions-damaged", "", str(error))
