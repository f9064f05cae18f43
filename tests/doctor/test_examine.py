"""Folders of real data: usual layouts, gaps, what to fetch; and the real samples, where they are."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from slimdp.data import read_annotations
from slimdp.doctor import Diagnosis, Severity, diagnosis_as_text, everything, examine
from slimdp.doctor.catalogue import SPLITS, SURFACE, find_split

TRAIN = "densepose_train2014.json"
PICTURE = "COCO_train2014_000000000036.jpg"


def put_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((80, 120, 3), dtype=np.uint8))


def put_annotations(path: Path, names: tuple[str, ...] = (PICTURE,)) -> None:
    """A person with a point in each picture."""
    person = {"category_id": 1, "bbox": [10, 20, 64, 32], "dp_x": [9], "dp_y": [9], "dp_I": [2],
              "dp_U": [0.5], "dp_V": [0.5]}  # fmt: skip
    content = {
        "images": [{"id": i, "file_name": name, "width": 120, "height": 80} for i, name in enumerate(names)],
        "annotations": [{"id": i, "image_id": i, **person} for i in range(len(names))],
        "categories": [{"id": 1, "name": "person"}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def codes(diagnosis: Diagnosis) -> list[str]:
    return sorted(finding.code for finding in diagnosis.findings)


@pytest.mark.parametrize(
    ("annotations", "image"),
    [
        (f"annotations/{TRAIN}", f"train2014/{PICTURE}"),
        ("annotations/densepose_coco_2014_train.json", f"coco_train2014/{PICTURE}"),
        (TRAIN, f"images/train2014/{PICTURE}"),
        (f"coco/annotations/{TRAIN}", f"coco/train2014/{PICTURE}"),
        (f"DensePose_COCO/{TRAIN}", PICTURE),
    ],
)
def test_pictures_are_found_in_the_usual_layouts(tmp_path: Path, annotations: str, image: str) -> None:
    put_annotations(tmp_path / annotations)
    put_image(tmp_path / image)
    diagnosis = examine(tmp_path, quiet=True)
    assert diagnosis.kinds == ["DensePose-COCO"]
    assert codes(diagnosis) == ["count-catalogue", "count-catalogue"]  # one person is not 39,210
    assert diagnosis.pictures_opened == 1
    assert diagnosis.errors == 0


def test_pictures_may_lie_elsewhere(tmp_path: Path) -> None:
    put_annotations(tmp_path / "set/mine.json")
    put_image(tmp_path / "pictures/deep" / PICTURE)
    assert codes(examine(tmp_path / "set", quiet=True)) == ["pictures-nowhere"]
    assert codes(examine(tmp_path / "set", images=tmp_path / "pictures", quiet=True)) == []


def test_a_set_without_its_pictures_names_the_download_once(tmp_path: Path) -> None:
    put_annotations(
        tmp_path / TRAIN, names=tuple(f"COCO_train2014_{number:012d}.jpg" for number in range(50))
    )
    diagnosis = examine(tmp_path, quiet=True)
    (finding,) = [finding for finding in diagnosis.findings if finding.severity is Severity.ERROR]
    assert finding.code == "pictures-nowhere"
    assert "none of 50 pictures" in finding.found
    assert "http://images.cocodataset.org/zips/train2014.zip (13 GB)" in finding.remedy
    text = diagnosis_as_text(diagnosis)
    assert "densepose_minival2014.json, 31 MB" in text  # the rest of the set
    assert "CC BY-NC" in text
    assert "densepose_uv_data.tar.gz" in text


def test_pictures_that_are_missing_among_others_are_named(tmp_path: Path) -> None:
    names = tuple(f"{number}.jpg" for number in range(40))
    put_annotations(tmp_path / "mine.json", names=names)
    for name in names[1:-1]:
        put_image(tmp_path / "somewhere" / name)
    diagnosis = examine(tmp_path, processes=2, quiet=True)
    assert [finding.place for finding in diagnosis.findings] == ["image 0", "image 39"]
    assert diagnosis.pictures_opened == 38


def test_cocos_own_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "instances_train2014.json").write_text("not even JSON")
    put_annotations(tmp_path / "mine.json")
    put_image(tmp_path / PICTURE)
    assert codes(examine(tmp_path, quiet=True)) == ["not-checked"]


def test_an_empty_folder_says_what_can_be_put_there(tmp_path: Path) -> None:
    diagnosis = examine(tmp_path, quiet=True)
    assert codes(diagnosis) == ["nothing-here"]
    text = diagnosis_as_text(diagnosis)
    assert "slimdp synthesize --preset tiny --out" in text
    for downloads in everything().values():
        for download in downloads:
            assert download.address in text
            assert download.licence in text


def test_pictures_alone_are_noted(tmp_path: Path) -> None:
    put_image(tmp_path / "a.jpg")
    (finding,) = examine(tmp_path, quiet=True).findings
    assert (finding.code, finding.found) == ("no-annotations", "1 pictures, but no annotation file")


def test_folders_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        examine(tmp_path / "absent", quiet=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="give the folder"):
        examine(tmp_path / "file", quiet=True)
    with pytest.raises(ValueError, match="processes = 0"):
        examine(tmp_path, processes=0, quiet=True)


def test_every_name_of_a_split_finds_it() -> None:
    for dataset, splits in SPLITS.items():
        for split in splits:
            assert split.download.what in split.files
            assert all(find_split(name) == (dataset, split) for name in split.files)
    assert find_split("densepose_test.json") is None


def charts() -> dict[str, np.ndarray]:
    """Of the published shapes, all at the lower limits."""
    ones, zeros = np.ones, np.zeros
    return {
        "All_Faces": ones((13774, 3), np.uint32),
        "All_FaceIndices": ones((13774, 1), np.uint8),
        "All_U_norm": zeros((7829, 1)),
        "All_V_norm": zeros((7829, 1)),
        "All_vertices": ones((1, 7829), np.uint32),
    }


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("All_Faces", None, "wanted All_Faces; there are: All_FaceIndices"),
        ("All_U_norm", np.full((7829, 1), 1.5), "1.5..1.5, but 0..1 is wanted"),
        ("All_V_norm", np.full((7829, 1), np.nan), "7,829 values that are not finite"),
        ("All_FaceIndices", np.zeros((13774, 1)), "0..0, but 1..24 is wanted"),
        ("All_vertices", np.ones((1, 9)), "shape (9,), but (7829,) is wanted"),
    ],
)
def test_charts_that_are_not_the_published_ones(
    tmp_path: Path, key: str, value: np.ndarray | None, found: str
) -> None:
    content = {name: array for name, array in (charts() | {key: value}).items() if array is not None}
    savemat(tmp_path / "UV_Processed.mat", content)
    (finding,) = examine(tmp_path, quiet=True).findings
    assert (finding.code, finding.place) == ("surface-damaged", key)
    assert found in finding.found


def test_surface_files_are_recognised_and_the_rest_is_named(tmp_path: Path) -> None:
    savemat(tmp_path / "UV_Processed.mat", charts())
    parts = np.arange(1, 25)[:, None]
    subdivided = {"U_subdiv": parts / 24, "V_subdiv": parts / 24, "Part_ID_subdiv": parts}
    savemat(tmp_path / "SMPL_subdiv.mat", subdivided)
    diagnosis = examine(tmp_path, quiet=True)
    assert diagnosis.kinds == [SURFACE]
    assert codes(diagnosis) == []
    assert [download.what for download in diagnosis.missing[SURFACE]] == [
        "UV_symmetry_transforms.mat",
        "SMPL_SUBDIV_TRANSFORM.mat, Pdist_matrix.pkl",
    ]


def test_pickles_are_not_run_and_web_pages_are_no_surface(tmp_path: Path) -> None:
    (tmp_path / "Pdist_matrix.pkl").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")  # would run a command
    (tmp_path / "SMPL_subdiv.mat").write_text("<html>404</html>")
    (tmp_path / "UV_Processed.mat").write_text("<html>404</html>")
    diagnosis = examine(tmp_path, quiet=True)
    assert codes(diagnosis) == ["surface-damaged"] * 3
    text = diagnosis_as_text(diagnosis)
    assert "it asks for os.system, which no array needs" in text
    assert "no MATLAB file: it begins with b'<html>404</h'" in text


def test_damage_of_the_other_surface_files_is_told(tmp_path: Path) -> None:
    parts = np.arange(1, 25)[:, None]
    subdivided = {"U_subdiv": parts / 24, "V_subdiv": parts / 24, "Part_ID_subdiv": parts + 1}
    savemat(tmp_path / "SMPL_subdiv.mat", subdivided)
    savemat(tmp_path / "SMPL_SUBDIV_TRANSFORM.mat", {"index": np.array([[1, 27555]])})
    savemat(tmp_path / "UV_symmetry_transforms.mat", {"U_transforms": parts, "V_transforms": parts})
    np.save(tmp_path / "Pdist_matrix.npy", np.ones(10))
    found = {finding.file: finding.found for finding in examine(tmp_path, quiet=True).findings}
    assert found == {
        "Pdist_matrix.npy": "10 distances, but 379,597,681 are wanted",
        "SMPL_SUBDIV_TRANSFORM.mat": "index runs from 1 to 27555, but 1..27554 is wanted",
        "SMPL_subdiv.mat": "Part_ID_subdiv runs from 2 to 25, but 0..24 is wanted",
        "UV_symmetry_transforms.mat": "U_transforms holds int64, but cells are wanted",
    }


def test_the_real_densepose_sample(samples: Path) -> None:
    diagnosis = examine(samples / "densepose", quiet=True)
    assert diagnosis.kinds == ["annotations in DensePose-COCO form", SURFACE]
    assert codes(diagnosis) == ["not-checked"]  # results_785.json
    (summary,) = diagnosis.files
    assert (summary.dense_people, summary.points) == (1, 125)
    real = loadmat(str(samples / "densepose/UV_Processed.mat"))
    assert {key: real[key].shape for key in charts()} == {key: array.shape for key, array in charts().items()}


def test_the_real_posetrack_sample(samples: Path) -> None:
    """Real boxes and keypoints reach past the picture: worth a note, and the reader takes them."""
    diagnosis = examine(samples / "posetrack18", quiet=True)
    assert diagnosis.kinds == ["annotations in PoseTrack form"]
    assert codes(diagnosis) == ["box-outside", "box-outside", "keypoints-outside", "no-points"]
    (summary,) = diagnosis.files
    assert (summary.people, summary.videos, summary.tracks) == (14, 3, 14)
    file = samples / "posetrack18/annotations/test_posetrack18_val.json"
    assert len(read_annotations(file, samples / "posetrack18").people) == summary.people


def test_what_a_set_of_labelled_frames_was_made_of_is_no_finding(tmp_path: Path) -> None:
    """about.json beside labels.json, as `slimdp frames` writes it; alone it may be anything."""
    put_annotations(tmp_path / "labels.json", ("a.jpg",))
    put_image(tmp_path / "a.jpg")
    (tmp_path / "about.json").write_text('{"labels": "0123"}')
    assert codes(examine(tmp_path)) == []
    (tmp_path / "labels.json").rename(tmp_path / "mine.json")
    assert codes(examine(tmp_path)) == ["not-checked"]
