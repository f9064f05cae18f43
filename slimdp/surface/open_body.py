"""The open body: DensePose's surface rebuilt from MakeHuman's CC0 mesh, made once and cached."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import cache as memoised
from pathlib import Path

import numpy as np

from slimdp.atomic import whole_folder
from slimdp.surface import makehuman
from slimdp.surface.body import BodySurface
from slimdp.surface.charts import flatten
from slimdp.surface.geodesics import distances_from, surface_graph
from slimdp.surface.parts import RIGHT_PARTS, right_side_parts
from slimdp.surface.seams import open_hand
from slimdp.surface.symmetry import FLIP_PART, UvSymmetry

#: Raised with every change of what is built, so that an older cache is not taken for it.
VERSION = 1
_RIGHT_HAND = RIGHT_PARTS["hand"][0]
_SELF_MIRRORED = RIGHT_PARTS["torso"]
_ROWS_A_BLOCK = 256

#: Keypoint -> the bone of the right side, and which of its ends ("_l" for the left side).
JOINT_KEYPOINTS = {
    "shoulder": ("upperarm", "head"),
    "elbow": ("lowerarm", "head"),
    "wrist": ("hand", "head"),
    "hip": ("thigh", "head"),
    "knee": ("calf", "head"),
    "ankle": ("foot", "head"),
}


def cache_folder() -> Path:
    """Where built surfaces are kept: $SLIMDP_CACHE, or slimdp in the user's cache folder."""
    # Set but empty is as good as unset: Path("") would be the working directory.
    if chosen := os.environ.get("SLIMDP_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slimdp"


def open_body(cache: Path | None = None) -> BodySurface:
    """The open body, from the cache, or built (half a minute) and cached.

    Its geodesic distances stay on disk and are read as they are asked for.
    """
    folder = (cache or cache_folder()) / f"open-body-{VERSION}"
    if not folder.is_dir():
        _build_into(folder)
    with np.load(folder / "surface.npz") as arrays:
        return BodySurface(
            name="open",
            vertices=arrays["vertices"],
            faces=arrays["faces"],
            face_part=arrays["face_part"],
            face_uv=arrays["face_uv"],
            distances=np.load(folder / "distances.npy", mmap_mode="r"),
            symmetry=UvSymmetry(),
            keypoints=json.loads((folder / "keypoints.json").read_text()),
        )


def _build_into(folder: Path) -> None:
    """Build the cache; a killed build leaves no half cache, and of two at once either result will do."""
    with suppress(FileExistsError), whole_folder(folder) as temporary:
        everything = makehuman.shaped_vertices(makehuman.BodyShape())
        rig, mirror = makehuman.rig(), makehuman.vertex_mirror()
        right = right_triangles(everything)
        right_part = right_side_parts(everything, right, rig)
        right_uv = _right_charts(everything, right, right_part)
        left, left_part, left_uv = mirror_faces(right, right_part, right_uv)
        vertices = everything[: makehuman.BODY_VERTICES]
        faces = np.concatenate([right, left])
        np.savez(
            temporary / "surface.npz",
            vertices=vertices,
            faces=faces,
            face_part=np.concatenate([right_part, left_part]),
            face_uv=np.concatenate([right_uv, left_uv]).astype(np.float32),
        )
        _write_distances(temporary / "distances.npy", vertices, faces, mirror)
        (temporary / "keypoints.json").write_text(json.dumps(keypoint_vertices(everything), indent=1))


def right_triangles(vertices: np.ndarray) -> np.ndarray:
    """The right half's quads cut along their shorter diagonals, as triangles (F, 3)."""
    quads = makehuman.base_mesh()[1]
    quads = quads[vertices[quads].mean(axis=1)[:, 0] < 0]
    corner = vertices[quads]
    first = np.linalg.norm(corner[:, 0] - corner[:, 2], axis=1)
    second = np.linalg.norm(corner[:, 1] - corner[:, 3], axis=1)
    along_first, along_second = quads[:, [[0, 1, 2], [0, 2, 3]]], quads[:, [[0, 1, 3], [1, 2, 3]]]
    return np.where((first <= second)[:, None, None], along_first, along_second).reshape(-1, 3)


def mirror_faces(
    faces: np.ndarray, part: np.ndarray, uv: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The left half from the right one: faces, parts, and (u, v) as `UvSymmetry` wants them."""
    mirrored_uv = uv[:, ::-1].copy()  # the winding is reversed, so that outside stays outside
    torso = np.isin(part, _SELF_MIRRORED)
    mirrored_uv[torso, :, 0] = 1 - mirrored_uv[torso, :, 0]
    return makehuman.vertex_mirror()[faces][:, ::-1], FLIP_PART[part], mirrored_uv


def _right_charts(vertices: np.ndarray, right: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(u, v) in [0, 1] (F, 3, 2) of the right half's face corners. v runs up the body in its rest pose."""
    uv = np.zeros((len(right), 3, 2))
    mirror = makehuman.vertex_mirror()
    for label in np.unique(part):
        faces = right[part == label]
        if label in _SELF_MIRRORED:
            faces = np.concatenate([faces, mirror[faces][:, ::-1]])
        if label == _RIGHT_HAND:
            local, source = open_hand(vertices, faces, makehuman.rig())
        else:
            source, local = np.unique(faces, return_inverse=True)
            local = local.reshape(-1, 3)
        plane = _upright(flatten(vertices[source], local), vertices[source])
        if label in _SELF_MIRRORED:
            twin = np.searchsorted(source, mirror[source])
            plane = (plane + plane[twin] * [-1, 1]) / 2
        plane = (plane - plane.min(axis=0)) / np.ptp(plane, axis=0)
        uv[part == label] = plane[local[: (part == label).sum()]]
    return uv


def _upright(plane: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Turn a flat part (V, 2) so that its second axis follows the height of its vertices; centred."""
    centred = plane - plane.mean(axis=0)
    up = np.linalg.lstsq(centred, vertices[:, 1] - vertices[:, 1].mean(), rcond=None)[0]
    up /= np.linalg.norm(up)
    return centred @ np.stack([[up[1], -up[0]], up], axis=1)


def _write_distances(path: Path, vertices: np.ndarray, faces: np.ndarray, mirror: np.ndarray) -> None:
    """All geodesic distances, condensed, float16 (0.5 mm at 1 m): the right half's, mirrored for the left."""
    graph = surface_graph(vertices, faces)
    count = len(vertices)
    table = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(count * (count - 1) // 2,))
    right = np.flatnonzero(vertices[:, 0] <= 0)
    for start in range(0, len(right), _ROWS_A_BLOCK):
        block = right[start : start + _ROWS_A_BLOCK]
        for vertex, row in zip(block, distances_from(graph, block)):
            for a, distance in ((vertex, row), (mirror[vertex], row[mirror])):
                table[a * (a - 1) // 2 : a * (a - 1) // 2 + a] = distance[:a]
    table.flush()


def keypoint_joints(vertices: np.ndarray) -> dict[str, np.ndarray]:
    """Keypoints (3,) of a body: joints inside the limbs, points of the face on the skin.

    Args:
        vertices: (19158, 3) metres, helpers included, in the rest pose.
    """
    rig = makehuman.rig()
    skin = vertices[: makehuman.BODY_VERTICES]
    points: dict[str, np.ndarray] = {}
    for side, ending in (("left", "_l"), ("right", "_r")):
        for name, (bone, end) in JOINT_KEYPOINTS.items():
            joint = rig.head_vertices if end == "head" else rig.tail_vertices
            points[f"{side}_{name}"] = vertices[joint[rig.names.index(bone + ending)]].mean(axis=0)
    for name, vertex in face_vertices().items():
        points[name] = skin[vertex]
    return points


@memoised
def face_vertices() -> dict[str, int]:
    """The skin's vertices at the keypoints of the head, found on the average body."""
    vertices = makehuman.shaped_vertices(makehuman.BodyShape())
    skin, rig, mirror = vertices[: makehuman.BODY_VERTICES], makehuman.rig(), makehuman.vertex_mirror()
    bones = [rig.names.index("head"), rig.names.index("neck_01")]
    head = np.flatnonzero(rig.weights[:, bones[0]] > 0.5)
    middle = head[np.abs(skin[head, 0]) < 1e-6]
    right = head[skin[head, 0] < 0]
    nose = int(middle[skin[middle, 2].argmax()])
    ear = int(right[skin[right, 0].argmin()])
    groups = json.loads(
        (makehuman.data_folder() / "mesh_metadata" / "basemesh_vertex_groups.json").read_text()
    )
    eye_centre = vertices[groups["helper-r-eye"][0][0] : groups["helper-r-eye"][0][1] + 1].mean(axis=0)
    eye_front = eye_centre + [0, 0, 0.02]
    eye = int(right[np.linalg.norm(skin[right] - eye_front, axis=1).argmin()])
    top = int(middle[skin[middle, 1].argmax()])
    neck_joint = vertices[rig.head_vertices[bones[1]]].mean(axis=0)
    throat = np.flatnonzero((np.abs(skin[:, 0]) < 1e-6) & (skin[:, 2] > neck_joint[2]))
    bottom = int(throat[np.abs(skin[throat, 1] - neck_joint[1]).argmin()])
    return {
        "nose": nose, "right_eye": eye, "left_eye": int(mirror[eye]), "right_ear": ear,
        "left_ear": int(mirror[ear]), "head_top": top, "head_bottom": bottom,
    }  # fmt: skip


def keypoint_vertices(vertices: np.ndarray) -> dict[str, int]:
    """For every keypoint, the nearest vertex of the skin."""
    skin = vertices[: makehuman.BODY_VERTICES]
    joints = keypoint_joints(vertices)
    return {name: int(np.linalg.norm(skin - point, axis=1).argmin()) for name, point in joints.items()}
