"""The open body: DensePose's surface and keypoints from MakeHuman's CC0 mesh, made once and cached."""

from __future__ import annotations

import json
import logging
import shutil
import zlib
from collections.abc import Mapping
from functools import cache as memoised
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.runtime.atomic import atomic_folder
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.lock import held
from flow_cache.runtime.progress import timed
from slimdp.surface import makehuman
from slimdp.surface.body import BodySurface
from slimdp.surface.cache import cache_folder
from slimdp.surface.distortion import HIDDEN_BELOW, openness
from slimdp.surface.flatten import flatten, upright
from slimdp.surface.geodesics import write_distances
from slimdp.surface.parts import SEGMENTS, localised, open_foot, open_hand, right_side_parts
from slimdp.surface.people import PEOPLE

#: Raised with every change of what is built, so that an older cache is not taken for it.
VERSION = 3
_RIGHT_HAND, _RIGHT_FOOT = SEGMENTS["hand"].parts[0], SEGMENTS["foot"].parts[0]
_SELF_MIRRORED = SEGMENTS["torso"].parts
_CHECKSUMS = "checksums.json"
_FILES = ("surface.npz", "distances.npy", "keypoints.json")
#: Keypoint -> the bone that begins there ("_l" or "_r" behind it).
JOINT_KEYPOINTS = {
    "shoulder": "upperarm", "elbow": "lowerarm", "wrist": "hand", "hip": "thigh", "knee": "calf",
    "ankle": "foot",
}  # fmt: skip
_LOG = logging.getLogger(__name__)
#: Hidden skin, as inside mouth and nose, is drawn this much smaller: what shows gets the room in the chart.
_HIDDEN_SCALE = 0.25


def open_body(cache: Path | None = None, processes: int = 1) -> BodySurface:
    """The open body, from the cache, or built (about a minute of one core) and cached.

    Its geodesic distances stay on disk and are read as they are asked for. The log names a cache with other
    bytes than were written, and it is built again. `processes` build it side by side; who calls for more than
    one stands under `if __name__ == "__main__"`. Raises OSError where the cache cannot be written, or a
    damaged one cannot be removed, naming it.
    """
    folder = (cache or cache_folder()) / f"open-body-{VERSION}"
    if not folder.is_dir() or damaged_cache_files(folder):
        _build_into(folder, processes)
    with np.load(folder / "surface.npz") as arrays:
        mesh: dict[str, Any] = dict(arrays)
    distances = np.load(folder / "distances.npy", mmap_mode="r")
    keypoints = read_json(folder / "keypoints.json")
    return BodySurface("open", **mesh, distances=distances, layout=PEOPLE, keypoints=keypoints)


def _build_into(folder: Path, processes: int) -> None:
    """Build the cache anew; a killed build leaves no half cache, and the second of two at once waits."""
    with held(folder.with_name(f"{folder.name}.lock"), wait=True):
        if folder.is_dir():
            damaged = damaged_cache_files(folder)
            if not damaged:  # built meanwhile
                return
            _LOG.warning("%s is damaged: building the body again, about a minute", folder / damaged[0])
            shutil.rmtree(folder)
        _build(folder, processes)


def damaged_cache_files(folder: Path) -> list[str]:
    """The files of a cached body that are missing, or hold other bytes than were written."""
    try:
        written = read_json(folder / _CHECKSUMS)
    except (OSError, ValueError):
        written = None
    if not isinstance(written, dict):
        return [_CHECKSUMS]
    return [name for name in _FILES if written.get(name) != _checksum(folder / name)]


def _checksum(file: Path) -> int | None:
    """CRC-32 of a file (0.07 s for the distances); None for one that cannot be read."""
    crc = 0
    try:
        with open(file, "rb") as opened:
            while block := opened.read(1 << 20):
                crc = zlib.crc32(block, crc)
    except OSError:
        return None
    return crc


def _build(folder: Path, processes: int) -> None:
    with timed("build the body, once, about a minute"), atomic_folder(folder) as temporary:
        everything = makehuman.shaped_vertices(makehuman.BodyShape())
        rig, mirror = makehuman.rig(), makehuman.vertex_mirror()
        right = right_triangles(everything)
        right_part = right_side_parts(everything, right, rig)
        right_uv = _right_charts(everything, right, right_part)
        left, left_part, left_uv = mirror_faces(right, right_part, right_uv)
        vertices = everything[: makehuman.BODY_VERTICES]
        faces, part = np.concatenate([right, left]), np.concatenate([right_part, left_part])
        uv = np.concatenate([right_uv, left_uv]).astype(np.float32)
        np.savez(temporary / "surface.npz", vertices=vertices, faces=faces, face_part=part, face_uv=uv)
        write_distances(temporary / "distances.npy", vertices, faces, mirror, processes)
        anchors = keypoint_vertices(vertices, keypoint_joints(everything))
        (temporary / "keypoints.json").write_text(json.dumps(anchors, indent=1))
        checksums = {name: _checksum(temporary / name) for name in _FILES}
        (temporary / _CHECKSUMS).write_text(json.dumps(checksums, indent=1))


