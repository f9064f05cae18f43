"""Dense pose on images: points, parts and coordinates over them, keys of the colours, and contact sheets.

Images are (H, W, 3) uint8 RGB. Every function returns a new image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from flow_cache.images import encode_image
from flow_cache.runtime.atomic import write_bytes

Item = TypeVar("Item")

#: Of people right limbs are warm and left limbs cold, backs dark and fronts light, the torso green, the head
#: pale; chosen in CIELAB with at least 24 units between any two.
_CHOSEN = np.array(
    [
        (0, 0, 0), (51, 112, 36), (107, 184, 85), (248, 221, 50), (173, 253, 193),
        (0, 60, 128), (134, 0, 23), (198, 29, 129), (136, 78, 194), (255, 138, 194),
        (208, 153, 255), (229, 54, 97), (14, 121, 241), (255, 169, 178), (174, 190, 255),
        (0, 111, 160), (184, 63, 11), (0, 176, 249), (255, 129, 77), (0, 145, 138),
        (177, 117, 0), (7, 212, 203), (251, 175, 57), (236, 189, 159), (210, 222, 235),
    ],
    dtype=np.uint8,
)  # fmt: skip


def _more_colours(count: int) -> np.ndarray:
    """Colours (count, 3) uint8 RGB of all hues, neighbours far apart, in three strengths."""
    steps = np.arange(count)
    hsv = np.column_stack([steps * 111 % 180, 110 + 60 * (steps % 3), 240 - 50 * (steps // 3 % 3)])
    return cv2.cvtColor(hsv[None].astype(np.uint8), cv2.COLOR_HSV2RGB)[0]


#: Colour of each label of parts, 0 background.
PART_COLOURS = np.concatenate([_CHOSEN, _more_colours(256 - len(_CHOSEN))])
#: What is not known.
GREY = np.array((150, 150, 150), dtype=np.uint8)
_RIM = np.array((20, 20, 20), dtype=np.uint8)
_RIM_PX = 1.3
_KEY_HEIGHT, _PARTS_A_ROW, _SWATCH = 20, 6, 16


def draw_points(
    image: np.ndarray, points: np.ndarray, part: np.ndarray, uv: np.ndarray | None = None, radius: float = 2
) -> np.ndarray:
    """Draw labelled points, coloured by part, or by u where `uv` is given (Slim DensePose, figure 3).

    Args:
        points: (N, 2) x, y px of the image.
        part: (N,) 0..P.
        uv: (N, 2) in [0, 1]; NaN, where it is not known, is grey.
        radius: of a point, px, without its outline.
    """
    if uv is None:
        return draw_dots(image, points, PART_COLOURS[_checked_parts(part)], radius)
    u = np.asarray(uv)[:, 0]
    colours = np.where(np.isnan(u)[:, None], GREY, colour_of_unit(np.nan_to_num(u)))
    return draw_dots(image, points, colours, radius)


def draw_dots(image: np.ndarray, points: np.ndarray, colours: np.ndarray, radius: float = 2) -> np.ndarray:
    """Draw points (N, 2) x, y px in colours (N, 3) uint8 RGB, smooth, with a dark rim that shows anywhere."""
    if len(points) != len(colours):
        raise ValueError(f"{len(points)} points, but {len(colours)} colours")
    image = np.array(_checked_image(image))
    for centre, colour in zip(np.asarray(points, dtype=float), colours):
        _fill_disc(image, centre, radius + _RIM_PX, _RIM)
        _fill_disc(image, centre, radius, colour)
    return image


def overlay_parts(
    image: np.ndarray, part: np.ndarray, foreground: np.ndarray, alpha: float = 0.6
) -> np.ndarray:
    """Lay colours of parts (H, W) 0..P over an image where the person is, `foreground` (H, W) bool; `alpha`
    is the share of the colour, 0..1."""
    return _blend(image, part, _colour_of_part, foreground, alpha)


def overlay_uv(
    image: np.ndarray, uv: np.ndarray, foreground: np.ndarray, alpha: float = 0.6, channel: int = 0
) -> np.ndarray:
    """Lay u (channel 0) or v (channel 1) of uv (2, H, W) in [0, 1] over an image, from dark blue at 0 to
    yellow at 1, as `overlay_parts` lays parts."""
    return _blend(image, uv[channel], colour_of_unit, foreground, alpha)


def _colour_of_part(part: np.ndarray) -> np.ndarray:
    label = _checked_parts(part).astype(np.uint8)
    return cv2.LUT(cv2.cvtColor(label, cv2.COLOR_GRAY2RGB), PART_COLOURS[None])  # a fifth of indexing's time


def colour_of_unit(values: np.ndarray) -> np.ndarray:
    """Values (...) in [0, 1] to viridis colours (..., 3) uint8 RGB; values beyond take the nearest end."""
    level = (np.clip(np.asarray(values, dtype=np.float32), 0, 1) * 255 + 0.5).astype(np.uint8)
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8).reshape(-1, 1), cv2.COLORMAP_VIRIDIS)
    return table[:, 0, ::-1][level]


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str] | None = None, gap: int = 4
) -> np.ndarray:
    """Put images in a grid on white, each centred in its cell, under the titles of the columns.

    Args:
        rows: images (H, W, 3) of any sizes; rows may be of different lengths.
        gap: between cells and around them, px.
    """
    if not rows or not any(len(row) for row in rows):
        raise ValueError("a contact sheet needs at least one image")
    columns = max(len(row) for row in rows)
    if titles is not None and len(titles) != columns:
        raise ValueError(f"{len(titles)} titles for {columns} columns")
    for image in (image for row in rows for image in row):
        _checked_image(image)
    widths = [max(row[i].shape[1] for row in rows if i < len(row)) for i in range(columns)]
    strips = [[text_strip(title, width) for title, width in zip(titles, widths)]] if titles else []
    strips += [list(row) for row in rows if len(row)]
    heights = [max(image.shape[0] for image in strip) for strip in strips]
    size = sum(heights) + gap * (len(heights) + 1), sum(widths) + gap * (columns + 1)
    sheet, top = np.full((*size, 3), 255, np.uint8), gap
    for strip, height in zip(strips, heights):
        left = gap
        for image, width in zip(strip, widths):
            y, x = top + (height - image.shape[0]) // 2, left + (width - image.shape[1]) // 2
            sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
            left += width + gap
        top += height + gap
    return sheet


def text_strip(text: str, width: int, height: int = 20) -> np.ndarray:
    """One line of dark text on white, centred, (height, width, 3); it shrinks until it fits."""
    # Here, for it takes a quarter of a second, which every process of a training would spend.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A hundredth of a pixel more: 0.29 in at 100 dpi are 28.999999999999996 px, and some versions take 28.
    figure = Figure(figsize=((width + 0.01) / 100, (height + 0.01) / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    size = 0.45 * height
    label = figure.text(
        0.5, 0.5, text, ha="center", va="center", fontsize=size, color="#222222", parse_math=False
    )
    # Letters sit on whole pixels, so the width does not simply follow the size.
    while label.get_window_extent(canvas.get_renderer()).width > 0.96 * width and size > 2:
        size *= 0.9
        label.set_fontsize(size)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def left_of_text(strip: np.ndarray) -> int:
    """The column where the text of a `text_strip` begins; its middle where there is none."""
    inked = np.flatnonzero((strip < 128).any(axis=(0, 2)))
    return int(inked[0]) if inked.size else strip.shape[1] // 2


def evenly_spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, evenly spread over a sequence, in its order."""
    if not items:
        return []
    return [items[index] for index in np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))]


