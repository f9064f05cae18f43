"""A rendered set is whole; every kind of damage to it gives the finding that names it, and no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest

from flow_cache import FlowStore, FlowWriter
from flow_cache.runtime.atomic import temporary_name
from slimdp.data.rle import encode_rle
from slimdp.doctor import Severity, diagnosis_as_text, examine

STILLS, TRAIN, VAL = "stills_train.json", "clips_train.json", "clips_val.json"
Damage = Callable[[Path], object]


def edited(file: str, edit: Callable[[dict[str, Any]], object]) -> Damage:
    """A damage to an annotation file."""

    def damage(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        edit(content)
        (folder / file).write_text(json.dumps(content))

    return damage


def entry(field: str, index: int, value: object) -> Damage:
    """A damage to one entry of a list of the first still's first person."""
    return edited(STILLS, lambda content: content["annotations"][0][field].__setitem__(index, value))


def person(**fields: object) -> Damage:
    """Other fields for the first still's first person."""
    return edited(STILLS, lambda content: content["annotations"][0].update(fields))


def image(**fields: object) -> Damage:
    """Other fields for the first still."""
    return edited(STILLS, lambda content: content["images"][0].update(fields))


def cut_short(name: str) -> Damage:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-200])


def spoil_bytes(name: str) -> Damage:
    """The last tenth, but for the end mark, becomes zeros: a JPEG that decodes, with complaints."""

    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        tenth = len(content) // 10
        (folder / name).write_bytes(content[:-tenth] + bytes(tenth - 2) + content[-2:])

    return damage


def another_size(name: str) -> Damage:
    return lambda folder: cv2.imwrite(str(folder / name), np.zeros((50, 40, 3), dtype=np.uint8))


def unfinish(folder: Path) -> None:
    with h5py.File(folder / "flow_exact/train_00000.h5", "r+") as file:
        file["train_00000/finished/+1"][1] = 0


def narrow(folder: Path) -> None:
    """A finished store of narrower frames."""
    make_another_store(folder, frames=4, width=80)


def link_elsewhere(folder: Path) -> None:
    with h5py.File(folder / "flow_exact/train_00000.h5", "r+") as file:
        del file["train_00000"]
        file["train_00000"] = h5py.ExternalLink("elsewhere.h5", "/train_00000")


def leave_behind(folder: Path) -> None:
    """What a killed run leaves, and what a store that was removed in the middle of a commit does."""
    temporary_name(folder / "flow_exact/train_00000.h5").write_bytes(b"half")
    temporary_name(folder / "flow_exact", keep_suffix=False).mkdir()
    (folder / "flow_exact/gone.h5.journal").write_bytes(b"half")


def drop_frame(folder: Path) -> None:
    """A finished store of the first three of the clip's four frames."""
    make_another_store(folder, frames=3)


def make_another_store(folder: Path, frames: int, width: int | None = None) -> None:
    path = folder / "flow_exact/train_00000.h5"
    with FlowStore(path) as store:
        record = store.record("train_00000")
    path.unlink()
    with FlowWriter(path) as writer:
        names, width = record.frame_names[:frames], width or record.width
        writer.add_video(replace(record, frame_names=names, width=width), (1,))
        for frame in range(frames - 1):
            writer.write("train_00000", frame, 1, np.zeros((2, record.height, width), dtype=np.float32))


def repeat_track(content: dict[str, Any]) -> None:
    """A second person in the first labelled frame, with the track of the first."""
    first = content["annotations"][0]
    content["annotations"].append({**first, "id": 999})


def repeat_image_id(content: dict[str, Any]) -> None:
    """One more image, a copy that only has another name."""
    content["images"].append({**content["images"][0], "file_name": "images/stills/000001.jpg"})


def forget_u(content: dict[str, Any]) -> None:
    first = content["annotations"][0]
    first["dp_U"] = [0.0] * len(first["dp_U"])


