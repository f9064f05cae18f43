"""Surfaces by name: the open body, a folder with DensePose's files, or one with a mesh of any category.

A mesh's folder holds its triangles, their charts and the names of its parts:

| file | holds |
|---|---|
| layout.json | a `PartLayout`: category, parts, coarse parts, keypoints |
| surface.npz | vertices (V, 3) metres; faces (F, 3); face_part (F,) 1..P; face_uv (F, 3, 2) in [0, 1] |
| keypoints.json | the vertex of each keypoint of the layout; may be missing where there are none |
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from flow_cache.runtime.atomic import atomic_write
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.lock import held
from flow_cache.runtime.progress import timed
from slimdp.surface.cache import cache_folder
from slimdp.surface.densepose.files import CHARTS, SYMMETRY, find_files
from slimdp.surface.layout import PartLayout, layout_from_json
from slimdp.surface.people import PEOPLE
from slimdp.surface.symmetry import UvSymmetry, load_uv_symmetry

# A network asks for the names of the parts alone: what measures on meshes loads when a surface is.
if TYPE_CHECKING:
    from slimdp.surface.body import BodySurface
    from slimdp.surface.densepose.surface import DensePoseCharts, DensePoseSurface

#: The name of the open body.
OPEN = "open"
LAYOUT_FILE, MESH_FILE, KEYPOINTS_FILE = "layout.json", "surface.npz", "keypoints.json"
#: The arrays of a mesh: the shape of a row, and as what they are taken.
_ARRAYS: dict[str, tuple[tuple[int, ...], type]] = {
    "vertices": ((3,), np.float64), "faces": ((3,), np.int64), "face_part": ((), np.int64),
    "face_uv": ((3, 2), np.float32),
}  # fmt: skip


@overload
def load_surface(name: Literal["open"]) -> BodySurface: ...
@overload
def load_surface(name: str | Path) -> BodySurface | DensePoseSurface: ...


def load_surface(name: str | Path) -> BodySurface | DensePoseSurface:
    """The surface that labels and predictions speak of, to measure distances on; the same object each time.

    Its name is "open", or a folder with DensePose's SMPL_subdiv.mat, SMPL_SUBDIV_TRANSFORM.mat and
    Pdist_matrix, or with a mesh (docs/surfaces.md). Raises ValueError for neither, files that are missing (it
    says which and where they can be had), damaged or do not fit one another.
    """
    check_surface_name(name)
    return _loaded(None if str(name) == OPEN else Path(name).resolve())


@cache
def _loaded(folder: Path | None) -> BodySurface | DensePoseSurface:
    from slimdp.surface.densepose.surface import load_densepose_surface
    from slimdp.surface.open_body import open_body

    if folder is None:
        return open_body()
    return load_mesh_folder(folder) if has_mesh(folder) else load_densepose_surface(folder)


def has_mesh(name: str | Path) -> bool:
    """Whether a surface has a mesh, and so places in space and keypoints: DensePose's files have none."""
    return str(name) == OPEN or (Path(name) / LAYOUT_FILE).is_file()


def surface_layout(name: str | Path) -> PartLayout:
    """The parts of a surface, without loading it; ValueError where the layout of its folder is damaged."""
    return read_layout(Path(name)) if str(name) != OPEN and has_mesh(name) else PEOPLE


def load_charts(name: str | Path) -> BodySurface | DensePoseCharts:
    """The way from (part, u, v) to the mesh and back; a folder needs UV_Processed.mat, else as above."""
    from slimdp.surface.body import BodySurface
    from slimdp.surface.densepose.surface import load_densepose_charts

    if has_mesh(name):
        surface = load_surface(name)
        assert isinstance(surface, BodySurface)
        return surface
    check_surface_name(name)
    return load_densepose_charts(*find_files(name, CHARTS))


def load_symmetry(name: str | Path) -> UvSymmetry:
    """Left and right of a surface; a folder needs UV_symmetry_transforms.mat, else as above."""
    if has_mesh(name):
        return UvSymmetry(surface_layout(name).require_symmetric())
    check_surface_name(name)
    return load_uv_symmetry(*find_files(name, SYMMETRY))


def check_surface_name(name: str | Path) -> None:
    """Whether there is such a surface: "open", or a folder; ValueError with the choices if not."""
    if str(name) != OPEN and not Path(name).is_dir():
        choices = f"{OPEN}, or a folder with DensePose's surface files or with a mesh"
        raise ValueError(f"no surface {str(name)!r} in {Path.cwd()}; choose one of: {choices}")