def save_png(path: str | Path, image: np.ndarray) -> None:
    """Write an image as PNG, whole or not at all."""
    write_bytes(path, encode_image(_checked_image(image)))


def _fill_disc(image: np.ndarray, centre: np.ndarray, radius: float, colour: np.ndarray) -> None:
    """Draw into `image`, each pixel as much as the disc covers of it (OpenCV's small discs have corners)."""
    height, width = image.shape[:2]
    x0, y0 = np.floor(centre - radius - 1).clip(0, (width, height)).astype(int)
    x1, y1 = np.ceil(centre + radius + 2).clip(0, (width, height)).astype(int)
    distance = np.hypot(np.arange(x0, x1) - centre[0], np.arange(y0, y1)[:, None] - centre[1])
    cover = (radius + 0.5 - distance).clip(0, 1)[..., None]
    patch = image[y0:y1, x0:x1]
    patch[:] = np.round(patch + cover * (colour.astype(float) - patch))


def _blend(
    image: np.ndarray, values: np.ndarray, paint: Callable[[np.ndarray], np.ndarray], foreground: np.ndarray,
    alpha: float,
) -> np.ndarray:  # fmt: skip
    """An image with values (H, W) over it where the foreground is, in the colours that `paint` gives them."""
    image = np.array(_checked_image(image))
    foreground = np.asarray(foreground, dtype=bool).astype(np.uint8)
    if values.shape != image.shape[:2] or foreground.shape != image.shape[:2]:
        raise ValueError(
            f"an image of {image.shape[:2]} px, but maps of {values.shape} and a foreground of "
            f"{foreground.shape}; paste the prediction into the image first"
        )
    # Of the frames of a video, people fill a small part.
    x, y, width, height = cv2.boundingRect(foreground)
    near = np.s_[y : y + height, x : x + width]
    if width and height:
        mixed = cv2.addWeighted(image[near], 1 - alpha, paint(values[near]), alpha, 0)
        cv2.copyTo(mixed, foreground[near], image[near])  # numpy's copyto takes ten times as long
    return image


