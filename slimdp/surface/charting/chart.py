"""From a mesh to a surface: a frame, left and right, disks, their charts, names and keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from flow_cache.runtime.progress import tracked
from slimdp.surface.charting.keypoints import read_keypoints, with_mirror_images
from slimdp.surface.charting.mesh_file import RawMesh, read_face_labels, read_mesh
from slimdp.surface.charting.mirror import (
    SYMMETRIC_WITHIN,
    MirroredMesh,
    mirror_error,
    mirrored,
    with_middle_at_zero,
)
from slimdp.surface.charting.pieces import Cutting, disks, opened
from slimdp.surface.charting.regions import even_regions
from slimdp.surface.charting.repair import Holes, Mesh, diagonal, face_areas, repaired
from slimdp.surface.flatten import flatten, upright
from slimdp.surface.layout import PAPER_KAPPA_M, Part, PartLayout

Symmetry = Literal["auto", "none", "require"]
#: Distances between all vertices take V^2 bytes: 144 MB.
MOST_VERTICES = 12_000
#: People have this much skin, to which the paper's tolerance belongs, square metres.
_SKIN_M2 = 1.8
#: Parts are flattened at the size of a person's: what keeps rims apart there is in metres.
_FLAT_SIZE_M = 0.3
#: Keypoints this far from the surface are mistakes, as a share of its diagonal.
_KEYPOINT_REACH = 0.2
_AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class ChartOptions:
    """How a mesh becomes a surface."""

    category: str
    parts: str = "auto"  # auto, groups, materials, cut, or a file with a label a face
    regions: int = 14  # about how many, where the mesh is cut automatically
    scale: float = 1.0  # metres of a unit of the file
    up: str = "y+"  # the file's axis that points up
    front: str | None = None  # to where it looks; None: z+ or x+, whichever has left and right alike
    symmetry: Symmetry = "auto"
    holes: Holes = "refuse"
    keep_largest: bool = False
    faces: int | None = None  # to how many triangles to reduce it


@dataclass(frozen=True)
class ChartedMesh:
    """A surface ready to be written, and what was done to the mesh for it."""

    layout: PartLayout
    vertices: np.ndarray  # (V, 3) metres; x to its left, y up, z to the front
    faces: np.ndarray  # (F, 3)
    face_part: np.ndarray  # (F,) 1..P
    face_uv: np.ndarray  # (F, 3, 2) float32
    keypoints: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Chart:
    """A part of the mesh, laid flat: triangles (K,) with (u, v) at their corners (K, 3, 2)."""

    part: Part
    faces: np.ndarray
    uv: np.ndarray


def chart_mesh(path: Path, options: ChartOptions, keypoints: Path | None = None) -> ChartedMesh:
    """The surface of a mesh's file.

    Raises ValueError for a mesh that cannot be mended (`repaired`), is too large, or whose parts, symmetry or
    keypoints are not as the options say.
    """
    if options.regions < 1 or not 0 < options.scale < np.inf:
        raise ValueError(f"{options.regions} regions, scale {options.scale:g}: more than 0 are wanted")
    raw = read_mesh(path)
    named = {} if keypoints is None else read_keypoints(keypoints, raw)
    label = _face_labels(raw, options)
    mesh = Mesh(raw.vertices * options.scale, raw.faces, label)
    mesh, notes = repaired(mesh, options.holes, options.keep_largest, options.faces)
    if len(mesh.vertices) > MOST_VERTICES:
        remedy = f"reduce it (--faces {2 * MOST_VERTICES})"
        raise ValueError(f"{path}: {len(mesh.vertices):,} vertices, but at most {MOST_VERTICES:,}: {remedy}")
    mesh, mirror, turn, shift = _in_frame(mesh, options, notes)
    if not mesh.label[0]:
        mesh = Mesh(mesh.vertices, mesh.faces, even_regions(mesh, mirror, options.regions))
    charts = _charts(mesh, mirror, notes)
    layout, part, uv = _assembled(charts, mesh, options.category)
    places = {name: place * options.scale @ turn.T + shift for name, place in named.items()}
    if mirror is not None:
        places = with_mirror_images(places)
    vertex = _nearest_vertices(places, mesh.vertices)
    layout = PartLayout(layout.category, layout.parts, layout.coarse_parts, tuple(vertex))
    return ChartedMesh(layout, mesh.vertices, mesh.faces, part, uv, vertex, tuple(notes))


def _face_labels(raw: RawMesh, options: ChartOptions) -> np.ndarray:
    """The name (F,) of each triangle's region, "" for all where the mesh is to be cut automatically."""
    kinds = {"groups": raw.group, "materials": raw.material}
    if options.parts == "auto":
        several = [name for name, label in kinds.items() if len(np.unique(label)) > 1]
        return kinds[several[0]] if several else np.full(len(raw.faces), "")
    if options.parts == "cut":
        return np.full(len(raw.faces), "")
    if options.parts not in kinds:
        return read_face_labels(Path(options.parts), raw)
    label = kinds[options.parts]
    if len(np.unique(label)) < 2:
        raise ValueError(f"the mesh has no {options.parts} that name several parts; leave out --parts")
    return np.where(label == "", "unnamed", label)


