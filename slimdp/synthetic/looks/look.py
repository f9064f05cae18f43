"""The look of one person: all that is worn, skin and hair, and how they lie on the body."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array, diags_array

from slimdp.surface import BodySurface
from slimdp.synthetic.looks import accessories, garments
from slimdp.synthetic.looks.accessories import Accessories, Footwear, Hair
from slimdp.synthetic.looks.cap import with_peak
from slimdp.synthetic.looks.garments import Bottom, Top
from slimdp.synthetic.looks.places import HAND, LEG, TORSO, Landmarks, Places, find_landmarks, find_places
from slimdp.synthetic.looks.shoe_shape import over_toes
from slimdp.synthetic.looks.skin import Skin, paint_face, random_skin, skin_colour
from slimdp.synthetic.looks.skirt import hanging, of_one_piece

#: A triangle may lean so far: the cosine between its normal before and after.
_LEAST_COSINE = 0.15
_ROUNDS = 60
#: Rounds of smoothing of the directions in which things stand off: over creases they would cross.
_DIRECTION_ROUNDS = 8


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Normals (F, 3), twice as long as the faces are large."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def directions_out(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit directions (V, 3): the vertex normals, by area, smoothed over neighbours."""
    normal = face_normals(vertices, faces)
    total = np.zeros((len(vertices), 3))
    for axis in range(3):
        for k in range(3):
            total[:, axis] += np.bincount(faces[:, k], weights=normal[:, axis], minlength=len(vertices))
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    half_mean = _half_mean(len(vertices), faces.tobytes())
    for _ in range(_DIRECTION_ROUNDS):
        total = 0.5 * total + half_mean @ total
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


@lru_cache(maxsize=4)
def _half_mean(vertex_count: int, key: bytes) -> csr_array:
    """(V, V) that gives half the mean of every vertex's neighbours, from the bytes of int64 faces (F, 3)."""
    faces = np.frombuffer(key, dtype=np.int64).reshape(-1, 3)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    beside = csr_array((np.ones(len(edges)), tuple(edges.T)), shape=(vertex_count, vertex_count))
    beside = ((beside + beside.T) > 0).astype(np.float64)
    return csr_array(diags_array(0.5 / np.maximum(beside.sum(axis=1), 1)) @ beside)


def relief(
    vertices: np.ndarray, faces: np.ndarray, directions: np.ndarray, rounds: tuple[int, ...]
) -> np.ndarray:
    """How deep each vertex lies under a smoothed skin: what loose cloth spans; negative on bumps.

    Vertices (V, 3) metres; faces (F, 3) are smoothed. The depths (len(rounds), V) are metres along the
    directions (V, 3) out of the skin; more rounds of taking the mean of the neighbours span wider hollows.
    """
    half_mean = _half_mean(len(vertices), faces.tobytes())
    smooth, depths = vertices, []
    for done in range(1, max(rounds) + 1):
        smooth = 0.5 * smooth + half_mean @ smooth
        if done in rounds:
            depths.append(np.einsum("vc,vc->v", smooth - vertices, directions))
    alone = np.bincount(faces.ravel(), minlength=len(vertices)) == 0
    return np.where(alone, 0.0, np.stack(depths))