def drop_last_image(content: dict[str, Any]) -> None:
    last = content["images"].pop()["id"]
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] != last]


def visible_masks(folder: Path) -> None:
    """One is missing, another has another size."""
    masks = sorted((folder / "visible/train_00000").glob("*.png"))
    masks[0].unlink()
    cv2.imwrite(str(masks[1]), np.zeros((9, 9), dtype=np.uint8))


STILL, TRUTH = "images/stills/000000.jpg", "iuv/stills/000001.png"
#: Name -> (damage, what it must give: code and how often).
DAMAGES: dict[str, tuple[Damage, dict[str, int]]] = {
    "picture deleted": (lambda folder: (folder / STILL).unlink(), {"picture-missing": 1}),
    "picture cut short": (cut_short(STILL), {"picture-damaged": 1}),
    "picture with spoilt bytes": (spoil_bytes(STILL), {"picture-doubtful": 1}),
    "picture of another size": (another_size(STILL), {"picture-size": 1}),
    "part 25": (entry("dp_I", 3, 25), {"part-range": 1}),
    "part 1.5": (entry("dp_I", 0, 1.5), {"part-range": 1}),
    "u of 1.2": (entry("dp_U", 0, 1.2), {"uv-range": 1}),
    "v below 0": (entry("dp_V", 0, -0.1), {"uv-range": 1}),
    "x of 300": (entry("dp_x", 0, 300), {"point-range": 1}),
    "y not a number": (entry("dp_y", 0, "left"), {"point-range": 1}),
    "two fields wrong": (
        lambda folder: [entry("dp_I", 0, 0)(folder), entry("dp_U", 0, 2)(folder)],
        {"part-range": 1, "uv-range": 1},
    ),
    "a point without v": (
        edited(STILLS, lambda content: content["annotations"][0]["dp_V"].pop()),
        {"point-lengths": 1},
    ),
    "no x at all": (
        edited(STILLS, lambda content: content["annotations"][0].pop("dp_x")), {"point-lengths": 1}
    ),
    "another u": (edited(STILLS, forget_u), {"truth-differs": 1}),
    "mask of 255 rows": (
        edited(STILLS, lambda content: content["annotations"][0]["dp_masks"].__setitem__(
            0, encode_rle(np.ones((255, 256), dtype=bool)))),
        {"mask-broken": 1},
    ),
    "mask cut short": (
        edited(STILLS, lambda content: content["annotations"][0]["dp_masks"].__setitem__(
            0, {"size": [256, 256], "counts": "o0"})),
        {"mask-broken": 1},
    ),
    "15 masks": (person(dp_masks=[[]] * 15), {"mask-broken": 1}),
    "masks elsewhere": (
        person(dp_masks=encode_rle(np.arange(256)[:, None] < np.full(256, 2))), {"points-off-mask": 1}
    ),
    "box of width 0": (person(bbox=[5, 5, 0, 10]), {"box-flat": 1}),
    "box of negative width": (person(bbox=[5, 5, -3, 10]), {"box-broken": 1}),
    "no box": (person(bbox=None), {"box-broken": 1}),
    "no outline": (person(segmentation=[]), {"outline-empty": 1}),
    "outline of two corners": (person(segmentation=[[1, 1, 5, 5], [1, 1, 5, 1, 5, 5]]), {"outline-short": 1}),
    "outline of odd length": (person(segmentation=[[1, 1, 5, 1, 5, 5, 7]]), {"outline-broken": 1}),
    "outline of another picture": (
        person(segmentation=encode_rle(np.ones((9, 9), dtype=bool))), {"outline-broken": 1}
    ),
    "a keypoint short": (
        edited(STILLS, lambda content: content["annotations"][0]["keypoints"].pop()), {"keypoints-broken": 1}
    ),
    "17 seen, 3 counted": (person(num_keypoints=99), {"keypoints-count": 1}),
    "track of words": (person(track_id="left"), {"track-broken": 1}),
    "image that is not listed": (person(image_id=77), {"image-unknown": 1}),
    "image of no width": (
        edited(VAL, lambda content: content["images"][1].update(width=0)), {"image-field": 1, "count-plan": 1}
    ),
    "image id twice": (edited(STILLS, repeat_image_id), {"image-id-twice": 1}),
    "annotation id in two pictures": (
        edited(STILLS, lambda content: content["annotations"][-1].update(id=content["annotations"][0]["id"])),
        {"person-id-repeated": 1},
    ),
    "category that is not listed": (person(category_id=2), {"category-unknown": 1}),
    "another category": (
        edited(STILLS, lambda content: [
            content["categories"].append({"id": 2, "name": "dog"}),
            content["annotations"].append({"id": 5, "image_id": 1, "category_id": 2, "bbox": [0, 0, 1, 1]}),
        ]),
        {"other-category": 1},
    ),
    "track twice in a frame": (edited(TRAIN, repeat_track), {"track-twice": 1}),
    "person without a track": (
        edited(TRAIN, lambda content: content["annotations"][0].pop("track_id")), {"track-missing": 1}
    ),
    "labels in a frame that says it has none": (
        edited(VAL, lambda content: content["images"][0].update(has_no_densepose=True)),
        {"flag-differs": 1, "count-plan": 1},
    ),
    "has_no_densepose there and false": (
        edited(VAL, lambda content: content["images"][0].update(has_no_densepose=False)), {}
    ),
    "frame past the end": (
        edited(VAL, lambda content: content["images"][2].update(nframes=1)), {"frame-number": 1}
    ),
    "ignore region without y": (
        image(ignore_regions_x=[[1, 2, 3]], ignore_regions_y=[[1, 2]]), {"ignore-region-broken": 1}
    ),
    "ignore region of two corners": (
        image(ignore_regions_x=[[1, 2]], ignore_regions_y=[[1, 2]]), {"ignore-region-flat": 1}
    ),
    "a still less": (edited(STILLS, drop_last_image), {"count-plan": 2}),
    "annotations no list": (edited(VAL, lambda content: content.update(annotations={})), {"json-lists": 1}),
    "JSON cut short": (cut_short(VAL), {"json-broken": 1}),
    "annotation file deleted": (lambda folder: (folder / VAL).unlink(), {"file-missing": 1}),
    "plan of words": (
        lambda folder: (folder / "dataset.json").write_text('{"stills": "two"}'), {"plan-broken": 1}
    ),
    "truth deleted": (lambda folder: (folder / TRUTH).unlink(), {"truth-missing": 1}),
    "truth of another size": (another_size(TRUTH), {"truth-damaged": 1}),
    "flow field not finished": (unfinish, {"flow-unfinished": 1}),
    "flow of another size": (narrow, {"flow-size": 1}),
    "flow of fewer frames": (drop_frame, {"flow-size": 1}),
    "the same clip in another file": (
        lambda folder: shutil.copy(folder / TRAIN, folder / "propagated.json"), {}
    ),
    "flow in another file": (link_elsewhere, {"flow-damaged": 1}),
    "leftovers of a killed run": (leave_behind, {"leftover": 3}),
    "flow cut short": (cut_short("flow_exact/train_00000.h5"), {"flow-damaged": 1}),
    "flow of a clip deleted": (
        lambda folder: (folder / "flow_exact/train_00000.h5").unlink(), {"flow-missing": 1}
    ),
    "all flow deleted": (lambda folder: shutil.rmtree(folder / "flow_exact"), {"flow-missing": 1}),
    "all masks deleted": (lambda folder: shutil.rmtree(folder / "visible"), {"visible-missing": 1}),
    "writer of flow cut off": (
        lambda folder: (folder / "flow_exact/train_00000.h5.journal").write_bytes(b"half"),
        {"flow-interrupted": 1},
    ),
    "visible masks": (visible_masks, {"visible-missing": 1, "visible-damaged": 1}),
}  # fmt: skip


