from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.__main__ import main
from slimdp.report import PART_COLOURS, error_image, surface_image
from slimdp.report.body import BACK, FRONT, _chart, _surface_view
from slimdp.surface import BodySurface, load_surface
from tests.surface.densepose_files import tiny_body, write_charts


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    return load_surface("open")


def hue_of(colour: np.ndarray) -> np.ndarray:
    """Colours (..., 3) without their brightness: shading changes only that."""
    return colour / np.linalg.norm(colour, axis=-1, keepdims=True)


def centre_of(image: np.ndarray, part: int) -> np.ndarray:
    """The mean x, y px of a part's colour; some of its pixels must be there."""
    near = np.linalg.norm(hue_of(image + 1e-9) - hue_of(PART_COLOURS[part].astype(float)), axis=2) < 0.02
    assert near.sum() > 20, f"part {part} is not seen"
    return np.argwhere(near)[:, ::-1].mean(axis=0)


def test_front_and_back_show_the_parts_on_the_viewers_side(surface: BodySurface) -> None:
    front, back = (_surface_view(surface, side, 240) for side in (FRONT, BACK))
    middle = front.shape[1] / 2
    assert front.shape == back.shape
    # Someone who faces us has the right arm at our left.
    assert centre_of(front, 18)[0] < middle < centre_of(front, 17)[0]
    assert centre_of(back, 15)[0] < middle < centre_of(back, 16)[0]
    assert centre_of(front, 2)[1] < centre_of(front, 9)[1] < centre_of(front, 13)[1]
    with pytest.raises(AssertionError, match="part 1 is not seen"):
        centre_of(front, 1)


def test_a_chart_is_drawn_where_its_coordinates_are(surface: BodySurface) -> None:
    drawn = _chart(surface, 6, 100)
    uv = surface.face_uv[surface.face_part == 6].mean(axis=1)
    inside = drawn[np.round(98 * (1 - uv[::20, 1])).astype(int), np.round(98 * uv[::20, 0]).astype(int)]
    dark_red = hue_of(PART_COLOURS[6].astype(float))
    assert np.mean(np.linalg.norm(hue_of(inside + 1e-9) - dark_red, axis=1) < 0.3) > 0.5
    assert drawn[3, 55].min() > 150  # v near 1 between heel and upper is no part of the foot


def test_the_picture_has_all_charts_beside_the_body(surface: BodySurface) -> None:
    image = surface_image(surface, height=300)
    assert image.dtype == np.uint8
    assert 300 <= image.shape[0] < 360
    assert image.shape[1] > 1.5 * image.shape[0]


def test_the_command_writes_the_picture_and_tells_the_distortion(tmp_path: Path, capsys) -> None:
    assert main(["surface", "--height", "300", "--out", str(tmp_path / "body.png")]) == 0
    printed = capsys.readouterr().out
    assert "| 1 torso back " in printed
    assert printed.count("\n| ") == 24
    assert cv2.imread(str(tmp_path / "body.png")) is not None
    assert main(["surface", "--height", "10", "--out", str(tmp_path / "small.png")]) == 2
    assert "10 px high, but 200 or more" in capsys.readouterr().err
    assert main(["surface", "--surface", "smpl", "--out", str(tmp_path / "smpl.png")]) == 2
    assert "choose one of: open" in capsys.readouterr().err


def test_a_folder_of_densepose_s_files_has_its_charts_drawn(tmp_path: Path, capsys) -> None:
    write_charts(tmp_path / "UV_Processed.mat", tiny_body(np.random.default_rng(0)))
    arguments = ["surface", "--surface", str(tmp_path), "--height", "400", "--out", str(tmp_path / "c.png")]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"charts: {tmp_path / 'UV_Processed.mat'}" in printed
    assert "evaluation: no SMPL_subdiv.mat" in printed
    image = cv2.imread(str(tmp_path / "c.png"))
    assert 350 < image.shape[0] < 450
    (tmp_path / "UV_Processed.mat").unlink()
    assert main(arguments) == 2
    assert "UV_Processed.mat (for charts), from https" in capsys.readouterr().err


def test_errors_on_the_body(surface: BodySurface) -> None:
    left = surface.vertices[:, 0] > 0
    image = error_image(surface, np.where(left, 0.1, 0.0), height=300)
    front = image[40:290, : image.shape[1] // 3]
    # The person's left is on the right of the front view: bright yellow there, dark blue on the other side.
    yellow, blue = ((np.abs(front.astype(int) - c).sum(axis=2) < 150) for c in ((240, 249, 33), (13, 8, 135)))
    assert np.nonzero(yellow)[1].mean() > np.nonzero(blue)[1].mean() + 10
    unknown = error_image(surface, np.where(left, np.nan, 0.05), height=300)
    grey = (np.ptp(unknown.astype(int), axis=2) == 0) & (unknown[..., 0] < 200) & (unknown[..., 0] > 90)
    assert grey.sum() > 1000
    with pytest.raises(ValueError, match="wanted one for each of"):
        error_image(surface, np.full(len(left), np.nan))
    with pytest.raises(ValueError, match="200 or more"):
        error_image(surface, np.zeros(len(left)), height=100)
