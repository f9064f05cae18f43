"""Left and right of a mesh: whether it is its own mirror image, and a mesh that is so exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from slimdp.surface.charting.repair import Mesh, diagonal, face_areas
from slimdp.surface.geodesics import twin_half_edges

#: A mesh is symmetric where its mirror image lies this near to it, as a share of its diagonal.
SYMMETRIC_WITHIN = 0.01
#: Vertices this near to the plane are put on it.
_ON_PLANE = 1e-4
_PLACES_A_FACE = 4
#: Triangles of so many places are looked at: the nearest place may lie on the neighbour.
_NEAREST = 8
#: The mirror image of a part is another where that one holds this share of it.
_OWN_IMAGE = 0.7


@dataclass(frozen=True)
class MirroredMesh:
    """A mesh whose left half (x > 0) is the mirror image of its right half, triangle by triangle."""

    mesh: Mesh
    vertex_mirror: np.ndarray  # (V,) int64, its own inverse
    right: int  # so many triangles are the right half; the left ones follow in the same order, wound back
    label_mirror: dict[str, str]  # the name of a part -> that of its mirror image
    error: float  # how far the file's left half was from that, at most

    @property
    def face_mirror(self) -> np.ndarray:
        """The mirror image (F,) of each triangle."""
        return np.roll(np.arange(2 * self.right), self.right)


def mirror_error(vertices: np.ndarray, faces: np.ndarray) -> float:
    """How far, at most, the mirror image in the plane x = 0 lies from a mesh, as a share of its diagonal."""
    places = _places_on(vertices, faces)
    distance = _distance_to(vertices, faces, np.concatenate([vertices, places]) * [-1, 1, 1])
    return float(distance.max() / diagonal(vertices))


def _places_on(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Places (N, 3) on the triangles: their middles, and those between the middle and the corners."""
    corners = vertices[faces]
    middle = corners.mean(axis=1, keepdims=True)
    return np.concatenate([middle, (corners + middle) / 2], axis=1).reshape(-1, 3)


def _distance_to(vertices: np.ndarray, faces: np.ndarray, places: np.ndarray) -> np.ndarray:
    """How far (N,) places are from the surface: from the triangles of the places on it that are nearest."""
    import trimesh  # a third of a second, and most commands find no plane

    mesh = trimesh.Trimesh(vertices, faces, process=False)
    samples = _places_on(vertices, faces)
    face = cKDTree(samples).query(places, k=min(_NEAREST, len(samples)))[1] // _PLACES_A_FACE
    found = np.full(len(places), np.inf)
    for column in face.T:
        exact = trimesh.triangles.closest_point(mesh.triangles[column], places)
        found = np.minimum(found, np.linalg.norm(exact - places, axis=1))
    return found