def counts(folder: Path, quick: bool = False) -> dict[str, int]:
    found = [finding.code for finding in examine(folder, quick, quiet=True).findings]
    return {code: found.count(code) for code in sorted(set(found))}


@pytest.mark.usefixtures("forked_workers")
def test_a_rendered_set_is_whole(rendered: Path) -> None:
    diagnosis = examine(rendered, processes=2, quiet=True)
    assert list(diagnosis.findings) == []
    assert diagnosis.kinds == ["rendered set"]
    by_file = {summary.file: summary for summary in diagnosis.files}
    counts = {file: len(summary.images) for file, summary in by_file.items()}
    assert counts == {TRAIN: 4, VAL: 3, STILLS: 2, "stills_val.json": 0}
    assert (diagnosis.pictures, diagnosis.pictures_opened) == (9, 9)
    assert diagnosis.flow_fields == 12  # 3 + 2 + 1 pairs of four frames, both ways
    assert diagnosis.truth_points == sum(summary.points for summary in diagnosis.files) > 100


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_gives_the_finding_that_names_it(copied: Path, name: str) -> None:
    damage, wanted = DAMAGES[name]
    damage(copied)
    assert counts(copied) == wanted


def test_a_quick_look_sees_all_but_what_needs_decoding(copied: Path) -> None:
    DAMAGES["picture deleted"][0](copied)
    DAMAGES["part 25"][0](copied)
    assert counts(copied, quick=True) == {"part-range": 1, "picture-missing": 1}