def moved_out(vertices: np.ndarray, faces: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """Vertices (V, 3) moved out of the skin by a thickness (V,); metres."""
    return vertices + directions_out(vertices, faces) * thickness[:, None]


def without_flips(
    vertices: np.ndarray, faces: np.ndarray, thickness: np.ndarray, margins: tuple[float, ...]
) -> np.ndarray:
    """The thickness (V,), less where `moved_out` would turn a triangle over or nearly so.

    Where it would, the thickness at the triangle's corners is taken down by a third, until it no longer does:
    between fingers and toes, in armpits and behind ears. No triangle may turn over `margins` times as far out
    either. All in metres.
    """
    directions = directions_out(vertices, faces)
    watched = faces[(thickness[faces] > 0).any(axis=1)]
    before = face_normals(vertices, watched)
    size = np.linalg.norm(before, axis=1)
    thickness = thickness.copy()
    for _ in range(_ROUNDS):
        bad = np.zeros(len(watched), dtype=bool)
        for margin in margins:
            after = face_normals(vertices + directions * (margin * thickness)[:, None], watched)
            lean = np.einsum("fc,fc->f", after, before)
            bad |= lean < _LEAST_COSINE * size * np.linalg.norm(after, axis=1)
        if not bad.any():
            break
        thickness[np.unique(watched[bad])] *= 0.67
    return thickness


#: Garment -> its weight among men and among women.
_TOP_SHARES = {
    "t-shirt": (6.0, 4.5), "shirt": (3.0, 1.5), "tank": (0.7, 1.7), "sweater": (2.0, 2.0),
    "hoodie": (2.0, 1.2), "jacket": (2.5, 2.2), "dress": (0.0, 2.2),
}  # fmt: skip
_BOTTOM_SHARES = {
    "trousers": (3.0, 2.0), "jeans": (4.0, 3.0), "joggers": (1.8, 0.8), "shorts": (2.5, 1.5),
    "leggings": (0.15, 2.5), "skirt": (0.0, 1.8),
}  # fmt: skip


@dataclass(frozen=True, eq=False)  # one of them is equal to itself alone
class Look:
    """What one person looks like, whatever the pose."""

    top: Top
    bottom: Bottom
    shoes: Footwear
    skin: Skin
    hair: Hair
    wear: Accessories
    tucked: bool  # the top is worn inside the bottom


def random_look(
    rng: np.random.Generator, patterned: float = 0.7, gender: float = 0.5, age: float = 0.2
) -> Look:
    """Dress a person at random; `patterned` is the share of garments that are not plain, 0..1.

    Gender (0 female .. 1 male) and age (0 young .. 1 old), as of a `BodyShape`, weigh garments and hair.
    """
    hair = accessories.random_hair(rng, gender, age)
    top_kind, bottom_kind = (_choose(rng, shares, gender) for shares in (_TOP_SHARES, _BOTTOM_SHARES))
    if top_kind == "dress":
        bottom_kind = "leggings" if rng.random() < 0.4 else "shorts"
    return Look(
        top=garments.random_top(rng, patterned, top_kind),
        bottom=garments.random_bottom(rng, patterned, bottom_kind),
        shoes=accessories.random_footwear(rng),
        skin=random_skin(rng, hair.tone, gender),
        hair=hair,
        wear=accessories.random_accessories(rng),
        tucked=bool(top_kind in ("shirt", "tank", "t-shirt") and rng.random() < 0.3),
    )


def _choose(rng: np.random.Generator, shares: dict[str, tuple[float, float]], gender: float) -> str:
    weights = np.array([gender * man + (1 - gender) * woman for man, woman in shares.values()])
    return str(rng.choice(list(shares), p=weights / weights.sum()))


#: Cloth that stands off so far, metres, spans all hollows instead of following them.
_SPANNING = 0.012
#: Other bodies are more sharply creased: what passes so many times as far out here passes there.
_MARGINS_ANYBODY = (1.0, 2.0, 3.5, 5.0)
_MARGINS_OWN = (1.0, 1.2)
#: Rounds of smoothing that show bumps to even out, and hollows to span.
_RELIEF_ROUNDS = (25, 90)


@dataclass(frozen=True)
class Dressed:
    """A look fitted to a surface: the average body, where garments are cut."""

    look: Look
    surface: BodySurface
    marks: Landmarks
    places: Places  # of the vertices
    corners: np.ndarray  # (F, 3, 3) float32, where the average body's triangles lie

    def colour(self, face: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        """Colours (N, 3) RGB 0..1, before light, of N surface points: face (N,), weights (N, 3)."""
        corners, weights = self.corners[face], barycentric.astype(np.float32)
        points = sum(weights[:, k, None] * corners[:, k] for k in range(3))
        places = find_places(points, self.surface.face_part[face], self.marks)
        look, marks = self.look, self.marks
        colour = skin_colour(look.skin, places, marks)
        paint_face(look.skin, colour, places, marks)
        accessories.paint_footwear(look.shoes, colour, places, marks)
        if look.tucked:
            garments.paint_top(look.top, colour, places, marks)
        garments.paint_bottom(look.bottom, colour, places, marks)
        if not look.tucked:
            garments.paint_top(look.top, colour, places, marks)
        accessories.paint_hair(look.hair, look.skin.tone, colour, places, marks)
        accessories.paint_accessories(look.wear, colour, places, marks)
        return np.clip(colour, 0, 1)

    def thickness(self, skin: np.ndarray | None = None) -> np.ndarray:
        """How far (V,) metres, never below 0, cloth, hair and shoes with their folds stand off each vertex.

        `moved_out` adds it to a skin; no triangle of the given skin turns over, nor of the average body. The
        skin (V, 3) metres is the person's own at rest, whose hollows cloth spans; the average body's if None.
        """
        body = self.surface.vertices if skin is None else skin
        faces = self.surface.faces
        clothed = np.isin(self.places.region[faces], (TORSO, LEG)).all(axis=1)
        bump, hollow = relief(body, faces[clothed], directions_out(body, faces), _RELIEF_ROUNDS) * [[-1], [1]]
        bump, hollow = np.clip(bump, 0, None), np.clip(hollow, 0, None)
        look, places, marks = self.look, self.places, self.marks
        outer = _draped(garments.top_thickness(look.top, places, marks), look.top.normal_offset, hollow, bump)
        inner = _draped(
            garments.bottom_thickness(look.bottom, places, marks), look.bottom.normal_offset, hollow, bump
        )
        if look.tucked:
            outer, inner = inner, outer
        cloth = np.where(outer > 0, np.maximum(outer, inner + 0.001), inner)
        cloth = np.maximum(cloth, accessories.footwear_thickness(look.shoes, places, marks))
        worn = accessories.accessories_thickness(look.wear, places, marks)
        hat = accessories.covers_hat(look.wear, places, marks)
        hair = np.where(hat, 0.004, accessories.hair_thickness(look.hair, places, marks))
        # Sleeves end before the hands, but the vertices at the wrist belong to both.
        cloth[places.region == HAND] = 0
        margins = _MARGINS_ANYBODY if skin is None else _MARGINS_OWN
        return without_flips(body, faces, np.maximum(np.maximum(cloth, worn), hair), margins)


@lru_cache(maxsize=16)
def dress(look: Look, surface: BodySurface) -> Dressed:
    """Fit a look to a surface; the last 16 are remembered, since all frames of a clip share them."""
    return Dressed(look, surface, *_measure(surface))


@lru_cache(maxsize=2)
def _measure(body: BodySurface) -> tuple[Landmarks, Places, np.ndarray]:
    """Landmarks of a surface, the places of its vertices, and its triangles' corners."""
    marks = find_landmarks(body)
    part = np.zeros(len(body.vertices), dtype=np.int64)
    part[body.faces] = body.face_part[:, None]
    corners = body.vertices[body.faces].astype(np.float32)
    return marks, find_places(body.vertices, part, marks), corners


def _draped(thickness: np.ndarray, normal_offset: float, hollow: np.ndarray, bump: np.ndarray) -> np.ndarray:
    """A garment's thickness (V,) where it spans hollows and evens out bumps, the more the looser it is."""
    share = min(normal_offset / _SPANNING, 1)
    lower = np.maximum(thickness - bump * share, 0.3 * thickness)
    return np.where(thickness > 0, lower + hollow * share, 0)


def clothed_skin(look: Look, surface: BodySurface, skin: np.ndarray) -> np.ndarray:
    """A person's skin (V, 3) metres in the rest pose, moved out to where cloth, hair and shoes are seen."""
    return moved_out(skin, surface.faces, dress(look, surface).thickness(skin))


def tailored_skin(look: Look, surface: BodySurface, skin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `clothed_skin`, with shoes that hide the toes, skirts of one piece and peaked caps; and shares (V,).

    A share is how much, 0 to a half, a vertex goes with the other leg.
    """
    dressed, clothed = dress(look, surface), clothed_skin(look, surface, skin)
    places, marks = dressed.places, dressed.marks
    capped = with_peak(look.wear, clothed, skin, places, marks)
    shod = over_toes(look.shoes, capped, places, marks)
    return of_one_piece(shod, hanging(look.top, look.bottom, places, marks), places)
