"""The real data sets: their files, how much is in them, where their authors publish them.

Counts and sizes are those that DensePose's authors give beside the download links (detectron2,
projects/DensePose, doc/DENSEPOSE_DATASETS.md), and those of the COCO download page.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from slimdp.surface.densepose import files as densepose_files
from slimdp.surface.densepose.files import EVAL_DATA, UV_DATA

_DENSEPOSE = "https://dl.fbaipublicfiles.com/densepose"
_BY_NC = "CC BY-NC: not for commercial use"
DENSEPOSE_COCO, DENSEPOSE_POSETRACK = "DensePose-COCO", "DensePose-PoseTrack"
SURFACE = "DensePose surface files"


@dataclass(frozen=True)
class Download:
    """Something to fetch."""

    what: str
    address: str
    size: str  # as its authors state it; empty if they do not
    put: str  # where, relative to the folder that is checked
    licence: str


@dataclass(frozen=True)
class Split:
    """A published annotation file."""

    name: str
    files: tuple[str, ...]  # the names that it goes by
    people: int  # with points
    images: int  # with such people
    download: Download
    image_download: Download


@dataclass(frozen=True)
class SurfaceFile:
    """A published file of the body's surface."""

    files: tuple[str, ...]  # the names that it goes by
    download: Download


_UV_DATA = Download("the charts and their symmetry", UV_DATA, "", "UV_data/", _BY_NC)
_EVAL_DATA = Download("the subdivided mesh and its distances", EVAL_DATA, "", "eval_data/", _BY_NC)
_TRAIN2014 = Download(
    "pictures of COCO train2014 (82,783)", "http://images.cocodataset.org/zips/train2014.zip", "13 GB",
    "train2014/", "Flickr's terms, by picture; annotations CC BY 4.0",
)  # fmt: skip
_VAL2014 = Download(
    "pictures of COCO val2014 (40,504)", "http://images.cocodataset.org/zips/val2014.zip", "6 GB",
    "val2014/", "Flickr's terms, by picture; annotations CC BY 4.0",
)  # fmt: skip
_POSETRACK = Download(
    "pictures of PoseTrack 2017 (register there)", "https://posetrack.net/users/download.php", "",
    "posetrack_data_2017/", "PoseTrack's terms: not for commercial use",
)  # fmt: skip


def _annotations(file: str, size: str) -> Download:
    return Download(file, f"{_DENSEPOSE}/annotations/coco/{file}", size, "annotations/", _BY_NC)


SPLITS: dict[str, tuple[Split, ...]] = {
    DENSEPOSE_COCO: (
        Split(
            "train", ("densepose_train2014.json", "densepose_coco_2014_train.json"), 39210, 26437,
            _annotations("densepose_train2014.json", "526 MB"), _TRAIN2014,
        ),
        Split(
            "valminusminival",
            (
                "densepose_valminusminival2014.json", "densepose_coco_2014_valminusminival.json",
                "densepose_coco_2014_valminusminus.json",
            ),
            7297, 5984, _annotations("densepose_valminusminival2014.json", "105 MB"), _VAL2014,
        ),
        Split(
            "minival", ("densepose_minival2014.json", "densepose_coco_2014_minival.json"), 2243, 1508,
            _annotations("densepose_minival2014.json", "31 MB"), _VAL2014,
        ),
    ),
    DENSEPOSE_POSETRACK: (
        Split(
            "train", ("densepose_posetrack_train2017.json", "densepose_only_posetrack_train2017.json"),
            8274, 1680, _annotations("densepose_posetrack_train2017.json", "118 MB"), _POSETRACK,
        ),
        Split(
            "val", ("densepose_posetrack_val2017.json", "densepose_only_posetrack_val2017.json"),
            4753, 782, _annotations("densepose_posetrack_val2017.json", "59 MB"), _POSETRACK,
        ),
    ),
}  # fmt: skip

SURFACE_FILES = tuple(
    SurfaceFile((file.name, *file.others), _UV_DATA if file.archive == UV_DATA else _EVAL_DATA)
    for file in densepose_files.SURFACE_FILES
)


def find_split(file_name: str) -> tuple[str, Split] | None:
    """The data set and the split that a file's name belongs to."""
    for dataset, splits in SPLITS.items():
        for split in splits:
            if file_name in split.files:
                return dataset, split
    return None


def missing_surface(here: Collection[str]) -> list[Download]:
    """The downloads that bring the surface files that are not among the names given."""
    absent: dict[Download, list[str]] = {}
    for file in SURFACE_FILES:
        if not set(file.files) & set(here):
            absent.setdefault(file.download, []).append(file.files[0])
    return [replace(download, what=", ".join(files)) for download, files in absent.items()]


def everything() -> dict[str, list[Download]]:
    """All real data that slimdp can use, by data set; what several splits share comes once."""
    downloads = {
        dataset: list(
            dict.fromkeys(one for split in splits for one in (split.download, split.image_download))
        )
        for dataset, splits in SPLITS.items()
    }
    return {**downloads, SURFACE: missing_surface(())}
