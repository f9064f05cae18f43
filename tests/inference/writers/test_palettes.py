from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from slimdp.inference.video_records import FramePose, VideoFrame
from slimdp.inference.writers.palettes import Palette, colour_table, part_values, unit_values
from slimdp.structures import DensePoseInstance
from slimdp.surface.people import PEOPLE

MAPS = {"viridis": cv2.COLORMAP_VIRIDIS, "parula": cv2.COLORMAP_PARULA}


def pose(ground: int = 100) -> FramePose:
    """A frame of one colour and a person of 5 x 5 px: parts 1..24, then a pixel that is not the person; u
    runs from 0 to 1 along them, v the other way."""
    part = np.append(np.arange(1, 25), 1).reshape(5, 5).astype(np.uint8)
    u = np.linspace(0, 1, 25).reshape(5, 5)
    foreground = np.ones((5, 5), bool)
    foreground[4, 4] = False
    image = np.full((7, 8, 3), (ground, ground + 20, ground + 40), np.uint8)
    affine = np.array([[1.0, 0, -1], [0, 1, -1]])  # the crop begins at pixel (1, 1) of the image
    person = DensePoseInstance(
        3, 0, np.array([1.0, 1, 5, 5]), 0.9, affine, part, np.stack([u, 1 - u]).astype(np.float16), foreground
    )
    return FramePose(VideoFrame(0, Fraction(0), image), (person,))


def detectron2(pose: FramePose, matrix: np.ndarray, scale: float, colours: str, alpha: float) -> np.ndarray:
    """The rule of detectron2's MatrixVisualizer, in its steps and in its BGR; the picture in RGB."""
    image = pose.frame.image[:, :, ::-1].copy()
    mask = pose.painted.part > 0
    scaled = (matrix.astype(np.float32) * scale).clip(0, 255).astype(np.uint8)
    drawn = cv2.applyColorMap(scaled, MAPS[colours])
    mixed = (image * (1.0 - alpha) + drawn * alpha).astype(np.uint8)
    image[mask] = mixed[mask]
    return image[:, :, ::-1]


@pytest.mark.parametrize("colours", ["viridis", "parula"])
@pytest.mark.parametrize("alpha", [0.7, 1.0])
def test_parts_are_as_detectron2_draws_them(colours: str, alpha: float) -> None:
    frame = pose()
    drawn = Palette("part", colours, alpha).draw(frame, PEOPLE)  # type: ignore[arg-type]
    np.testing.assert_array_equal(drawn, detectron2(frame, frame.painted.part, 255.0 / 24, colours, alpha))
    # Beyond the person the frame is as it was, to the bit.
    np.testing.assert_array_equal(drawn[0], frame.frame.image[0])
    assert tuple(drawn[5, 5]) == (100, 120, 140)


@pytest.mark.parametrize("channel", ["u", "v"])
def test_u_and_v_are_as_detectron2_draws_them(channel: str) -> None:
    frame = pose()
    stored = (frame.painted.uv * 255).astype(np.uint8)["uv".index(channel)]  # its results hold uint8(255 u)
    drawn = Palette(channel, "parula", 0.7).draw(frame, PEOPLE)  # type: ignore[arg-type]
    np.testing.assert_array_equal(drawn, detectron2(frame, stored, 1.0, "parula", 0.7))


def test_colours_of_viridis_and_parula_in_red_green_blue() -> None:
    # Of the table in matplotlib (rounded) and of OpenCV's: purple, then yellow; dark blue, then yellow.
    assert tuple(colour_table("viridis")[0]) == (68, 1, 84)
    assert tuple(colour_table("viridis")[255]) == (253, 231, 37)
    blue, yellow = colour_table("parula")[[0, 255]].astype(int)
    assert blue.argmax() == 2
    assert yellow.argmin() == 2
    for name, number in MAPS.items():
        bgr = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], number)[:, 0]
        np.testing.assert_array_equal(colour_table(name), bgr[:, ::-1])


def test_values_by_hand() -> None:
    labels = np.array([0, 1, 2, 12, 23, 24], np.uint8)
    assert part_values(labels, 24).tolist() == [0, 10, 21, 127, 244, 255]
    assert part_values(np.array([1, 3], np.uint8), 3).tolist() == [85, 255]
    assert unit_values(np.array([0, 0.5, 0.999, 1], np.float32)).tolist() == [0, 127, 254, 255]


def test_the_canvas_is_the_colour_of_value_0() -> None:
    frame = pose()
    pure = Palette("part", "viridis", 1, canvas=True).draw(frame, PEOPLE)
    assert (pure[0] == (68, 1, 84)).all()  # BGR 84, 1, 68, as MagicAnimate's users know it
    np.testing.assert_array_equal(pure[1, 1:6], colour_table("viridis")[part_values(np.arange(1, 6), 24)])
    blended = Palette("part", "viridis", 0.7, canvas=True).draw(frame, PEOPLE)
    assert (blended[0] == (68, 1, 84)).all()
    red = int(colour_table("viridis")[255, 0])  # part 24 is of value 255
    assert blended[5, 4, 0] == int(68 * (1 - 0.7) + red * 0.7)
    assert (frame.frame.image == (100, 120, 140)).all(), "the frame was drawn on"
