"""What few people wear beside clothes: hats, glasses, gloves, a watch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.synthetic.looks.colours import garment_colours
from slimdp.synthetic.looks.places import ARM, HAND, HEAD, Landmarks, Places

HATS = ("none", "cap", "beanie", "headband")
GLASSES = ("none", "rims", "dark")


@dataclass(frozen=True)
class Accessories:
    """Small things; most people wear none."""

    hat: str  # one of HATS
    glasses: str  # one of GLASSES
    gloves: bool
    watch: int  # 1 on the left wrist, -1 on the right one, 0 none
    colours: np.ndarray  # (4, 3) RGB of hat, hat's band, glasses and watch, gloves


def random_accessories(rng: np.random.Generator) -> Accessories:
    """Accessories at random."""
    colours = garment_colours(rng, 4)
    colours[2] *= 0.3
    return Accessories(
        hat=str(rng.choice(HATS, p=[0.86, 0.07, 0.05, 0.02])),
        glasses=str(rng.choice(GLASSES, p=[0.82, 0.13, 0.05])),
        gloves=bool(rng.random() < 0.04),
        watch=int(rng.choice([0, 1, -1], p=[0.65, 0.25, 0.1])),
        colours=colours,
    )


def _hat_edge(places: Places, marks: Landmarks) -> np.ndarray:
    """Height (N,) of a hat's lower edge: over the brows, over the ears, lower behind."""
    return np.interp(
        places.point[:, 2],
        [-0.05, 0.03, 0.14],
        [marks.ear[1] + 0.02, marks.ear[1] + 0.035, marks.eye[1] + 0.042],
    )


def covers_hat(wear: Accessories, places: Places, marks: Landmarks) -> np.ndarray:
    """Where (N,) a hat lies."""
    if wear.hat == "none":
        return np.zeros(len(places), dtype=bool)
    above = places.point[:, 1] - _hat_edge(places, marks)
    return (places.region == HEAD) & (above > 0) & (above < (0.045 if wear.hat == "headband" else 1))


def _brim(wear: Accessories, places: Places, marks: Landmarks) -> np.ndarray:
    above = places.point[:, 1] - _hat_edge(places, marks)
    front = places.point[:, 2] > marks.eye[2] - 0.045
    return (wear.hat == "cap") & (places.region == HEAD) & (above > 0) & (above < 0.011) & front


def paint_accessories(wear: Accessories, colour: np.ndarray, places: Places, marks: Landmarks) -> None:
    """Paint gloves, a watch, glasses and a hat into colours (N, 3)."""
    if wear.gloves:
        colour[(places.region == HAND) | ((places.region == ARM) & (places.along > 1.97))] = wear.colours[3]
    if wear.watch:
        wrist = (
            (places.region == ARM) & (places.left == (wear.watch > 0)) & (np.abs(places.along - 1.88) < 0.05)
        )
        colour[wrist] = wear.colours[2]
    if wear.glasses != "none":
        _paint_glasses(wear, colour, places, marks)
    hat = np.flatnonzero(covers_hat(wear, places, marks))
    if len(hat):
        point = places.point[hat]
        around = np.arctan2(point[:, 0], point[:, 2] - 0.04)
        ribs = np.cos(around * (70 if wear.hat == "beanie" else 6))
        ribs = 1 + (0.12 * ribs if wear.hat == "beanie" else -0.3 * (np.abs(ribs) < 0.06))
        painted = wear.colours[0] * ribs[:, None]
        edge = point[:, 1] - _hat_edge(places.take(hat), marks)
        painted[edge < (0.04 if wear.hat == "beanie" else 0.011)] = wear.colours[1]
        colour[hat] = painted


def _paint_glasses(wear: Accessories, colour: np.ndarray, places: Places, marks: Landmarks) -> None:
    where = np.flatnonzero((places.region == HEAD) & (np.abs(places.point[:, 1] - marks.eye[1]) < 0.04))
    x, y, z = places.side[where], places.point[where, 1], places.point[where, 2]
    face = colour[where]
    across, over = np.abs(x - marks.eye[0]) / 0.025, np.abs(y - marks.eye[1] + 0.003) / 0.019
    lens = (across**3 + over**3) ** (1 / 3)
    before = z > marks.eye[2] - 0.045
    if wear.glasses == "dark":
        face[before & (lens < 1)] = wear.colours[2] * 0.4
    bridge = before & (x < 0.008) & (np.abs(y - marks.eye[1]) < 0.0025)
    arms = ~before & (z > marks.ear[2]) & (np.abs(y - marks.eye[1] - 0.002) < 0.0025)
    face[(before & (np.abs(lens - 1) < 0.13)) | bridge | arms] = wear.colours[2]
    colour[where] = face


def accessories_thickness(wear: Accessories, places: Places, marks: Landmarks) -> np.ndarray:
    """How far (N,) metres hats and gloves stand off the skin."""
    gloves = 0.0015 * ((places.region == HAND) & wear.gloves)
    height = {"none": 0.0, "cap": 0.012, "beanie": 0.016, "headband": 0.006}[wear.hat]
    hat = height * covers_hat(wear, places, marks)
    return np.maximum(gloves, np.where(_brim(wear, places, marks), 0.055, hat))
