"""Places: rooms, the open, and a user's pictures, furnished at random."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from slimdp.synthetic.background import painted_view, painted_wall, random_crop
from slimdp.synthetic.camera import Camera, CameraPath
from slimdp.synthetic.objects import INDOORS, OUTDOORS, Prop, quad, revolution, turned
from slimdp.synthetic.textures import FLOORS, THINGS, Texture, random_material

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

    Args:
        rng: chance.
        camera: at time 0; it stands in the room.
        objects: things in all, a half of them painted on what is behind.
        ways: (N, 3) metres where people will be.
        picture: the user's, (H, W, 3) uint8.
    """
    if image is not None:
        return Place(_background_place(rng, camera, image), False, np.inf)
    indoors = bool(rng.random() < 0.55)
    painted = objects // 2
    palette = [
        random_material(rng, THINGS, (64, 64), rng.uniform(0.006, 0.015))
        for _ in range(min(6, 1 + objects - painted))
    ]
    if indoors:
        ceiling = max(rng.uniform(2.5, 3.6), camera.position[1] + 0.3)
        props, wide, back = _room(rng, camera, ceiling, ways, painted)
        makers = INDOORS
    else:
        ceiling, wide, back, makers = np.inf, 7.0, -9.0, OUTDOORS
        props = [_floor(rng, 40.0), _view(Texture(painted_view(rng, (360, 1024), painted), _VIEW_TEXEL))]
    for _ in range(objects - painted):
        thing = makers[int(rng.integers(len(makers)))](rng, palette)
        where = _free_spot(rng, ways, camera, thing, wide, back)
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
    texel = _WALL_TEXEL
    rows = int(ceiling / texel) + 1

    def wall(corner: list[float], along: list[float], length: float, objects: int) -> Prop:
        shape = (rows, int(length / texel) + 1)
        texture = Texture(painted_wall(rng, shape, texel, objects), texel)
        return quad(np.array(corner), np.array(along) * length, np.array([0, ceiling, 0]), texture)

    plain = random_material(rng, ("plaster",), (128, 128), 0.03)
    over = quad(
        np.array([-wide, ceiling, back]), np.array([2 * wide, 0, 0]), np.array([0, 0, depth]),
        Texture(plain.image // 3 + 160, 0.03),
    )  # fmt: skip
    props = [
        _floor(rng, 15.0),
        over,
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
    floor = _floor(rng, 40.0)
    return tuple(
        replace(prop, texture=texture, projector=projector, baked=True) for prop in (floor, _view(texture))
    )


def _free_spot(
    rng: np.random.Generator,
    ways: np.ndarray,
    camera: CameraPath,
    thing: list[Prop],
    wide: float,
    back: float,
) -> np.ndarray | None:
    """Where a thing hits neither people nor walls and the view is free; None if nowhere is found."""
    extent = max(float(np.abs(prop.vertices[:, [0, 2]]).max()) for prop in thing)
    for _ in range(8):
        z = rng.uniform(back + 0.2, 0.8)
        reach = min(wide, 0.3 + 0.45 * (camera.position[2] - z))
        spot = np.array([rng.uniform(-reach, reach), 0.0, z])
        spot[[0, 2]] = np.clip(spot[[0, 2]], [extent - wide, back + extent], [wide - extent, 1e3])
        gap = np.linalg.norm((ways - spot)[:, [0, 2]], axis=1).min()
        to_camera = np.linalg.norm((camera.position - spot)[[0, 2]])
        if gap > _ELBOW_ROOM + extent and to_camera > extent + 1.0:
            return spot
    return None
