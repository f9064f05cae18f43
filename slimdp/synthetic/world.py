"""Places: rooms, the open, and a user's pictures, furnished at random, with what is painted far behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from flow_cache.images import ImageError, read_image
from slimdp.synthetic.camera import Camera, CameraPath
from slimdp.synthetic.looks import random_colours
from slimdp.synthetic.objects import INDOORS, OUTDOORS, Prop, quad, revolution, turned
from slimdp.synthetic.textures import (
    FLOORS,
    MATERIALS,
    THINGS,
    WALLS,
    Texture,
    noise,
    random_material,
    to_bytes,
)


def painted_wall(rng: np.random.Generator, shape: tuple[int, int], texel: float, objects: int) -> np.ndarray:
    """A wall (H, W, 3) uint8 with a skirting and posters, windows, doors and boards; row 0 is at the floor.

    A texel is in metres; so many `objects` hang or stand on it.
    """
    wall = np.clip(MATERIALS[str(rng.choice(WALLS))](rng, shape), 0, 1).astype(np.float32)
    height, width = shape
    if rng.random() < 0.4:  # another finish below
        border = int(rng.uniform(0.7, 1.3) / texel)
        wall[:border] = MATERIALS[str(rng.choice(WALLS))](rng, (border, width))
    wall[: max(1, int(0.1 / texel))] = random_colours(rng, 1)[0]
    for _ in range(objects):
        wide, high = rng.uniform(0.3, 1.6), rng.uniform(0.3, 1.3)
        foot = 0.0 if rng.random() < 0.25 else rng.uniform(0.5, 2.0)
        if foot == 0.0:  # a door
            wide, high = rng.uniform(0.8, 1.1), rng.uniform(1.95, 2.2)
        left = int(rng.uniform(0, width))
        rows = slice(int(foot / texel), min(int((foot + high) / texel), height - 1))
        columns = slice(left, min(left + int(wide / texel), width))
        room = (rows.stop - rows.start, columns.stop - columns.start)
        if min(room) >= 8:
            wall[rows, columns] = _framed(rng, room)
    return to_bytes(wall)


def _framed(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A poster, a window with panes, shelves of books, or a panel, in its frame."""
    height, width = shape
    kind = rng.integers(4)
    if kind == 0:  # a poster: shapes and lines of writing
        image = np.broadcast_to(random_colours(rng, 1), (height, width, 3)).astype(np.float32).copy()
        for _ in range(int(rng.integers(2, 7))):
            centre = (int(rng.integers(width)), int(rng.integers(height)))
            colour = tuple(random_colours(rng, 1)[0].tolist())
            cv2.circle(image, centre, int(rng.uniform(0.05, 0.35) * min(shape)), colour, -1)
        for row in range(3, height // 3, 4):
            image[row : row + 1, 3 : int(width * rng.uniform(0.5, 0.95))] = random_colours(rng, 1)[0]
    elif kind == 1:  # a window
        sky = random_colours(rng, 1)[0] * 0.3 + 0.65
        image = sky * (0.8 + 0.3 * noise(rng, shape, 4, 0.6)[..., None])
        image[:: max(height // 2, 4)] = image[:, :: max(width // 3, 4)] = 0.85
    elif kind == 2:  # books
        # Of a narrow shelf every column may begin a book: one more than there are colours.
        books = np.minimum(np.cumsum(rng.random(width) < 0.3), width - 1)
        spines = random_colours(rng, width)[books]
        image = np.broadcast_to(spines, (height, width, 3)).astype(np.float32).copy()
        step = max(height // int(rng.integers(2, 5)), 6)
        for row in range(0, height, step):
            image[row : row + 2] = 0.25
            image[row : row + step] = np.roll(image[row : row + step], int(rng.integers(width)), axis=1)
    else:
        image = MATERIALS[str(rng.choice(THINGS))](rng, shape)
    frame = max(1, min(shape) // 18)
    border = np.ones(shape, dtype=bool)
    border[frame:-frame, frame:-frame] = False
    return np.where(border[..., None], random_colours(rng, 1)[0], image)


def painted_view(rng: np.random.Generator, shape: tuple[int, int], objects: int) -> np.ndarray:
    """A view (H, W, 3) uint8 of the open: sky, clouds, hills, houses, trees; row 0 is low."""
    height, width = shape
    rise = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    zenith = np.array([0.35, 0.55, 0.85]) * rng.uniform(0.6, 1.1) + rng.normal(0, 0.05, 3)
    haze = np.clip(np.array([0.85, 0.85, 0.85]) + rng.normal(0, 0.07, 3), 0.4, 1)
    sky = haze * (1 - rise) + zenith * rise
    clouds = np.clip(noise(rng, shape, 6, 0.6, 2) * 2.2 - rng.uniform(0.7, 1.5), 0, 1)[..., None]
    view = sky.astype(np.float32) * (1 - clouds) + np.float32(0.95) * clouds
    grain = 0.6 + 0.6 * noise(rng, shape, 7, 0.85)
    for distance in (0.7, 0.4, 0.15):  # hills, the farther the hazier
        crest = (0.05 + 0.25 * distance) * height * (0.4 + _ridge(rng, width))
        colour = np.clip(np.array([0.3, 0.4, 0.2]) + rng.normal(0, 0.1, 3), 0.05, 1)
        top = min(int(crest.max()) + 1, height)
        below = (np.arange(top)[:, None] < crest)[..., None]
        land = np.roll(grain, int(rng.integers(width)), axis=1)[:top, :, None]
        hill = land * (colour * (1 - distance)).astype(np.float32) + (haze * distance).astype(np.float32)
        view[:top] = np.where(below, hill, view[:top])
    for _ in range(objects):
        (_paint_house if rng.random() < 0.5 else _paint_tree)(rng, view)
    return to_bytes(view)


def _ridge(rng: np.random.Generator, width: int) -> np.ndarray:
    """Heights (W,) 0..1 of hills, ever smaller ones on the larger."""
    x, total = np.linspace(0, 1, width), np.zeros(width)
    for octave in range(5):
        knots = rng.random(4 * 2**octave + 1)
        total += 0.5**octave * np.interp(x, np.linspace(0, 1, len(knots)), knots)
    return (total - total.min()) / np.ptp(total)


def _paint_house(rng: np.random.Generator, view: np.ndarray) -> None:
    height, width = view.shape[:2]
    high, wide = int(rng.uniform(0.12, 0.55) * height), int(rng.uniform(0.04, 0.14) * width)
    left = int(rng.integers(width - wide))
    house = MATERIALS[str(rng.choice(["plaster", "bricks"]))](rng, (high, wide))
    step, pane = int(rng.integers(12, 26)), random_colours(rng, 1)[0] * 0.5
    for row in range(step // 2, high - step // 2, step):
        for column in range(step // 3, wide - step // 2, step):
            house[row : row + step // 2, column : column + step // 2] = pane * rng.uniform(0.6, 1.4)
    view[:high, left : left + wide] = np.clip(house, 0, 1)


def _paint_tree(rng: np.random.Generator, view: np.ndarray) -> None:
    height, width = view.shape[:2]
    foot, high = int(rng.integers(width)), rng.uniform(0.15, 0.5) * height
    cv2.line(view, (foot, 0), (foot, int(high * 0.6)), (0.25, 0.18, 0.12), max(2, int(high / 18)))
    green = np.clip(np.array([0.22, 0.34, 0.12]) * rng.uniform(0.6, 1.5) + rng.normal(0, 0.03, 3), 0, 1)
    for _ in range(60):  # leaves, lit from above
        x, y = rng.normal(0, 0.2, 2) * high
        shade = np.clip(green * (1 + y / high + rng.normal(0, 0.2)), 0, 1)
        centre = (int(foot + x), int(high * 0.7 + y))
        cv2.circle(view, centre, max(1, int(high * rng.uniform(0.02, 0.09))), tuple(shade.tolist()), -1)


def read_background(path: Path) -> np.ndarray:
    """A user's picture, (H, W, 3) uint8 RGB; raises ValueError where it is missing, none, or under 64 px."""
    try:
        image = read_image(path)
    except ImageError as error:
        remedy = "take it out of the folder, or save it anew as JPEG or PNG"
        raise ImageError(f"cannot read the background {path}: {error}; {remedy}") from error
    if min(image.shape[:2]) < 64:
        found = f"{image.shape[1]} x {image.shape[0]}"
        raise ValueError(f"the background {path} has {found} px, but 64 x 64 or more is wanted")
    return image


def random_crop(rng: np.random.Generator, image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A random part of a picture, between all and a half of it, mirrored or not, scaled to (H, W)."""
    height, width = image.shape[:2]
    largest = min(height / shape[0], width / shape[1])
    scale = largest * rng.uniform(0.5, 1.0)
    rows, columns = max(1, int(shape[0] * scale)), max(1, int(shape[1] * scale))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    crop = image[top : top + rows, left : left + columns]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    way = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(crop), shape[::-1], interpolation=way)


#: Texels of painted walls and views, metres.
_WALL_TEXEL, _VIEW_TEXEL = 0.015, 0.05
_VIEW_RADIUS, _VIEW_HEIGHT = 25.0, 18.0
#: Furniture keeps this far from where people go (metres).
_ELBOW_ROOM = 0.75


@dataclass(frozen=True)
class Place:
    """What stands around the people."""

    props: tuple[Prop, ...]
    indoors: bool
    ceiling: float  # metres


def random_place(
    rng: np.random.Generator, camera: CameraPath, objects: int, ways: np.ndarray, image: np.ndarray | None
) -> Place:
    """A furnished room, a place in the open, or a user's picture with a floor.

    The camera, at time 0, stands in the room. Of all `objects` a half is painted on what is behind. `ways`
    (N, 3) metres are where people will be; the user's picture is (H, W, 3) uint8.
    """
    if image is not None:
        return Place(_background_place(rng, camera, image), False, np.inf)
    indoors = bool(rng.random() < 0.55)
    painted = objects // 2
    colours = min(6, 1 + objects - painted)
    palette = [random_material(rng, THINGS, (64, 64), rng.uniform(0.006, 0.015)) for _ in range(colours)]
    if indoors:
        ceiling = max(rng.uniform(2.5, 3.6), camera.position[1] + 0.3)
        props, wide, back = _room(rng, camera, ceiling, ways, painted)
        makers = INDOORS
    else:
        ceiling, wide, back, makers = np.inf, 7.0, -9.0, OUTDOORS
        props = [_floor(rng, 40.0), _view(Texture(painted_view(rng, (360, 1024), painted), _VIEW_TEXEL))]
    for _ in range(objects - painted):
        thing = makers[int(rng.integers(len(makers)))](rng, palette)
        extent = max(float(np.abs(prop.vertices[:, [0, 2]]).max()) for prop in thing)
        where = _free_spot(rng, ways, camera, extent, wide, back)
        if where is not None:
            yaw = rng.normal(0, 0.5) if rng.random() < 0.7 else rng.uniform(-np.pi, np.pi)
            props += [turned(prop, yaw, where) for prop in thing]
    return Place(tuple(props), indoors, ceiling)


def _floor(rng: np.random.Generator, side: float) -> Prop:
    texture = random_material(rng, FLOORS, (384, 384), rng.uniform(0.012, 0.02))
    return quad(np.array([-side, 0, side]), np.array([2 * side, 0, 0]), np.array([0, 0, -2 * side]), texture)


def _view(texture: Texture) -> Prop:
    profile = np.array([[_VIEW_RADIUS, -0.5], [_VIEW_RADIUS, _VIEW_HEIGHT], [0.01, _VIEW_HEIGHT + 5]])
    return replace(revolution(profile, np.zeros(3), texture, 48), baked=True)


def _room(
    rng: np.random.Generator, camera: CameraPath, ceiling: float, ways: np.ndarray, painted: int
) -> tuple[list[Prop], float, float]:
    """Floor, ceiling and walls, a half width and where the back wall is (metres)."""
    back = min(ways[:, 2].min() - 0.6, 0) - rng.uniform(0.6, 3.5)
    wide = max(np.abs(ways[:, 0]).max() + 0.6, rng.uniform(1.8, 4.5))
    front = camera.position[2] + 2.5
    depth = front - back

    def wall(corner: list[float], along: list[float], length: float, objects: int) -> Prop:
        shape = (int(ceiling / _WALL_TEXEL) + 1, int(length / _WALL_TEXEL) + 1)
        texture = Texture(painted_wall(rng, shape, _WALL_TEXEL, objects), _WALL_TEXEL)
        return quad(np.array(corner), np.array(along) * length, np.array([0, ceiling, 0]), texture)

    plain = random_material(rng, ("plaster",), (128, 128), 0.03)
    pale = Texture(plain.image // 3 + 160, 0.03)
    props = [
        _floor(rng, 15.0),
        quad(np.array([-wide, ceiling, back]), np.array([2 * wide, 0, 0]), np.array([0, 0, depth]), pale),
        wall([-wide, 0, back], [1, 0, 0], 2 * wide, painted),
        wall([-wide, 0, front], [0, 0, -1], depth, painted // 3),
        wall([wide, 0, back], [0, 0, 1], depth, painted // 3),
    ]
    return props, wide, back


def _background_place(rng: np.random.Generator, camera: CameraPath, image: np.ndarray) -> tuple[Prop, ...]:
    """A picture cast by a wider camera onto a floor and what is far: people stand in it."""
    wider = 1.5
    width, height = int(camera.width * wider), int(camera.height * wider)
    still = camera.at(0.0, np.zeros(3))
    centre = ((width - 1) / 2, (height - 1) / 2)
    projector = Camera(width, height, still.focal, centre, still.rotation, still.position)
    texture = Texture(random_crop(rng, image, (height, width)), 1.0)
    props = (_floor(rng, 40.0), _view(texture))
    return tuple(replace(prop, texture=texture, projector=projector, baked=True) for prop in props)


def _free_spot(
    rng: np.random.Generator, ways: np.ndarray, camera: CameraPath, extent: float, wide: float, back: float
) -> np.ndarray | None:
    """Where a thing hits neither people nor walls and the view is free; None if nowhere is found."""
    if back + 0.2 > 0.8:  # people near the wall behind them: nothing stands before it
        return None
    for _ in range(8):
        z = rng.uniform(back + 0.2, 0.8)
        reach = min(wide, max(0.3 + 0.45 * (camera.position[2] - z), 0.0))
        spot = np.array([rng.uniform(-reach, reach), 0.0, z])
        spot[[0, 2]] = np.clip(spot[[0, 2]], [extent - wide, back + extent], [wide - extent, 1e3])
        gap = np.linalg.norm((ways - spot)[:, [0, 2]], axis=1).min()
        to_camera = np.linalg.norm((camera.position - spot)[[0, 2]])
        if gap > _ELBOW_ROOM + extent and to_camera > extent + 1.0:
            return spot
    return None