def read_layout(folder: Path) -> PartLayout:
    """The parts of a folder's surface; raises ValueError naming the file and the field."""
    path = folder / LAYOUT_FILE
    try:
        return layout_from_json(read_json(path, "layout of a surface", ValueError))
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None


def load_mesh_folder(folder: Path) -> BodySurface:
    """The surface of a folder; the cache folder keeps its geodesic distances.

    Raises ValueError where a file is missing, damaged, or does not fit the others, naming it; or the mesh is
    not connected.
    """
    from slimdp.surface.body import BodySurface

    layout, where = read_layout(folder), folder / MESH_FILE
    vertices, faces, part, uv = _read_arrays(where)
    _require_range(f"{where}: faces", faces, 0, len(vertices) - 1)
    _require_range(f"{where}: face_part", part, 1, len(layout.parts))
    _require_range(f"{where}: face_uv", uv, 0, 1)
    absent = np.setdiff1d(np.arange(1, 1 + len(layout.parts)), part)
    if absent.size:
        raise ValueError(f"{where}: face_part: no face of part {absent[0]}, {layout.part_names[absent[0]]!r}")
    if len(part) != len(faces) or len(uv) != len(faces):
        raise ValueError(f"{where}: {len(faces)} faces, {len(part)} face_part, {len(uv)} face_uv: one each")
    keypoints = _read_keypoints(folder / KEYPOINTS_FILE, layout, len(vertices))
    distances = _distances(vertices, faces)
    return BodySurface(str(folder), vertices, faces, part, uv, distances, layout, keypoints)


def write_mesh_folder(
    folder: Path,
    layout: PartLayout,
    arrays: Mapping[str, np.ndarray],
    keypoints: Mapping[str, int],
) -> None:
    """Write what `load_mesh_folder` reads into a folder that is there; `arrays` has those of `_ARRAYS`."""
    (folder / LAYOUT_FILE).write_text(json.dumps(layout.as_json(), indent=1), encoding="utf-8")
    (folder / KEYPOINTS_FILE).write_text(json.dumps(dict(keypoints), indent=1), encoding="utf-8")
    mesh: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
    np.savez(folder / MESH_FILE, **mesh)


def _read_arrays(path: Path) -> list[np.ndarray]:
    """The arrays of `_ARRAYS`, in that order."""
    try:
        with np.load(path) as file:
            arrays = [file[name] for name in _ARRAYS]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path}: no whole file of {', '.join(_ARRAYS)}: {error}") from error
    for array, (name, (row, _)) in zip(arrays, _ARRAYS.items()):
        if array.dtype.kind not in "iuf" or not len(array.shape) or array.shape[1:] != row or not len(array):
            wanted = ", ".join(["N", *map(str, row)])
            raise ValueError(f"{path}: {name} is {array.dtype} {array.shape}, but ({wanted}) is wanted")
    return [array.astype(dtype) for array, (_, dtype) in zip(arrays, _ARRAYS.values())]


def _require_range(what: str, values: np.ndarray, lowest: float, highest: float) -> None:
    least, most = values.min(), values.max()
    if not (least >= lowest and most <= highest):  # NaN is in no range
        raise ValueError(f"{what} runs from {least} to {most}, but {lowest}..{highest} is wanted")


def _read_keypoints(path: Path, layout: PartLayout, vertices: int) -> dict[str, int]:
    if not layout.keypoints and not path.exists():
        return {}
    keypoints = read_json(path, "file of keypoints", ValueError)
    if not isinstance(keypoints, dict) or set(keypoints) != set(layout.keypoints):
        wanted = ", ".join(layout.keypoints) or "no keypoint"
        raise ValueError(f"{path}: the vertex of each of {wanted} is wanted")
    for name, vertex in keypoints.items():
        if not isinstance(vertex, int) or not 0 <= vertex < vertices:
            raise ValueError(f"{path}: {name}: {vertex!r}, but a vertex from 0 to {vertices - 1} is wanted")
    return keypoints


def _distances(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Geodesic distances, condensed, mapped from the cache."""
    from slimdp.surface.geodesics import write_distances

    content = hashlib.sha256(vertices.tobytes() + faces.tobytes()).hexdigest()[:16]
    path = cache_folder() / "meshes" / f"{content}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        with held(path.with_suffix(".lock"), wait=True):
            if not path.is_file():
                with timed("find the distances on the mesh, once"), atomic_write(path) as temporary:
                    write_distances(temporary, vertices, faces)
    return np.load(path, mmap_mode="r")