def axis_of(text: str) -> np.ndarray:
    """The unit vector (3,) of an axis such as "y+" or "x-"; raises ValueError for other words."""
    if len(text) != 2 or text[0] not in _AXES or text[1] not in "+-":
        raise ValueError(f"axis {text!r}, but one of x+, x-, y+, y-, z+, z- is wanted")
    vector = np.zeros(3)
    vector[_AXES[text[0]]] = 1 if text[1] == "+" else -1
    return vector


def _frame(up: str, front: str) -> np.ndarray:
    """The rotation (3, 3) that takes the file's axes to left, up and front."""
    y, z = axis_of(up), axis_of(front)
    if y @ z:
        raise ValueError(f"up {up} and front {front} lie along the same axis")
    return np.stack([np.cross(y, z), y, z])


def _in_frame(
    mesh: Mesh, options: ChartOptions, notes: list[str]
) -> tuple[Mesh, MirroredMesh | None, np.ndarray, np.ndarray]:
    """The mesh in its frame, symmetric if it is, and the rotation and shift that took it there."""
    up = axis_of(options.up)
    level = [axis for axis in ("z+", "x+", "y+") if not axis_of(axis) @ up]
    fronts = level if options.front is None else [options.front]
    found = []
    for front in fronts:
        turn = _frame(options.up, front)
        vertices = mesh.vertices @ turn.T
        moved = with_middle_at_zero(vertices, mesh.faces)
        error = np.inf if options.symmetry == "none" else mirror_error(moved, mesh.faces)
        found.append((error, front, turn, moved, moved[0] - vertices[0]))
    # Of several that are symmetric, or none, the first.
    error, front, turn, vertices, shift = min(found, key=lambda each: each[0] > SYMMETRIC_WITHIN)
    there = Mesh(vertices, mesh.faces, mesh.label)
    notes.append(f"it looks to {front}, {options.up} is up (--front and --up say otherwise)")
    if error > SYMMETRIC_WITHIN:
        if options.symmetry == "require":
            told = f"its mirror image lies up to {100 * error:.2g} % of its diagonal away"
            raise ValueError(
                f"the mesh has no left and right: {told}, {100 * SYMMETRIC_WITHIN:g} % is symmetric"
            )
        asked = options.symmetry == "none"
        notes.append(
            "no left and right" + ("" if asked else f": mirror images differ by {100 * error:.2g} %")
        )
        return there, None, turn, shift
    mirror = mirrored(there)
    told = f"by {1000 * mirror.error:.3g} mm at most"
    notes.append(f"the left half is now the mirror image of the right one, from which it differed {told}")
    return mirror.mesh, mirror, turn, shift


def _charts(mesh: Mesh, mirror: MirroredMesh | None, notes: list[str]) -> list[_Chart]:
    """All parts: the disks that the regions are cut into, in the order of the regions' names."""
    image = None if mirror is None else mirror.face_mirror
    right = len(mesh.faces) if mirror is None else mirror.right
    cutting = Cutting(mesh.vertices, mesh.faces, image, right)
    pieces: list[tuple[str, str, np.ndarray, np.ndarray | None]] = []
    for name in sorted(set(mesh.label.tolist()), key=lambda name: name.removeprefix("right ")):
        region = np.flatnonzero(mesh.label == name)
        if image is not None and not (region < right).any():
            continue  # the mirror image of one on the right
        found = disks(cutting, region)
        if len(found) > 1:
            notes.append(f"cut {name!r} into {len(found)} disks")
        for number, piece in enumerate(found, start=1):
            numbered = f"{name} {number}" if len(found) > 1 else name
            other = None if image is None or cutting.is_own_mirror(piece) else image[piece]
            pieces.append((name, numbered, piece, other))
    charts = []
    for named, name, piece, other in tracked(pieces, "charts", "parts"):
        uv = _flat(mesh.vertices, mesh.faces[piece], mirror if other is None else None)
        charts += _named_charts(mesh, named, name, piece, other, uv, mirror)
    return charts


