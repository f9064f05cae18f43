"""Places, textures, things, and a user's pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh

from slimdp.surface import load_surface
from slimdp.synthetic.assets import Assets
from slimdp.synthetic.camera import CameraPath
from slimdp.synthetic.objects import INDOORS, OUTDOORS, Prop, ball, box, pillar
from slimdp.synthetic.objects import Path as Way
from slimdp.synthetic.photograph import PhotoSettings
from slimdp.synthetic.scene import SceneStyle, random_scene, render_frame
from slimdp.synthetic.textures import MATERIALS, Texture, random_material, to_linear
from slimdp.synthetic.world import _framed, _free_spot, random_crop, read_background

GREY = Texture(np.full((8, 8, 3), 128, np.uint8), 0.1)


def solid(prop: Prop) -> trimesh.Trimesh:
    return trimesh.Trimesh(prop.vertices, prop.faces).process(validate=True)


@pytest.mark.parametrize(
    ("prop", "litres"),
    [
        (box(np.array([1, 2, 3]), np.array([0.5, 1.0, 2.0]), 0.7, GREY), 1000.0),
        (ball(np.array([0, 1, 0]), 0.5, GREY), 1000 * 4 / 3 * np.pi / 8),
    ],
)
def test_things_are_closed_and_face_outwards(prop: Prop, litres: float) -> None:
    mesh = solid(prop)
    assert mesh.is_watertight
    assert mesh.volume * 1000 == pytest.approx(litres, rel=0.06)
    # Shading normals agree with the sides that triangles face to.
    corners = prop.vertices[prop.faces]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    whole = np.linalg.norm(facing, axis=1) > 1e-9
    assert (np.einsum("fkc,fc->fk", prop.normals, facing)[whole].mean(axis=1) > 0).all()


def test_a_pillar_stands_on_its_foot() -> None:
    prop = pillar(np.array([1.0, 0, -1]), 0.2, 1.5, GREY, taper=0.5)
    low, high = prop.vertices.min(axis=0), prop.vertices.max(axis=0)
    np.testing.assert_allclose([low[1], high[1]], [0, 1.5])
    np.testing.assert_allclose((low + high)[[0, 2]] / 2, [1, -1], atol=0.01)


def test_a_thing_moves_as_its_path_says() -> None:
    still = box(np.zeros(3), np.ones(3), 0.0, GREY)
    assert still.at(3.0) is still
    moving = Prop(
        still.vertices, still.faces, still.normals, still.uv, GREY,
        path=Way(velocity=np.array([2.0, 0, 0]), swing=np.array([0, 1.0, 0]), frequency=0.25),
    )  # fmt: skip
    np.testing.assert_allclose(moving.at(1.0).vertices.mean(axis=0), [2, 1, 0], atol=1e-12)
    assert moving.at(0.0) is moving


@pytest.mark.parametrize("make", sorted({*INDOORS, *OUTDOORS}, key=lambda maker: maker.__name__))
def test_furniture_stands_on_the_floor(make) -> None:
    rng = np.random.default_rng(0)
    for _ in range(3):
        props = make(rng, [GREY])
        lowest = min(prop.vertices[:, 1].min() for prop in props)
        assert -1e-9 <= lowest < 0.12
        assert max(prop.vertices[:, 1].max() for prop in props) < 4.5


@pytest.mark.parametrize("kind", MATERIALS)
def test_materials_have_detail_at_all_scales(kind: str) -> None:
    texture = random_material(np.random.default_rng(2), (kind,), (96, 128), 0.01)
    assert texture.image.shape == (96, 128, 3)
    for level in texture.levels[:3]:
        assert np.abs(np.diff(level, axis=1)).mean() > 1e-3


def test_a_texture_is_looked_up_mirrored_and_averaged_from_afar() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, ::2] = 255
    texture = Texture(image, 0.1)
    centres = np.array([[0.05, 0.05], [0.15, 0.05], [-0.05, 0.05], [3.15, 0.05], [1.55, 1.65]])
    near = texture.colours(centres, np.full(5, 0.1))
    np.testing.assert_allclose(near[:, 0], [1, 0, 1, 1, 0], atol=0.02)
    far = texture.colours(centres, np.full(5, 0.4))
    np.testing.assert_allclose(far, 0.5, atol=0.01)  # the mean of light, not of codes
    np.testing.assert_allclose(to_linear(np.array([0.0, 0.5, 1.0])), [0, 0.2140, 1], atol=2e-3)


def test_unreadable_backgrounds_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.jpg: no such"):
        read_background(tmp_path / "absent.jpg")
    (tmp_path / "words.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"words\.png.*take it out"):
        read_background(tmp_path / "words.png")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty\.png"):
        read_background(tmp_path / "empty.png")
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((20, 90, 3), np.uint8))
    with pytest.raises(ValueError, match="90 x 20 px, but 64 x 64"):
        read_background(tmp_path / "small.png")


def test_a_user_s_picture_stands_behind_the_people(tmp_path: Path) -> None:
    picture = np.full((240, 320, 3), (40, 200, 60), np.uint8)  # BGR
    cv2.imwrite(str(tmp_path / "green.png"), picture)
    assert read_background(tmp_path / "green.png")[0, 0].tolist() == [60, 200, 40]
    surface, style = load_surface("open"), SceneStyle(pictures=1.0, occluders=0.0, shadows=False)
    assets = Assets(backgrounds=(tmp_path / "green.png",))
    scene = random_scene(np.random.default_rng(0), 64, True, style, assets)
    exposure = 1 / scene.lighting.white
    plain = type(scene)(**{**vars(scene), "photo": PhotoSettings(exposure=exposure)})
    frame = render_frame(plain, surface, 0, np.random.default_rng(0))
    behind = (frame.hits.person < 0).reshape(64, 64)
    assert behind.mean() > 0.3
    rgb = np.median(frame.image[behind], axis=0)
    assert np.abs(rgb - [60, 200, 40]).max() < 12


def test_crops_of_a_picture_differ_and_keep_its_shape() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (100, 150, 3), dtype=np.uint8)
    first, second = random_crop(rng, image, (60, 60)), random_crop(rng, image, (60, 60))
    assert first.shape == second.shape == (60, 60, 3)
    assert (first != second).mean() > 0.5
    assert random_crop(rng, image, (300, 200)).shape == (300, 200, 3)


@pytest.mark.parametrize(("camera_z", "back"), [(0.2, -9.0), (-3.0, -9.0), (4.0, 0.7)])
def test_a_camera_or_a_wall_among_the_people_leaves_no_spot_or_a_free_one(
    camera_z: float, back: float
) -> None:
    """People may stand up to a camera, which then stands among things, and up to a wall."""
    position = np.array([0.0, 1.5, camera_z])
    camera = CameraPath(64, 64, 80.0, position, position + [0, 0, -1], roll=0.0, follow=0.0)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        spot = _free_spot(rng, np.zeros((1, 3)), camera, extent=0.3, wide=7.0, back=back)
        if spot is not None:
            assert np.linalg.norm((position - spot)[[0, 2]]) > 1.3
            assert np.linalg.norm(spot[[0, 2]]) > 0.3


def test_every_column_of_a_shelf_may_begin_a_book() -> None:
    # 51996: the only one of the first 60,000 seeds that draws so for eight columns.
    image = _framed(np.random.default_rng(51996), (8, 8))
    assert image.shape == (8, 8, 3)