def right_triangles(vertices: np.ndarray) -> np.ndarray:
    """The right half's quads cut along their shorter diagonals, as triangles (F, 3)."""
    quads = makehuman.base_mesh()[1]
    quads = quads[vertices[quads].mean(axis=1)[:, 0] < 0]
    corner = vertices[quads]
    first, second = (np.linalg.norm(corner[:, k] - corner[:, k + 2], axis=1) for k in (0, 1))
    along_first, along_second = quads[:, [[0, 1, 2], [0, 2, 3]]], quads[:, [[0, 1, 3], [1, 2, 3]]]
    return np.where((first <= second)[:, None, None], along_first, along_second).reshape(-1, 3)


def mirror_faces(
    faces: np.ndarray, part: np.ndarray, uv: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The left half from the right one: faces, parts, and (u, v) as `UvSymmetry` wants them."""
    mirrored_uv = uv[:, ::-1].copy()  # the winding is reversed, so that outside stays outside
    torso = np.isin(part, _SELF_MIRRORED)
    mirrored_uv[torso, :, 0] = 1 - mirrored_uv[torso, :, 0]
    return makehuman.vertex_mirror()[faces][:, ::-1], PEOPLE.flip_part[part], mirrored_uv


def _right_charts(vertices: np.ndarray, right: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(u, v) in [0, 1] (F, 3, 2) of the right half's face corners.

    v runs up torso and head, and along the bones of the limbs towards the trunk.
    """
    uv = np.zeros((len(right), 3, 2))
    rig, mirror = makehuman.rig(), makehuman.vertex_mirror()
    hidden = openness(vertices, np.concatenate([right, mirror[right][:, ::-1]]))[: len(right)] < HIDDEN_BELOW
    axis_of = {label: segment.axis for segment in SEGMENTS.values() for label in segment.parts}
    for label in np.unique(part):
        mine = part == label
        faces, scale = right[mine], np.where(hidden[mine], _HIDDEN_SCALE, 1.0)
        if label in _SELF_MIRRORED:
            faces, scale = np.concatenate([faces, mirror[faces][:, ::-1]]), np.tile(scale, 2)
        local, source = _laid_open(vertices, faces, label)
        flat = flatten(vertices[source], local, scale if hidden[mine].any() else None)
        axis = axis_of[label]
        up = rig.head(axis, vertices) - rig.tail(axis, vertices) if axis else np.array([0.0, 1.0, 0.0])
        plane = upright(flat, vertices[source] @ up)
        if label in _SELF_MIRRORED:
            twin = np.searchsorted(source, mirror[source])
            plane = (plane + plane[twin] * [-1, 1]) / 2
        plane = (plane - plane.min(axis=0)) / np.ptp(plane, axis=0)
        uv[mine] = plane[local[: mine.sum()]]
    return uv


def _laid_open(vertices: np.ndarray, faces: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    """A part as a disk: faces (F, 3), and for each of its vertices the vertex (K,) of the body."""
    if label == _RIGHT_HAND:
        return open_hand(vertices, faces, makehuman.rig())
    if label == _RIGHT_FOOT:
        return open_foot(vertices, faces)
    return localised(faces)


def keypoint_joints(vertices: np.ndarray) -> dict[str, np.ndarray]:
    """Keypoints (3,) of a body, vertices (19158, 3), metres, helpers included, in the rest pose.

    Joints lie inside the limbs, points of the face on the skin.
    """
    joints = {
        f"{side}_{name}": makehuman.rig().head(f"{bone}_{side[0]}", vertices)
        for side in ("left", "right")
        for name, bone in JOINT_KEYPOINTS.items()
    }
    return joints | {name: vertices[vertex] for name, vertex in face_vertices().items()}


@memoised
def face_vertices() -> dict[str, int]:
    """The skin's vertices at the keypoints of the head, found on the average body."""
    vertices = makehuman.shaped_vertices(makehuman.BodyShape())
    skin, rig, mirror = vertices[: makehuman.BODY_VERTICES], makehuman.rig(), makehuman.vertex_mirror()
    head = np.flatnonzero(rig.weights[:, rig.names.index("head")] > 0.5)
    middle = head[np.abs(skin[head, 0]) < 1e-6]
    right = head[skin[head, 0] < 0]
    nose = int(middle[skin[middle, 2].argmax()])
    ear = int(right[skin[right, 0].argmin()])
    first, last = makehuman.vertex_groups()["helper-r-eye"][0]
    eye_front = vertices[first : last + 1].mean(axis=0) + [0, 0, 0.02]
    eye = int(right[np.linalg.norm(skin[right] - eye_front, axis=1).argmin()])
    top = int(middle[skin[middle, 1].argmax()])
    neck_joint = rig.head("neck_01", vertices)
    throat = np.flatnonzero((np.abs(skin[:, 0]) < 1e-6) & (skin[:, 2] > neck_joint[2]))
    bottom = int(throat[np.abs(skin[throat, 1] - neck_joint[1]).argmin()])
    return {
        "nose": nose, "right_eye": eye, "left_eye": int(mirror[eye]), "right_ear": ear,
        "left_ear": int(mirror[ear]), "head_top": top, "head_bottom": bottom,
    }  # fmt: skip


def keypoint_vertices(skin: np.ndarray, joints: Mapping[str, np.ndarray]) -> dict[str, int]:
    """The vertex of the skin (V, 3) nearest to each keypoint; left ones mirror right ones."""
    mirror = makehuman.vertex_mirror()
    left = [name for name in joints if name.startswith("left_")]
    anchors = {
        name: int(np.linalg.norm(skin - joints[name], axis=1).argmin()) for name in joints if name not in left
    }
    return anchors | {name: int(mirror[anchors[name.replace("left", "right")]]) for name in left}
