"""Labels of rendered people as other sources of supervision would give them (DensePose, 4.1.1, figure 10).

Exact: the truth at a grid of pixels, as of SURREAL's renderings. Fitted: the same of a body model that was
fitted to the picture, whose hands and feet lie beside the person's, as in Unite the People: "even after
rejecting a large fraction of the fitting results, the feet are still often misaligned".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from slimdp.structures import LabelSource, PersonAnnotation
from slimdp.surface import PEOPLE, BodySurface
from slimdp.synthetic.labels import coarse_in_box

#: The ends of limbs, by the keypoint there, the one before it, and the coarse parts that move with it.
LIMBS = tuple(
    (f"{side}_{end}", f"{side}_{before}", tuple(f"{side} {part}" for part in parts))
    for side in ("left", "right")
    for end, before, parts in (
        ("ankle", "knee", ("foot", "lower leg")),
        ("wrist", "elbow", ("hand", "lower arm")),
    )
)
#: How far about the end of a limb the fit is off: by exp(-1/2) of the whole at so many cm.
_REACH_CM = 15.0
#: The random part of a limb's shift, a standard deviation along each axis, in the systematic part.
_SCATTER = 0.5
_PAIR_PX, _FEWEST_PAIRS, _MOST_PAIRS = 4, 10, 400


@dataclass(frozen=True)
class Misfit:
    """How far the ends of a fitted body's limbs lie from the person's, cm of a limb that faces the camera.

    All are too short by the same, and each is off by a random half of it in any direction.
    """

    feet_cm: float
    hands_cm: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < _REACH_CM:  # a larger shift would fold the limb
                raise ValueError(f"{name} = {value}, but 0 or more and less than {_REACH_CM:g} is wanted")


def surrogate_labels(
    person: PersonAnnotation, iuv: np.ndarray, surface: BodySurface, step: int, misfit: Misfit | None,
    rng: np.random.Generator,
) -> PersonAnnotation:  # fmt: skip
    """A person with points at every `step`-th pixel of the box, both ways, and masks that agree with them.

    Args:
        person: with `mask` and keypoints.
        iuv: (H, W, 3) uint8 of `read_truth`.
        misfit: None: exact.

    Raises ValueError for a person without a mask, or labels of other parts than people's.
    """
    if person.mask is None or person.layout != PEOPLE:
        raise ValueError(f"annotation {person.id}: an outline (segmentation) and people's parts are wanted")
    iuv = np.where(person.mask[..., None], iuv, 0)
    if misfit is not None:
        iuv = fitted(person, iuv, surface, misfit, rng)
    part = iuv[..., 0].astype(np.int64)
    left, top = np.ceil(person.box[:2]).astype(int)
    right, bottom = np.floor(person.box[:2] + person.box[2:]).astype(int)
    row, column = np.mgrid[top + step // 2 : bottom : step, left + step // 2 : right : step].reshape(2, -1)
    shown = part[row, column] > 0
    row, column = row[shown], column[shown]
    count = len(row)
    return replace(
        person, points=np.stack([column, row], axis=1).astype(np.float64), part=part[row, column],
        uv=(iuv[row, column, 1:] / 255).astype(np.float32),
        source=np.full(count, LabelSource.ANNOTATOR, np.int64), step=np.zeros(count, np.int64),
        confidence=None, mask=part > 0, coarse=coarse_in_box(PEOPLE.coarse_of_part[part], person.box),
    )  # fmt: skip


def fitted(
    person: PersonAnnotation, iuv: np.ndarray, surface: BodySurface, misfit: Misfit, rng: np.random.Generator
) -> np.ndarray:
    """What a misaligned body shows, (H, W, 3) uint8, of what the person shows.

    Each lower limb is moved in the picture, most at its end; where it was, nothing is left, and where it
    comes to lie, it hides the rest. Limbs whose end is outside of the picture stay.
    """
    scale = px_per_cm(iuv, surface)
    if scale is None or person.keypoints is None:
        return iuv
    coarse = PEOPLE.coarse_of_part[iuv[..., 0]]
    names = ("background", *PEOPLE.coarse_parts)
    place = dict(zip(person.keypoint_names, person.keypoints))
    moved = iuv.copy()
    layers = []
    for end, before, parts in LIMBS:
        drawn = rng.normal(size=2)  # for every limb, so that one out of sight changes no other
        if end not in place or place[end][2] == 0:
            continue
        limb = np.isin(coarse, [names.index(part) for part in parts])
        shift_cm = misfit.feet_cm if end.endswith("ankle") else misfit.hands_cm
        shift = _SCATTER * drawn
        if before in place and place[before][2] > 0:
            along = place[before][:2] - place[end][:2]
            shift = shift + along / max(float(np.linalg.norm(along)), 1.0)
        layers.append(
            _moved(np.where(limb[..., None], iuv, 0), place[end][:2], shift_cm * scale * shift, scale)
        )
        moved[limb] = 0
    for layer in layers:
        moved = np.where(layer[..., :1] > 0, layer, moved)
    return moved


def _moved(iuv: np.ndarray, end: np.ndarray, shift: np.ndarray, scale: float) -> np.ndarray:
    """Labels (H, W, 3) moved by a shift (2,) x, y px about an end (2,) px, less farther away."""
    height, width = iuv.shape[:2]
    row, column = np.mgrid[:height, :width]
    away = ((column - end[0] - shift[0]) ** 2 + (row - end[1] - shift[1]) ** 2) / (_REACH_CM * scale) ** 2
    share = np.exp(-away / 2)
    x, y = np.rint(column - share * shift[0]).astype(int), np.rint(row - share * shift[1]).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.where(inside[..., None], iuv[y.clip(0, height - 1), x.clip(0, width - 1)], 0)


def px_per_cm(iuv: np.ndarray, surface: BodySurface) -> float | None:
    """Px of a picture to a cm of the body where it faces the camera; None where too little of it is seen.

    By how far apart the places of pixels near one another are on the body, of which the lowest fifth are
    taken to face the camera.
    """
    part = iuv[..., 0]
    first, second = [], []
    for down, right in ((0, _PAIR_PX), (_PAIR_PX, 0)):
        here = part[: part.shape[0] - down, : part.shape[1] - right]
        there = part[down:, right:]
        places = np.argwhere((here > 0) & (here == there))
        first.append(places)
        second.append(places + [down, right])
    pairs = np.concatenate(first), np.concatenate(second)
    if len(pairs[0]) < _FEWEST_PAIRS:
        return None
    chosen = np.unique(np.linspace(0, len(pairs[0]) - 1, _MOST_PAIRS).round().astype(int))
    found = [iuv[places[chosen][:, 0], places[chosen][:, 1]] for places in pairs]
    space = [
        surface.positions(*surface.locate(each[:, 0].astype(np.int64), each[:, 1:] / 255)) for each in found
    ]
    cm = 100 * np.linalg.norm(space[0] - space[1], axis=1)
    return _PAIR_PX / max(float(np.quantile(cm, 0.2)), 1e-3)
