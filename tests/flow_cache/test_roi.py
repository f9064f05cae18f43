from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from flow_cache.__main__ import main
from flow_cache.errors import FlowCacheError, MissingFlowError
from flow_cache.estimators import DenseInverseSearch
from flow_cache.exchange import export_flow, import_flow
from flow_cache.inspection import verify_store
from flow_cache.precompute import precompute
from flow_cache.roi import PeopleBoxes, read_people_boxes
from flow_cache.store import FlowStore
from flow_cache.video import Video, open_video

MakeFolder = Callable[..., Path]
FAST = DenseInverseSearch("ultrafast")
WIDTH, HEIGHT = 128, 96
FRAMES = tuple(f"{index:04d}.png" for index in range(6))
WALK = Video(Path("clips/walk"), "walk", WIDTH, HEIGHT, FRAMES, "1")
RUN = Video(Path("clips/run.mp4"), "run", 200, 100, tuple(f"{index:06d}" for index in range(9)), "2")


def coco(*boxes: tuple[int, list[float]], video: str = "walk", **more: Any) -> dict[str, Any]:
    """COCO JSON of the folder `walk` with boxes (frame, xywh)."""
    images = [{"id": 10 + i, "file_name": f"images/val/{video}/{name}"} for i, name in enumerate(FRAMES)]
    people = [
        {"id": n, "image_id": 10 + frame, "category_id": 1, "bbox": box}
        for n, (frame, box) in enumerate(boxes)
    ]
    return {"images": images, "annotations": people, **more}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[object], Path]:
    def save(content: object) -> Path:
        path = tmp_path / "boxes.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return save


Write = Callable[[object], Path]
ONE = coco((2, [20, 16, 20, 40]))


def test_boxes_go_to_the_frames_of_their_files(write: Write) -> None:
    content = coco((2, [1, 2, 3, 4]), (0, [5, 6, 7, 8]), (2, [9, 9, 2.5, 1]))
    content["images"] += [
        {"id": 99, "file_name": "run/000007.jpg", "width": 200, "height": 100},  # frames of a file: no suffix
        {"id": 100, "file_name": "elsewhere/0000.png"},
        {"id": "a", "file_name": "alone.png"},
    ]
    content["annotations"] += [
        {"image_id": 99, "bbox": [-50, 1, 60, 4]},
        {"image_id": 100, "bbox": "not looked at"},
        {"image_id": "a"},
    ]
    people = read_people_boxes(write(content), [WALK, RUN], 0.5)
    assert {name: sorted(found.boxes) for name, found in people.items()} == {"walk": [0, 2], "run": [7]}
    np.testing.assert_array_equal(people["walk"].boxes[2], [[1, 2, 3, 4], [9, 9, 2.5, 1]])
    assert (people["run"].width, people["run"].height, people["run"].margin) == (200, 100, 0.5)


