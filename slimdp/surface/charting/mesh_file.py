"""Read a mesh from a file: vertices, triangles, and the part of each triangle where the file names parts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: The formats that are read; OBJ here, as its groups and materials name parts, the others by trimesh.
FORMATS = (".obj", ".ply", ".stl", ".off")
#: A part of that name has no faces of its own.
NO_LABEL = ""
_LARGEST_FILE = 2**30  # bytes


@dataclass(frozen=True)
class RawMesh:
    """Triangles as a file has them; `group` and `material` are names by triangle, "" where it gives none."""

    vertices: np.ndarray  # (V, 3) float64, in the file's units
    faces: np.ndarray  # (F, 3) int64
    group: np.ndarray  # (F,) str
    material: np.ndarray  # (F,) str
    polygon: np.ndarray  # (F,) int64, the face of the file that the triangle was cut from


def read_mesh(path: Path) -> RawMesh:
    """The triangles of an OBJ, PLY, STL or OFF file.

    Raises ValueError for another format, a damaged file, or one without triangles, naming it.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: {path.suffix or 'no ending'}, but one of {', '.join(FORMATS)} is wanted")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if path.stat().st_size > _LARGEST_FILE:
        raise ValueError(f"{path}: {path.stat().st_size:,} bytes, but at most {_LARGEST_FILE:,} are wanted")
    mesh = _read_obj(path) if path.suffix.lower() == ".obj" else _read_by_trimesh(path)
    if not len(mesh.faces):
        raise ValueError(f"{path}: no face; a mesh of triangles or polygons is wanted")
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        found = f"faces name vertices {mesh.faces.min()} to {mesh.faces.max()}"
        raise ValueError(f"{path}: {found}, but there are {len(mesh.vertices)}")
    if not np.isfinite(mesh.vertices).all():
        bad = np.flatnonzero(~np.isfinite(mesh.vertices).all(axis=1))
        raise ValueError(f"{path}: {len(bad)} vertices are not finite, the first is vertex {bad[0]}")
    return mesh


def _read_by_trimesh(path: Path) -> RawMesh:
    import trimesh  # a third of a second, and most commands read no mesh

    try:
        mesh = trimesh.load_mesh(path, process=False)
        vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    except Exception as error:  # its readers raise whatever their parsing meets
        raise ValueError(f"{path}: no mesh that trimesh reads ({type(error).__name__}: {error})") from error
    unnamed = np.full(len(faces), NO_LABEL)
    return RawMesh(vertices.reshape(-1, 3), faces.reshape(-1, 3), unnamed, unnamed, np.arange(len(faces)))


def _read_obj(path: Path) -> RawMesh:
    """Vertices, and polygons cut into triangles; texture, normals and all else are passed over."""
    vertices: list[list[float]] = []
    polygons: list[list[int]] = []
    names: list[tuple[str, str]] = []
    number, line = 0, ""
    group = material = NO_LABEL
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                number += 1
                word, *rest = line.split("#")[0].split() or [""]
                if word == "v":
                    vertices.append([float(value) for value in rest[:3]])
                elif word == "f":
                    polygons.append([_obj_index(corner, len(vertices)) for corner in rest])
                    names.append((group, material))
                elif word in ("g", "o"):
                    group = " ".join(rest)
                elif word == "usemtl":
                    material = " ".join(rest)
                if (word == "v" and len(vertices[-1]) < 3) or (word == "f" and len(polygons[-1]) < 3):
                    raise ValueError("too few numbers")
    except ValueError as error:
        raise ValueError(f"{path}: line {number}: {line.strip()[:60]!r}: {error}") from None
    places = np.array(vertices, dtype=np.float64).reshape(-1, 3)
    triangles, polygon = _triangles(places, polygons)
    labels = np.array(names, dtype=str).reshape(-1, 2)[polygon]
    return RawMesh(places, triangles, labels[:, 0], labels[:, 1], polygon)


def _obj_index(corner: str, count: int) -> int:
    """The vertex, from 0, that a corner such as 7, 7/1/2 or -1 names."""
    index = int(corner.split("/")[0])
    if index == 0 or index < -count:
        raise ValueError(f"no vertex {index}")
    return index - 1 if index > 0 else count + index


def _triangles(places: np.ndarray, polygons: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (F, 3) and their polygons (F,): quads along the shorter diagonal, others as fans."""
    triangles: list[tuple[int, ...]] = []
    owner: list[int] = []
    for number, corner in enumerate(polygons):
        if len(corner) == 4 and max(corner) < len(places):
            a, b, c, d = places[corner]
            if ((b - d) ** 2).sum() < ((a - c) ** 2).sum():
                corner = corner[1:] + corner[:1]
        for k in range(1, len(corner) - 1):
            triangles.append((corner[0], corner[k], corner[k + 1]))
            owner.append(number)
    return np.array(triangles, dtype=np.int64).reshape(-1, 3), np.array(owner, dtype=np.int64)


def read_face_labels(path: Path, mesh: RawMesh) -> np.ndarray:
    """The part's name (F,) of each triangle, from a file with one label for each face of the mesh's file.

    A JSON list of names or numbers, a .npy of numbers, or text with one label a line. Raises ValueError for
    another count, or a file of another kind.
    """
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False).tolist()
        elif path.suffix == ".json":
            values = json.loads(path.read_text(encoding="utf-8"))
        else:
            values = path.read_text(encoding="utf-8").splitlines()
    except (ValueError, EOFError, RecursionError) as error:
        raise ValueError(f"{path}: no list of labels: {error}") from error
    wanted = int(mesh.polygon.max()) + 1
    plain = isinstance(values, list) and all(type(value) in (int, str) for value in values)
    if not plain or len(values) != wanted:
        found = f"{len(values)} labels" if isinstance(values, list) else type(values).__name__
        raise ValueError(f"{path}: {found}, but a name or a number for each of {wanted} faces is wanted")
    labels = np.array([f"part {each}" if type(each) is int else each.strip() for each in values])
    if (labels == NO_LABEL).any():
        raise ValueError(f"{path}: face {np.flatnonzero(labels == NO_LABEL)[0]} has no label")
    return labels[mesh.polygon]