def _named_charts(
    mesh: Mesh,
    region: str,
    name: str,
    piece: np.ndarray,
    other: np.ndarray | None,
    uv: np.ndarray,
    mirror: MirroredMesh | None,
) -> list[_Chart]:
    """A disk's part, and that of its mirror image (K,) where it is another."""
    if other is None:
        return [_Chart(Part(name, region, "" if mirror is None else name), piece, uv)]
    twin_region = str(mesh.label[other[0]])
    sides = ("right ", "left ") if twin_region == region else ("", "")
    twin_name = twin_region + name.removeprefix(region)
    names = sides[0] + name, sides[1] + twin_name
    coarse = (region, region) if twin_region == region else (region, twin_region)
    return [
        _Chart(Part(names[0], coarse[0], names[1]), piece, uv),
        _Chart(Part(names[1], coarse[1], names[0]), other, uv[:, ::-1]),
    ]


def _flat(vertices: np.ndarray, faces: np.ndarray, mirror: MirroredMesh | None) -> np.ndarray:
    """(u, v) in [0, 1] (K, 3, 2) at the corners of a disk's triangles, v upwards; of one that is its own
    mirror image u becomes 1 - u across the middle."""
    local, source = opened(faces)
    place = vertices[source]
    size = np.sqrt(face_areas(place, local).sum())
    flat = flatten(place * (_FLAT_SIZE_M / size), local)
    plane = upright(flat, _height(flat, place, mirror is not None))
    if mirror is not None:
        twin = _twins(local, source, mirror, faces)
        plane = (plane + plane[twin] * [-1, 1]) / 2
    plane = (plane - plane.min(axis=0)) / np.ptp(plane, axis=0)
    return plane[local].astype(np.float32)


def _height(flat: np.ndarray, place: np.ndarray, in_plane: bool) -> np.ndarray:
    """What v is to follow (K,): y, or z or x where the piece lies flat across that; x never of a mirror image
    of itself."""
    centred = np.column_stack([flat - flat.mean(axis=0), np.ones(len(flat))])
    best, best_share = place[:, 1], -1.0
    for axis in (1, 2) if in_plane else (1, 2, 0):
        height = place[:, axis]
        told = centred @ np.linalg.lstsq(centred, height, rcond=None)[0]
        share = float(np.ptp(told) / np.ptp(place, axis=0).max())
        if share > best_share + 0.3:  # up is kept unless another axis says clearly more
            best, best_share = height, share
    return best


def _twins(local: np.ndarray, source: np.ndarray, mirror: MirroredMesh, faces: np.ndarray) -> np.ndarray:
    """The mirror image (K,) of each vertex of a disk that is its own mirror image."""
    row = {tuple(sorted(corners)): k for k, corners in enumerate(faces.tolist())}
    twin = np.arange(len(source))
    for corners, of in zip(faces.tolist(), local.tolist()):
        image = [int(mirror.vertex_mirror[vertex]) for vertex in corners]
        there = row[tuple(sorted(image))]
        across = dict(zip(faces[there].tolist(), local[there].tolist()))
        for vertex, place in zip(image, of):
            twin[place] = across[vertex]
    return twin


def _assembled(charts: list[_Chart], mesh: Mesh, category: str) -> tuple[PartLayout, np.ndarray, np.ndarray]:
    """The layout, and part (F,) and (u, v) (F, 3, 2) of all triangles."""
    skin_m2 = face_areas(mesh.vertices, mesh.faces).sum()
    kappa_m = float(np.round(PAPER_KAPPA_M * np.sqrt(skin_m2 / _SKIN_M2), 6))
    part, uv = np.zeros(len(mesh.faces), dtype=np.int64), np.zeros((len(mesh.faces), 3, 2), np.float32)
    parts = []
    for label, chart in enumerate(charts, start=1):
        part[chart.faces], uv[chart.faces] = label, chart.uv
        parts.append(Part(chart.part.name, chart.part.coarse_part, chart.part.mirror, kappa_m))
    coarse = tuple(dict.fromkeys(each.coarse_part for each in parts))
    return PartLayout(category, tuple(parts), coarse), part, uv


def _nearest_vertices(places: Mapping[str, np.ndarray], vertices: np.ndarray) -> dict[str, int]:
    found = {}
    tree = cKDTree(vertices)
    for name, place in places.items():
        distance, vertex = tree.query(place)
        if distance > _KEYPOINT_REACH * diagonal(vertices):
            raise ValueError(
                f"keypoint {name!r} lies {distance:.3g} m from the surface; is it in the file's units?"
            )
        found[name] = int(vertex)
    return found