def with_middle_at_zero(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """A mesh moved along x so that the middle of its area lies at x = 0."""
    middle = np.average(vertices[faces].mean(axis=1)[:, 0], weights=face_areas(vertices, faces))
    return vertices - [middle, 0, 0]


def mirrored(mesh: Mesh) -> MirroredMesh:
    """The mesh with its left half replaced by the mirror image of its right half, x <= 0.

    Triangles across the plane are cut along it. Raises ValueError where names of parts have no mirror images
    among themselves.
    """
    error = mirror_error(mesh.vertices, mesh.faces)
    label_mirror = mirror_names(mesh)
    cut = _cut_along_plane(mesh)
    centre = cut.vertices[cut.faces].mean(axis=1)[:, 0]
    right = cut.faces[centre < 0]
    used, local = np.unique(right, return_inverse=True)
    local, place = local.reshape(-1, 3), cut.vertices[used]
    on_plane = place[:, 0] == 0
    _require_half(local, on_plane)
    image = np.where(on_plane, np.arange(len(place)), len(place) - 1 + np.cumsum(~on_plane))
    vertices = np.concatenate([place, place[~on_plane] * [-1, 1, 1]])
    faces = np.concatenate([local, image[local][:, ::-1]])
    label = cut.label[centre < 0]
    twin_label = np.array([label_mirror[name] for name in label.tolist()], dtype=str)
    vertex_mirror = np.concatenate([image, np.flatnonzero(~on_plane)])
    both = Mesh(vertices, faces, np.concatenate([label, twin_label]))
    return MirroredMesh(both, vertex_mirror, len(right), label_mirror, error * diagonal(mesh.vertices))


def _require_half(faces: np.ndarray, on_plane: np.ndarray) -> None:
    """Raise ValueError where a half and its mirror image would meet in an edge of more than two triangles."""
    inner = np.flatnonzero(twin_half_edges(faces) >= 0)
    ends = np.stack([faces.ravel()[inner], np.roll(faces, -1, axis=1).ravel()[inner]])
    if on_plane[ends].all(axis=0).any():
        raise ValueError(
            "the surface touches the mirror plane along an edge without crossing it, so its halves would "
            "grow together there; chart it without symmetry (--symmetry none)"
        )


def mirror_names(mesh: Mesh) -> dict[str, str]:
    """The part that lies where each part's mirror image does; raises ValueError where no one part does."""
    area, centre = face_areas(mesh.vertices, mesh.faces), mesh.vertices[mesh.faces].mean(axis=1)
    found, number = np.unique(mesh.label, return_inverse=True)
    names = found.tolist()
    across = number[cKDTree(centre).query(centre * [-1, 1, 1])[1]]
    shared = np.zeros((len(names), len(names)))
    np.add.at(shared, (number, across), area)
    image = shared.argmax(axis=1)
    for name, other in enumerate(image):
        share = shared[name, other] / shared[name].sum()
        if image[other] != name or share < _OWN_IMAGE:
            told = f"part {names[name]!r} has {100 * share:.0f} % of its mirror image in {names[other]!r}"
            raise ValueError(
                f"{told}, and that one in {names[image[other]]!r}: name left and right parts alike, or chart "
                "it without symmetry (--symmetry none)"
            )
    return {names[name]: names[other] for name, other in enumerate(image)}


def _cut_along_plane(mesh: Mesh) -> Mesh:
    """The mesh with its triangles cut along x = 0, and vertices near the plane on it."""
    vertices = mesh.vertices.copy()
    vertices[np.abs(vertices[:, 0]) <= _ON_PLANE * diagonal(vertices), 0] = 0
    side = np.sign(vertices[:, 0])
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    crossing = np.unique(edges[(side[edges].prod(axis=1) < 0)], axis=0)
    a, b = vertices[crossing[:, 0]], vertices[crossing[:, 1]]
    share = (a[:, 0] / (a[:, 0] - b[:, 0]))[:, None]
    added = (a + share * (b - a)) * [0, 1, 1]
    between = {tuple(edge): len(vertices) + k for k, edge in enumerate(crossing.tolist())}
    faces, label = [], []
    for row, name in zip(mesh.faces.tolist(), mesh.label.tolist()):
        for triangle in _cut_triangle(row, between):
            faces.append(triangle)
            label.append(name)
    return Mesh(np.concatenate([vertices, added]), np.array(faces), np.array(label, dtype=str))


def _cut_triangle(row: list[int], between: dict[tuple[int, ...], int]) -> list[list[int]]:
    """The pieces of a triangle whose edges have vertices in between."""
    outline: list[int] = []
    for k in range(3):
        outline.append(row[k])
        middle = between.get(tuple(sorted((row[k], row[(k + 1) % 3]))))
        if middle is not None:
            outline.append(middle)
    if len(outline) == 3:
        return [row]
    new = [k for k, vertex in enumerate(outline) if vertex not in row]
    if len(new) == 1:  # from the corner that lies on the plane
        k = new[0]
        outline = outline[k:] + outline[:k]  # new, end, corner on the plane, start
        return [[outline[0], outline[1], outline[2]], [outline[0], outline[2], outline[3]]]
    first = next(k for k in new if (k + 2) % 5 in new)  # the corner between the two stands alone
    outline = outline[first:] + outline[:first]  # new, alone, new, corner, corner
    return [outline[:3], [outline[0], outline[2], outline[3]], [outline[0], outline[3], outline[4]]]