@pytest.mark.parametrize(("number", "said"), [(0, False), (1, True)])
def test_numbers_of_a_video_file_may_count_from_1(
    write: Write, number: int, said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    images = [{"id": 1, "file_name": f"run/{number:06d}.jpg"}]
    content = {"images": images, "annotations": [{"image_id": 1, "bbox": [1, 2, 3, 4]}]}
    with caplog.at_level(logging.WARNING):
        read_people_boxes(write(content), [RUN], 0)
    assert ("numbers of frames of run are taken to count from 0" in caplog.text) == said


def test_boxes_of_other_things_are_left_out(write: Write) -> None:
    content = coco((2, [1, 2, 3, 4]), (3, [5, 6, 7, 8]))
    content["annotations"][0]["category_id"] = 7
    for categories, frames in (
        ([{"id": 7, "name": "person"}, {"id": 1, "name": "dog"}], [2]),
        ([{"id": 7, "name": "Pedestrian"}, {"id": 1, "name": "dog"}], [2]),
        ([{"id": 7, "name": "woman", "supercategory": "person"}, {"id": 1, "name": "dog"}], [2]),
        ([], [2, 3]),  # no word on whose boxes they are
        (None, [2, 3]),
    ):
        people = read_people_boxes(write({**content, "categories": categories}), [WALK], 0)
        assert sorted(people["walk"].boxes) == frames


def test_boxes_that_do_not_say_are_of_the_only_category(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    content = coco((2, [1, 2, 3, 4]), (3, [5, 6, 7, 8]), (4, [5, 6, 7, 8]))
    categories: list[dict[str, Any]] = [{"id": 7, "name": "skier"}]
    for annotation, category in zip(content["annotations"], (7, None, -1)):
        annotation["category_id"] = category
    people = read_people_boxes(write({**content, "categories": categories}), [WALK], 0)
    assert sorted(people["walk"].boxes) == [2, 3]
    assert "1 annotation of a negative category_id passed over" in caplog.text
    categories.append({"id": 9, "name": "dog", "supercategory": "animal"})
    with pytest.raises(FlowCacheError, match=r"none of the 2 categories"):
        read_people_boxes(write({**content, "categories": categories}), [WALK], 0)
    categories[0]["name"] = "person"
    with pytest.raises(FlowCacheError, match=r"annotation 1 .*missing, but .* several \(7, 9\)"):
        read_people_boxes(write({**content, "categories": categories}), [WALK], 0)


def test_boxes_of_categories_that_are_not_listed_are_refused(write: Write) -> None:
    content = {**coco((2, [1, 2, 3, 4])), "categories": [{"id": 2, "name": "person"}]}
    with pytest.raises(FlowCacheError, match=r"category_id: 1 is none of the ids of `categories` \(2\)"):
        read_people_boxes(write(content), [WALK], 0)


def test_sizes_may_be_missing_and_boxes_flat(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    content = coco((2, [1, 2, 3, 4]), (3, [5, 6, 7, 0]), (3, [500, 6, 7, 8]))
    for image in content["images"]:
        image |= {"width": None, "height": None}
    people = read_people_boxes(write(content), [WALK], 0)
    assert sorted(people["walk"].boxes) == [2]
    assert "2 boxes without a pixel of their frames are passed over: annotation 1 of image 13" in caplog.text


def change(key: str, place: int, **values: object) -> dict[str, Any]:
    content = json.loads(json.dumps(ONE))
    content[key][place].update(values)
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"boxes\.json: line 1, column 2: malformed JSON"),
        ([1], r"a JSON list at the top, but an object is wanted"),
        ({"images": []}, r"has no frames of video 'walk'|annotations: missing or no list"),
        ({"annotations": []}, r"images: missing or no list"),
        ({"images": [3], "annotations": []}, r"images\[0\]: no object"),
        (change("images", 1, id=None), r"image None: id: missing, but it is required"),
        (change("images", 1, id=10), r"image 10: id: another image has it"),
        (change("images", 1, file_name=5), r"image 11: file_name: 5, but a text is wanted"),
        (
            change("images", 1, file_name="x/walk/0000.png"),
            r"image 11: file_name: the same frame as image 10",
        ),
        (
            change("images", 1, file_name="walk/9.png"),
            r"image 11: file_name: .*walk has no frame '9.png'; its 6 frames",
        ),
        (
            change("images", 1, width=64, height=96),
            r"image 11: width: 64 px, but the frames .* are of 128 x 96 px",
        ),
        (change("annotations", 0, image_id=3), r"annotation 0 of image 3: image_id: no image of the file"),
        (change("annotations", 0, bbox=None), r"annotation 0 of image 12: bbox: missing"),
        (change("annotations", 0, bbox=[1, 2, "3", 4]), r"bbox: not a flat list of numbers: entry 2 is '3'"),
        (change("annotations", 0, bbox=[1, 2, 3]), r"annotation 0 .*bbox: 3 numbers, but 4 are wanted"),
        (change("annotations", 0, bbox=[1, 2, True, 4]), r"annotation 0 .*bbox: .*: entry 2 is True"),
        (
            change("annotations", 0, bbox=[1, 2, float("nan"), 4]),
            r"annotation 0 .*bbox: entry 2 is nan, but a finite number",
        ),
        (
            change("annotations", 0, bbox=[1, 2, 1e308, 4]),
            "bbox: entry 2 is 1e\\+308 px, but at most 1,000,000 px",
        ),
        (
            change("annotations", 0, bbox=[1, 2, 10**400, 4]),
            "bbox: a number beyond all floats, but finite ones",
        ),
        (
            change("annotations", 0, bbox=[1, 2, -3, 4]),
            r"annotation 0 .*bbox: .* -3 x 4, but none must be negative",
        ),
        (change("annotations", 0, bbox=[128, 2, 3, 4]), r"no person's box in any of them"),
        (
            change("annotations", 0, category_id=[1]),
            r"annotation 0 .*category_id: \[1\], but a whole number is wanted",
        ),
        ({**ONE, "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}, r"'cat', 'dog'"),
        (coco(), r"lists frames of video 'walk', but no person's box in any of them"),
        (coco(video="stroll"), r"no frames of video 'walk'; the folders in its file names are: stroll"),
        ({"images": [], "annotations": []}, r"the folders in its file names are: none"),
    ],
)
def test_faults_name_their_entry(write: Write, content: object, message: str) -> None:
    with pytest.raises(FlowCacheError, match=message):
        read_people_boxes(write(content), [WALK], 0.5)


def test_a_missing_file_or_an_impossible_margin_is_a_fault(write: Write, tmp_path: Path) -> None:
    with pytest.raises(FlowCacheError, match=r"none\.json: no such file of boxes"):
        read_people_boxes(tmp_path / "none.json", [WALK], 0.5)
    for margin in (-0.1, float("nan"), float("inf")):
        with pytest.raises(FlowCacheError, match="wanted a share of the box's longer side, 0 or more"):
            read_people_boxes(write(ONE), [WALK], margin)


def test_a_field_is_near_the_enlarged_boxes_of_both_its_frames() -> None:
    boxes = {2: np.array([[20.0, 16, 10, 40]]), 4: np.array([[100.0, 80, 20, 8]])}
    people = PeopleBoxes(boxes, 0.25, WIDTH, HEIGHT)
    first, second = np.zeros((2, HEIGHT, WIDTH), bool)
    first[6:66, 10:40] = True  # a quarter of 40 px on each side
    second[75:93, 95:125] = True
    np.testing.assert_array_equal(people.around(2, 1), first)
    np.testing.assert_array_equal(people.around(1, 1), first)
    np.testing.assert_array_equal(people.around(2, 2), first | second)
    np.testing.assert_array_equal(people.around(4, -2), first | second)
    assert not people.around(0, 1).any()


def test_the_same_boxes_are_the_same_in_any_order(write: Write) -> None:
    boxes = [(2, [20, 16, 10, 40]), (2, [1.5, 2, 3, 4]), (0, [1, 2, 3, 4])]

    def identity(margin: float = 0.5, rows: list[Any] = boxes) -> str:
        return read_people_boxes(write(coco(*rows)), [WALK], margin)["walk"].identity()

    assert identity() == identity(rows=boxes[::-1])
    assert json.loads(identity()) == {**json.loads(identity()), "margin": 0.5, "boxes": 3}
    assert len({identity(), identity(0.4), identity(rows=boxes[:2]), identity(rows=[*boxes, boxes[0]])}) == 4


@pytest.fixture
def stores(tmp_path: Path, make_folder: MakeFolder, write: Write) -> tuple[Path, Path, Path]:
    """The folder, a store of whole frames, and one around a box in frame 2 and another in frame 4."""
    folder = make_folder()
    path = write(coco((2, [20, 16, 10, 40]), (4, [100, 80, 20, 8])))
    precompute([folder], tmp_path / "whole.h5", (-1, 2), FAST, progress=False)
    precompute([folder], tmp_path / "near.h5", (-1, 2), FAST, around=path, progress=False)
    return folder, tmp_path / "whole.h5", tmp_path / "near.h5"


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_near_people_is_the_flow_of_the_whole_frames(
    stores: tuple[Path, Path, Path], tmp_path: Path, processes: int
) -> None:
    folder, whole, near = stores
    if processes == 2:
        near = tmp_path / "again.h5"
        precompute([folder], near, (-1, 2), FAST, around=tmp_path / "boxes.json", processes=2, progress=False)
    people = read_people_boxes(tmp_path / "boxes.json", [open_video(folder)], 0.25)["walk"]
    with FlowStore(whole) as all_of_it, FlowStore(near) as store:
        for step, frames in ((-1, [2, 3, 4, 5]), (2, [0, 2])):  # those with a box at either end
            assert np.flatnonzero(store.finished("walk", step)).tolist() == frames
            assert np.flatnonzero(store.planned("walk", step)).tolist() == frames
            for frame in frames:
                field = store.read("walk", frame, step)
                np.testing.assert_array_equal(field.valid, people.around(frame, step))
                expected = all_of_it.read("walk", frame, step)
                assert expected.valid.all()
                expected.displacement[:, ~field.valid] = np.nan
                np.testing.assert_array_equal(field.displacement, expected.displacement)
        with pytest.raises(
            MissingFlowError, match=r"frame 1, step -1 .*around 2 boxes .*--around BOXES.json --margin 0.25"
        ):
            store.read("walk", 1, -1)
        assert store.bytes_stored("walk") < all_of_it.bytes_stored("walk")
        assert all_of_it.tiles_stored("walk") == (9 * 4, 9 * 4)
        # The box of frame 2 touches the two tiles on the left, that of frame 4 the lower one on the right.
        assert store.tiles_stored("walk") == (2 + 2 + 1 + 1 + 2 + 3, 6 * 4)


def test_crops_say_which_pixels_are_stored(stores: tuple[Path, Path, Path]) -> None:
    with FlowStore(stores[2]) as store:
        field = store.read("walk", 2, -1, (30, 60, 20, 30))
        assert (field.origin, field.valid.shape) == ((30, 60), (30, 20))
        expected = np.zeros((30, 20), bool)
        expected[:6, :10] = True  # the enlarged box ends at x 40 and y 66
        np.testing.assert_array_equal(field.valid, expected)
        assert not store.read("walk", 2, -1, (90, 70, 20, 20)).valid.any()  # a tile that is not there


def test_frames_and_people_both_limit_the_work(stores: tuple[Path, Path, Path], tmp_path: Path) -> None:
    out, boxes = tmp_path / "part.h5", tmp_path / "boxes.json"
    first = precompute([stores[0]], out, (-1,), FAST, frames={"walk": [1]}, around=boxes, progress=False)
    assert (first.estimated, first.found) == (1, 0)  # 2 -> 1; 1 -> 0 has no box
    rest = precompute([stores[0]], out, (-1, 2), FAST, around=boxes, progress=False)
    assert (rest.estimated, rest.found) == (5, 1)
    with FlowStore(out) as store, FlowStore(stores[2]) as expected:
        for frame, step in ((2, -1), (5, -1), (0, 2), (2, 2)):
            np.testing.assert_array_equal(
                store.read("walk", frame, step).displacement, expected.read("walk", frame, step).displacement
            )


def test_a_store_goes_on_around_the_same_boxes_alone(
    stores: tuple[Path, Path, Path], tmp_path: Path, write: Write
) -> None:
    folder, whole, near = stores
    boxes = tmp_path / "boxes.json"
    with pytest.raises(
        FlowCacheError, match=r"of whole frames; asked for flow around 2 boxes \(.*margin 0.25"
    ):
        precompute([folder], whole, (-1,), FAST, around=boxes, progress=False)
    with pytest.raises(FlowCacheError, match=r"around 2 boxes .* with margin 0.25; asked for flow of whole"):
        precompute([folder], near, (-1,), FAST, progress=False)
    with pytest.raises(FlowCacheError, match=r"with margin 0.25; asked for .* margin 0.5; write to another"):
        precompute([folder], near, (-1,), FAST, around=boxes, margin=0.5, progress=False)
    write(ONE)
    with pytest.raises(FlowCacheError, match=r"around 2 boxes .* asked for flow around 1 boxes"):
        precompute([folder], near, (-1,), FAST, around=boxes, progress=False)


def test_faults_of_the_boxes_end_the_run_before_it_begins(
    make_folder: MakeFolder, tmp_path: Path, write: Write
) -> None:
    with pytest.raises(FlowCacheError, match="no person's box"):
        precompute([make_folder()], tmp_path / "flow.h5", around=write(coco()))
    assert not (tmp_path / "flow.h5").exists()


def test_a_sample_compares_what_is_stored(stores: tuple[Path, Path, Path]) -> None:
    near = stores[2]
    with FlowStore(near) as store:
        assert verify_store(store, 9, FAST).sound
    with h5py.File(near, "r+") as file:
        file["walk/flow/-1"][3, 0, 20, 25] += 64
        file["walk/flow/-1"][4] = 0  # as if never written
    with FlowStore(near) as store:
        found = verify_store(store, 9, FAST)
    assert sorted(found.different) == [
        "walk, frame 3, step -1: up to 2.0 px",
        "walk, frame 4, step -1: up to inf px",
    ]


@pytest.mark.parametrize("format", ["flo", "kitti"])
def test_other_formats_keep_what_is_unknown(
    stores: tuple[Path, Path, Path], tmp_path: Path, format: str
) -> None:
    folder, _, near = stores
    with FlowStore(near) as store:
        assert export_flow(store, tmp_path / "files", format) == 6
        import_flow(tmp_path / "files" / "walk", folder, tmp_path / "back.h5", format)
        with FlowStore(tmp_path / "back.h5") as back:
            for frame, step in ((2, -1), (2, 2), (5, -1)):
                fields = [one.read("walk", frame, step).displacement for one in (store, back)]
                np.testing.assert_array_equal(*fields)
            assert back.tiles_stored("walk") == store.tiles_stored("walk")
            assert back.planned("walk", 2).tolist() == back.finished("walk", 2).tolist()


def test_the_commands(
    stores: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _, _ = stores
    out, boxes = str(tmp_path / "flow.h5"), str(tmp_path / "boxes.json")
    fill = ["precompute", str(folder), "--out", out, "--steps", "-1:1"]
    assert main([*fill, "--around", boxes, "--margin", "0.1"]) == 0
    capsys.readouterr()
    assert main(["inspect", out]) == 0
    text = capsys.readouterr().out
    assert "  step -1: 4 fields\n" in text
    assert "  around 2 boxes (" in text
    assert "with margin 0.1: " in text
    assert main(["inspect", out, "--json"]) == 0
    (video,) = json.loads(capsys.readouterr().out)["videos"]
    assert set(video["missing"].values()) == {0}
    assert 0 < video["tiles_stored"] < 1
    assert json.loads(video["around"])["boxes"] == 2
    assert video["bytes_float32"] == 8 * 2 * WIDTH * HEIGHT * 4
    assert main(["verify", out]) == 0
    assert main(["show", out, "walk", "3", "-1", "--out", str(tmp_path / "field.png")]) == 0
    assert main([*fill, "--margin", "0.1"]) == 2
    assert "--margin is a setting of --around" in capsys.readouterr().err


def test_near_the_walkers_of_a_real_video(samples: Path, tmp_path: Path, write: Write) -> None:
    """Fields of eight frames: a small part of them, within half a step of fixed point of the estimate."""
    source = samples / "video" / "vtest.avi"
    images = [{"id": f, "file_name": f"vtest/{f:06d}.jpg", "width": 768, "height": 576} for f in (100, 101)]
    boxes = [[380, 145, 25, 65], [505, 145, 25, 70]]  # two walkers, by eye
    people = [{"image_id": f, "bbox": box} for f in (100, 101) for box in boxes]
    path = write({"images": images, "annotations": people})
    fine = DenseInverseSearch()
    for name, around in (("whole", None), ("near", path)):
        out = tmp_path / f"{name}.h5"
        precompute([source], out, (-1, 1), fine, frames={"vtest": [100]}, around=around, progress=False)
    with FlowStore(tmp_path / "whole.h5") as whole, FlowStore(tmp_path / "near.h5") as near:
        sizes = [store.bytes_stored("vtest") for store in (whole, near)]
        assert 20 * sizes[0] < 4 * 768 * 576 * 2 * 4
        assert 2 * sizes[1] < sizes[0]
        images_2 = np.stack([frame for _, frame in open_video(source).read([100, 101])])
        flow = fine.estimate(images_2, [(0, 1)])[0]
        field = near.read("vtest", 100, 1)
        assert 0.02 < field.valid.mean() < 0.1
        assert np.abs(flow - field.displacement)[:, field.valid].max() <= 1 / 64


def test_only_the_flow_of_frames_with_people(
    tmp_path: Path, make_folder: MakeFolder, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file = str(tmp_path / "flow.h5"), str(write(ONE))
    assert main(["precompute", str(make_folder()), "--steps=-1,2", "--frames", file, "--out", out]) == 0
    with FlowStore(out) as store:  # frame 2 alone has people: it starts a field of each step, and ends one
        assert np.flatnonzero(store.finished("walk", -1)).tolist() == [2, 3]
        assert np.flatnonzero(store.finished("walk", 2)).tolist() == [0, 2]
    assert (
        main(["precompute", str(make_folder("run")), "--frames", file, "--out", str(tmp_path / "b.h5")]) == 2
    )
    assert "has no frames of video 'run'" in capsys.readouterr().err
