"""One person's colours on the body, by the labels and as each row sees them (Slim DensePose, figure 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flow_cache.images import read_image
from slimdp.evaluation import paste_prediction
from slimdp.evaluation.annotators import read_true_map
from slimdp.report.body import TEXTURE_SIGMA_M, texture_colours, texture_picture, view_body
from slimdp.report.panels import body_pixels
from slimdp.structures import DensePoseInstance, ImageRecord, PersonAnnotation
from slimdp.studies.page.page_parts import PagePicture, photograph, png_bytes
from slimdp.surface import BodySurface

_HEIGHT = 330
#: Annotated points are some centimetres apart.
_POINTS_SIGMA_M = 0.025
#: Part (H, W) uint8, 0 where it is not the person, and uv (2, H, W).
_Maps = tuple[np.ndarray, np.ndarray]


def texture_pictures(
    key: str,
    surface: BodySurface,
    frames: Sequence[PersonAnnotation],
    found: Mapping[str, Sequence[DensePoseInstance]],
    images: Path,
) -> list[PagePicture]:
    """Front and back of the body in the colours of a person's pictures.

    The person's pixels are those of the coarse masks or the outline, where the best of all parts counts as
    in the scores; without either, those that the network calls the person.

    Args:
        key: of the study, for the files' names.
        surface: the body.
        frames: the pictures of one person.
        found: row -> a prediction for each.
        images: the set's folder; where it is a rendered one, its maps are the truth, else the points are.

    Returns:
        The truth, then the rows.
    """
    views = [view_body(surface, side, _HEIGHT) for side in (1, -1)]
    pixels = [read_image(person.image.file) for person in frames]
    bodies = [body_pixels(person) for person in frames]
    # No row's name begins like that of the labels' file.
    colours = [("labels", "_labels", _true_colours(surface, frames, pixels, bodies, images))]
    for row, predictions in found.items():
        maps = [_found_maps(*each) for each in zip(predictions, (p.image for p in frames), bodies)]
        colours.append((row, row, texture_colours(surface, *_gather(maps, pixels))))
    pictures = []
    for title, name, of_vertices in colours:
        drawn = texture_picture(surface, views, of_vertices)
        known = skin_share(surface, np.isfinite(of_vertices[:, 0]))
        alt = f"Front and back of the body in the colours that {title} put there"
        picture = photograph(f"{key}_texture_{name}", title, alt, drawn)
        caption = f"some pixel landed on {100 * known:.0f} % of the skin"
        pictures.append(replace(picture, caption=caption, files={".png": png_bytes(drawn)}))
    return pictures


def skin_share(surface: BodySurface, chosen: np.ndarray) -> float:
    """The area of some vertices, (V,) bool, of all skin: to each belongs a third of the faces around it."""
    a, b, c = (surface.vertices[surface.faces[:, corner]] for corner in range(3))
    of_face = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    of_vertex = np.bincount(surface.faces.ravel(), np.repeat(of_face, 3), len(surface.vertices))
    return float(of_vertex[chosen].sum() / of_vertex.sum())


def _true_colours(
    surface: BodySurface,
    frames: Sequence[PersonAnnotation],
    pixels: Sequence[np.ndarray],
    bodies: Sequence[np.ndarray | None],
    images: Path,
) -> np.ndarray:
    """(V, 3): from the maps of a rendered set, else from the annotated points."""
    known = [body for body in bodies if body is not None]
    if (images / "iuv").is_dir() and len(known) == len(frames):
        maps = []
        for person, body in zip(frames, known):
            true_map = read_true_map(person, images)
            maps.append((np.where(body, true_map[..., 0], 0), true_map[..., 1:].transpose(2, 0, 1) / 255))
        return texture_colours(surface, *_gather(maps, pixels), TEXTURE_SIGMA_M)
    part = np.concatenate([person.part for person in frames])
    uv = np.concatenate([person.uv for person in frames])
    colours = []
    for person, picture in zip(frames, pixels):
        limit = np.array(picture.shape[1::-1]) - 1
        column, row = np.clip(np.floor(person.points + 0.5), 0, limit).astype(int).T
        colours.append(picture[row, column])
    return texture_colours(surface, part, uv, np.concatenate(colours), _POINTS_SIGMA_M)


def _found_maps(prediction: DensePoseInstance, image: ImageRecord, body: np.ndarray | None) -> _Maps:
    """A prediction in its picture."""
    if body is None:
        return paste_prediction(prediction, image.width, image.height)
    everywhere = replace(prediction, foreground=np.ones_like(prediction.foreground))
    part, uv = paste_prediction(everywhere, image.width, image.height)
    return np.where(body, part, 0), uv


def _gather(maps: Sequence[_Maps], pixels: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Part (P,), uv (P, 2) and colours (P, 3) of the person's pixels in all pictures."""
    masks = [part > 0 for part, _ in maps]
    parts = [part[mask] for (part, _), mask in zip(maps, masks)]
    uvs = [uv[:, mask].T for (_, uv), mask in zip(maps, masks)]
    return (
        np.concatenate(parts).astype(np.int64),
        np.concatenate(uvs),
        np.concatenate([picture[mask] for picture, mask in zip(pixels, masks)]),
    )
