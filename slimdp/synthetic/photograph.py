"""From light to a picture as a camera takes it: exposure, blur, noise, the file; and how hard a world is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from flow_cache.images import encode_image
from slimdp.config.base import Many, NotNegative, Settings, Share, Wanted, require

_Range = Annotated[
    tuple[int, int],
    Field(strict=False),
    Wanted("two numbers, 0 <= first < second", lambda ends: 0 <= ends[0] < ends[1]),
]

# Ids leave room for ten people in a picture.
_Shares = Annotated[
    Many[float],
    Wanted(
        "shares of scenes with one to ten people, sum 1",
        lambda shares: 1 <= len(shares) <= 10 and min(shares) >= 0 and abs(sum(shares) - 1) < 1e-6,
    ),
]


class PostureShares(Settings):
    """Shares of people who hold a posture, by its family; the others move."""

    chair: Share = 0.0  # sit on a chair, stool, bench or sofa
    floor: Share = 0.0  # sit on the floor
    crouch: Share = 0.0  # squat
    kneel: Share = 0.0  # on the knees, on all fours
    bend: Share = 0.0  # stand bent
    lie: Share = 0.0  # on back, front or side, on the floor or a bed
    hang: Share = 0.0  # from a bar
    invert: Share = 0.0  # on the hands or the head
    fly: Share = 0.0  # leap and dive
    swing: Share = 0.0  # a bat or a racket
    ride: Share = 0.0  # a bicycle or an animal
    stretch: Share = 0.0  # stand on one leg or two, the other limbs anywhere

    @model_validator(mode="after")
    def _check(self) -> Self:
        shares = self.plain()
        require(sum(shares.values()) <= 1 + 1e-9, "sum", shares, "shares that add up to 1 at most")
        return self

    @property
    def any(self) -> bool:
        """Whether anybody holds a posture."""
        return any(self.plain().values())


class SceneStyle(Settings):
    """The difficulty of scenes, all of it in one place."""

    tempo: NotNegative = 1.0  # people move and turn this many times as fast
    patterned: Share = 0.7  # share of garments with stripes, checks, dots or a print
    objects: _Range = (8, 30)  # in a place: the fewest, and one over the most
    people: _Shares = (0.6, 0.25, 0.1, 0.05)  # shares of scenes with one, two, three, ... people
    passers_by: Share = 0.3  # of the scenes with several people, this share has one walk by in front
    occluders: Share = 0.35  # share of scenes where things stand or move before people
    moving_camera: Share = 0.7  # share of clips whose camera moves
    pictures: Share = 0.7  # share of scenes before a user's picture, if there are any
    recorded: Share = 0.7  # share of people who move as a user's recordings, if there are any
    shadows: bool = True
    shutter: Share = 0.5  # longest share of the time between frames that it is open: motion blur
    defocus: Share = 0.4  # share of scenes where what is far from the people is blurred
    noise: NotNegative = 1.0  # of the sensor: 1 is that of a telephone indoors
    postures: PostureShares = PostureShares()  # any: other cameras too, from all heights and with all lenses
    close: Share = 0.0  # with postures: share of scenes that show a part of a person, cut by the frame
    tables: Share = (
        0.0  # with postures: of people on chairs, stools and benches, who have a table before them
    )
    before: Share = 0.0  # with postures: of scenes with several people, where they are one before another
    tailored: bool = False  # shoes hide the toes, skirts are of one piece
    grey: Share = 0.0  # share of scenes in black and white
    dark: Share = 0.0  # share of scenes that are badly exposed: too dark, mostly


#: Motions shorter than this (px) leave no trace.
_LEAST = 0.5
#: Longer ones are cut (px).
_MOST = 40.0
#: Depths this near (metres) are side by side rather than one before the other.
_BESIDE = 0.1
#: Times within the shutter that are looked at, at most.
_MOST_TAPS = 25


def motion_blur(light: np.ndarray, motion: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Blur linear light (H, W, 3) along motions (H, W, 2) px in the shutter's time; depth (H, W) metres."""
    height, width = depth.shape
    speed = np.linalg.norm(motion, axis=2)
    cut = np.minimum(1, _MOST / np.maximum(speed, 1e-6))
    motion, speed = motion * cut[..., None], speed * cut
    longest = float(speed.max())
    if longest < _LEAST:
        return light
    fastest = _fastest_near(speed, int(np.ceil(longest / 2)))
    chosen = np.flatnonzero(speed.ravel()[fastest] >= _LEAST)
    direction = motion.reshape(-1, 2)[fastest[chosen]].astype(np.float32)
    colours = np.ascontiguousarray(light.reshape(-1, 3), dtype=np.float32)
    half = (speed / 2).astype(np.float32).ravel()
    depths = np.minimum(depth, 1e4).astype(np.float32).ravel()
    row, column = (chosen // width).astype(np.float32), (chosen % width).astype(np.float32)
    length = np.linalg.norm(direction, axis=1)
    own, here, still = half[chosen], depths[chosen], colours[chosen]
    taps = int(np.clip(np.ceil(longest), 5, _MOST_TAPS)) | 1
    total = np.zeros_like(still)
    for time in (np.arange(taps) + 0.5) / taps - 0.5:
        x = np.clip(np.rint(column + time * direction[:, 0]), 0, width - 1)
        y = np.clip(np.rint(row + time * direction[:, 1]), 0, height - 1)
        there = (y * width + x).astype(np.int64)
        distance = abs(time) * length
        # What lies there is here at that time if it comes that far and is not behind; or this has moved on.
        in_front = np.clip(1 - (depths[there] - here) / _BESIDE, 0, 1)
        behind = np.clip(1 - (here - depths[there]) / _BESIDE, 0, 1)
        passing = np.maximum(in_front * _within(distance, half[there]), behind * _within(distance, own))
        total += still + (colours[there] - still) * passing[:, None]
    result = colours.copy()
    result[chosen] = total / taps
    return result.reshape(light.shape)


def _fastest_near(speed: np.ndarray, reach: int) -> np.ndarray:
    """The flat index (H W,) of the fastest pixel within a square of `reach` px."""
    # One number holds speed and place, so that a maximum finds both.
    places = float(speed.size)
    code = np.rint(speed * 64).astype(np.float64) * places + np.arange(speed.size).reshape(speed.shape)
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.mod(cv2.dilate(code, kernel), places).astype(np.int64).ravel()


def _within(distance: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """1 where a distance is covered, softly 0 beyond (px)."""
    return np.clip(reach + 0.5 - distance, 0, 1)


#: Spreads (px) of the blurred copies that defocus is mixed from.
_SPREADS = (1.0, 2.0, 4.0)
_STEPS = 8192
_LINEAR = np.arange(_STEPS + 1) / _STEPS
_ENCODED = np.where(_LINEAR <= 0.0031308, 12.92 * _LINEAR, 1.055 * _LINEAR ** (1 / 2.4) - 0.055)
#: Of every step of linear light its 8-bit sRGB value (IEC 61966-2-1).
_SRGB = (_ENCODED * 255 + 0.5).astype(np.uint8)


#: Shares of linear red, green and blue in what the eye takes for brightness (Rec. 709).
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


class PhotoSettings(Settings):
    """A lens, a shutter and a sensor."""

    exposure: float = 1.0  # linear
    shutter: float = 0.0  # seconds
    lens_blur: float = 0.0  # px, everywhere
    aperture: float = 0.0  # px of blur far away, where near things are in focus
    focus: float = 4.0  # metres
    shot_noise: float = 0.0  # standard deviation at full scale, linear; grows with the root of the light
    read_noise: float = 0.0  # standard deviation in the dark, linear
    vignette: float = 0.0  # share of the light that the corners lose
    grey: bool = False  # black and white


def photograph(
    light: np.ndarray,
    depth: np.ndarray,
    motion: np.ndarray,
    settings: PhotoSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    """A picture (H, W, 3) uint8 sRGB of linear light.

    Light is (H, W, 3) float32 RGB, depth (H, W) metres, infinite where there is nothing, motion (H, W, 2) px
    that what is seen moves while the shutter is open; `rng` is the sensor's chance.
    """
    image = motion_blur(light, motion, depth) if settings.shutter > 0 else light
    if settings.aperture > 0:
        image = _defocus(image, depth, settings.aperture, settings.focus)
    if settings.lens_blur > 0.1:
        image = cv2.GaussianBlur(image, (0, 0), settings.lens_blur)
    height, width = depth.shape
    if settings.vignette > 0:
        x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
        image = image * (1 - settings.vignette / 2 * (x**2 + y[:, None] ** 2))[..., None]
    image = np.maximum(image * np.float32(settings.exposure), 0)
    if settings.grey:
        image = np.tile((image @ _LUMINANCE)[..., None], 3)
    if settings.shot_noise > 0 or settings.read_noise > 0:
        spread = np.sqrt(np.float32(settings.shot_noise**2) * image + np.float32(settings.read_noise**2))
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image = image + spread * (noise[..., :1] if settings.grey else noise)
    return _SRGB[(np.clip(_shoulder(image), 0, 1) * _STEPS + 0.5).astype(np.int32)]


def _shoulder(light: np.ndarray) -> np.ndarray:
    """Bend what is brighter than 0.8 towards white instead of cutting it off, as cameras do."""
    over = np.maximum(light - 0.8, 0)
    return np.minimum(light, 0.8) + 0.2 * over / (over + 0.2)


def _defocus(image: np.ndarray, depth: np.ndarray, aperture: float, focus: float) -> np.ndarray:
    """Blur by the circle of confusion; what is sharp does not leak into what is not."""
    circle = (aperture * np.abs(1 - focus / np.maximum(depth, 0.2))).astype(np.float32)
    circle = np.minimum(circle, _SPREADS[-1])
    result, last = image, 0.0
    for spread in _SPREADS:
        if circle.max() <= last:
            break
        weight = np.clip(circle / spread, 0.02, 1)
        blurred = cv2.GaussianBlur(image * weight[..., None], (0, 0), spread)
        blurred /= cv2.GaussianBlur(weight, (0, 0), spread)[..., None]
        mix = np.clip((circle - last) / (spread - last), 0, 1)[..., None]
        result, last = result * (1 - mix) + blurred * mix, spread
    return result


def write_image(path: Path, image: np.ndarray, options: Sequence[int] = ()) -> None:
    """Write a picture, (H, W, 3) uint8 RGB or (H, W) uint8, over what is there, in the format of its name.

    Makes the folder where it is missing. Options are OpenCV's, such as IMWRITE_JPEG_QUALITY, 90. Raises
    OSError naming the file that cannot be written.
    """
    content = encode_image(image, path.suffix, options)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
