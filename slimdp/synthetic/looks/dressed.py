"""A look on the body: the colour of every surface point, and how far cloth and hair stand off the skin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from slimdp.surface import BodySurface
from slimdp.synthetic.looks.accessories import accessories_thickness, covers_hat, paint_accessories
from slimdp.synthetic.looks.bottoms import bottom_thickness, paint_bottom
from slimdp.synthetic.looks.footwear import footwear_thickness, paint_footwear
from slimdp.synthetic.looks.hair import hair_thickness, paint_hair
from slimdp.synthetic.looks.look import Look
from slimdp.synthetic.looks.places import (
    HAND,
    HEAD,
    LEG,
    TORSO,
    Landmarks,
    Places,
    find_landmarks,
    find_places,
)
from slimdp.synthetic.looks.skin import paint_face, skin_colour
from slimdp.synthetic.looks.stand_off import hollows, without_flips
from slimdp.synthetic.looks.tops import paint_top, top_thickness

#: Cloth that stands off so far, metres, spans all hollows instead of following them.
_SPANNING = 0.012
_HOLLOW_ROUNDS = 60


@dataclass(frozen=True)
class Dressed:
    """A look fitted to a surface."""

    look: Look
    surface: BodySurface
    marks: Landmarks
    thickness: np.ndarray  # (V,) metres that cloth, hair and shoes stand off the skin

    def colour(self, face: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        """Colours (N, 3) RGB 0..1, before light, of N surface points: face (N,), weights (N, 3)."""
        points = self.surface.positions(face, barycentric)
        places = find_places(points, self.surface.face_part[face], self.marks)
        look, marks = self.look, self.marks
        colour = skin_colour(look.skin, places, marks)
        paint_face(look.skin, colour, places, marks)
        paint_footwear(look.shoes, colour, places, marks)
        layers = (paint_bottom, look.bottom), (paint_top, look.top)
        for paint, garment in reversed(layers) if look.tucked else layers:
            paint(garment, colour, places, marks)
        paint_hair(look.hair, look.skin.tone, colour, places, marks)
        paint_accessories(look.wear, colour, places, marks)
        return np.clip(colour, 0, 1)


class _Same:
    """Compares by identity, so that what holds arrays can be a key; it keeps its object alive."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


def dress(look: Look, surface: BodySurface) -> Dressed:
    """Fit a look to a surface; the last 16 are remembered, since all frames of a clip share them."""
    return _dress(_Same(look), _Same(surface))


@lru_cache(maxsize=16)
def _dress(look: _Same, surface: _Same) -> Dressed:
    assert isinstance(look.value, Look)
    assert isinstance(surface.value, BodySurface)
    body = _measure(surface)
    thickness = _thickness(look.value, body)
    thickness = without_flips(surface.value.vertices, surface.value.faces, thickness)
    return Dressed(look.value, surface.value, body.marks, thickness)


@dataclass(frozen=True)
class _Measured:
    marks: Landmarks
    places: Places  # of the vertices
    hollow: np.ndarray  # (V,) metres that loose cloth spans


@lru_cache(maxsize=2)
def _measure(surface: _Same) -> _Measured:
    body = surface.value
    assert isinstance(body, BodySurface)
    marks = find_landmarks(body)
    part = np.zeros(len(body.vertices), dtype=np.int64)
    part[body.faces] = body.face_part[:, None]
    places = find_places(body.vertices, part, marks)
    hollow = hollows(body.vertices, body.faces, _HOLLOW_ROUNDS) * np.isin(places.region, (TORSO, LEG))
    return _Measured(marks, places, hollow)


def _thickness(look: Look, body: _Measured) -> np.ndarray:
    """(V,) metres, before a look at whether triangles turn over."""
    places, marks = body.places, body.marks
    outer = top_thickness(look.top, places, marks)
    outer += body.hollow * min(look.top.stand_off / _SPANNING, 1) * (outer > 0)
    inner = bottom_thickness(look.bottom, places, marks)
    inner += body.hollow * min(look.bottom.stand_off / _SPANNING, 1) * (inner > 0)
    if look.tucked:
        outer, inner = inner, outer
    cloth = np.where(outer > 0, np.maximum(outer, inner + 0.001), inner)
    cloth = np.maximum(cloth, footwear_thickness(look.shoes, places, marks))
    worn = accessories_thickness(look.wear, places, marks)
    hair = np.where(covers_hat(look.wear, places, marks), 0.004, hair_thickness(look.hair, places, marks))
    # Ears, eyes and the mouth's inside stay as they are, and so do bare hands.
    bare = (places.region == HEAD) & (hair == 0) & (cloth == 0) & (worn == 0)
    bare |= (places.region == HAND) & (worn == 0)
    return np.where(bare, 0, np.maximum(np.maximum(cloth, worn), hair))


def surface_colour(look: Look, surface: BodySurface, face: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
    """Colours (N, 3) RGB 0..1, before light, of N points of the skin.

    Args:
        look: of the person.
        surface: the average body, where the garments are cut.
        face: (N,) triangles.
        barycentric: (N, 3) weights.
    """
    return dress(look, surface).colour(face, barycentric)


def garment_thickness(look: Look, surface: BodySurface) -> np.ndarray:
    """How far (V,) in metres cloth, hair and shoes, with their folds, stand off the skin at each vertex."""
    return dress(look, surface).thickness