def test_points_that_err_on_purpose_are_not_compared(copied: Path) -> None:
    DAMAGES["another u"][0](copied)
    plan = json.loads((copied / "dataset.json").read_text())
    (copied / "dataset.json").write_text(json.dumps({**plan, "annotator_error": True}))
    diagnosis = examine(copied, quiet=True)
    assert not len(diagnosis.findings)
    # Those of validation never err.
    (val,) = (summary for summary in diagnosis.files if summary.file == VAL)
    assert diagnosis.truth_points == val.points > 0


def test_a_finding_says_where_and_what_to_do(copied: Path) -> None:
    DAMAGES["part 25"][0](copied)
    (finding,) = examine(copied, quiet=True).findings
    assert finding.severity is Severity.ERROR
    assert (finding.file, finding.place) == (STILLS, "annotation 10 of image 1: dp_I")
    assert "entry 3 is 25" in finding.found
    assert "1..24" in finding.wanted
    assert finding.remedy


def test_many_equal_findings_do_not_flood_the_screen(copied: Path) -> None:
    def spoil(content: dict[str, Any]) -> None:
        first = content["annotations"][0]
        content["annotations"] = [{**first, "id": number, "dp_I": [99]} for number in range(100)]
        for one in content["annotations"]:
            one["dp_x"] = one["dp_y"] = one["dp_U"] = one["dp_V"] = [0]

    edited(STILLS, spoil)(copied)
    diagnosis = examine(copied, quiet=True)
    assert diagnosis.errors == 100
    assert len(diagnosis.as_json()["findings"]) == len(diagnosis.findings) >= 100
    text = diagnosis_as_text(diagnosis)
    assert "part-range in stills_train.json, 100 times" in text
    assert "and 97 more" in text
    assert len(text.splitlines()) < 40
    assert text.splitlines()[-1].startswith("100 errors, ")


def test_points_without_uv_are_compared_by_their_part(copied: Path) -> None:
    entry("dp_U", 3, None)(copied)
    entry("dp_V", 3, None)(copied)
    assert counts(copied) == {}
    content = json.loads((copied / STILLS).read_text())
    part = content["annotations"][0]["dp_I"]
    entry("dp_I", 3, 1 + part[3] % 24)(copied)
    assert counts(copied) == {"truth-differs": 1}