def _checked_image(image: np.ndarray) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an image of shape {image.shape}, {image.dtype}; (H, W, 3) uint8 RGB is wanted")
    return image


def _checked_parts(part: np.ndarray) -> np.ndarray:
    part = np.asarray(part)
    if part.size and (part.min() < 0 or part.max() >= len(PART_COLOURS)):
        wanted = f"0..{len(PART_COLOURS) - 1} is wanted"
        raise ValueError(f"parts run from {part.min()} to {part.max()}, but {wanted}")
    return part


def unit_key(width: int) -> np.ndarray:
    """The colours of u and v from 0 to 1, with their ends named: (20, width, 3) uint8 RGB."""
    end = width // 8
    strip = colour_of_unit(np.linspace(0, 1, width - 2 * end))
    middle = np.full((_KEY_HEIGHT, len(strip), 3), 255, dtype=np.uint8)
    middle[3:-3] = strip
    return np.concatenate([text_strip("u, v:   0", end), middle, text_strip("1", end)], axis=1)


def part_key(width: int, names: Sequence[str]) -> np.ndarray:
    """The colours of the parts 1..P with their numbers and names, in lines of six: (20 lines, width, 3).
    `names` are those of the labels 0..P; "" shows its number alone."""
    columns = np.linspace(0, width, _PARTS_A_ROW + 1).round().astype(int)
    key = np.full((_KEY_HEIGHT * -(-(len(names) - 1) // _PARTS_A_ROW), width, 3), 255, dtype=np.uint8)
    for part in range(1, len(names)):
        line, place = divmod(part - 1, _PARTS_A_ROW)
        cell = key[_KEY_HEIGHT * line : _KEY_HEIGHT * (line + 1), columns[place] : columns[place + 1]]
        cell[2:-2, 4 : 4 + _SWATCH] = PART_COLOURS[part]
        cell[:, _SWATCH + 8 :] = text_strip(f"{part} {names[part]}".strip(), cell.shape[1] - _SWATCH - 8)
    return key
