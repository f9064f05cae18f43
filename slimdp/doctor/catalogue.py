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

    files: tuple[str, ...]  # the names that it goes by
    people: int  # with points
    images: int  # with such people
    download: Download
    image_download: Download


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


def _split(files: tuple[str, ...], people: int, images: int, size: str, image_download: Download) -> Split:
    address = f"{_DENSEPOSE}/annotations/coco/{files[0]}"
    download = Download(files[0], address, size, "annotations/", _BY_NC)
    return Split(files, people, images, download, image_download)


SPLITS: dict[str, tuple[Split, ...]] = {
    DENSEPOSE_COCO: (
        _split(("densepose_train2014.json", "densepose_coco_2014_train.json"),
               39210, 26437, "526 MB", _TRAIN2014),
        _split(("densepose_valminusminival2014.json", "densepose_coco_2014_valminusminival.json",
                "densepose_coco_2014_valminusminus.json"), 7297, 5984, "105 MB", _VAL2014),
        _split(("densepose_minival2014.json", "densepose_coco_2014_minival.json"),
               2243, 1508, "31 MB", _VAL2014),
    ),
    DENSEPOSE_POSETRACK: (
        _split(("densepose_posetrack_train2017.json", "densepose_only_posetrack_train2017.json"),
               8274, 1680, "118 MB", _POSETRACK),
        _split(("densepose_posetrack_val2017.json", "densepose_only_posetrack_val2017.json"),
               4753, 782, "59 MB", _POSETRACK),
    ),
}  # fmt: skip

#: The names that each published file of the body's surface goes by, and where it is.
SURFACE_FILES = {
    (file.name, *file.others): _UV_DATA if file.archive == UV_DATA else _EVAL_DATA
    for file in densepose_files.SURFACE_FILES
}


def find_split(file_name: str) -> tuple[str, Split] | None:
    """The data set and the split that a file's name belongs to."""
    every = ((dataset, split) for dataset, splits in SPLITS.items() for split in splits)
    return next((found for found in every if file_name in found[1].files), None)


def missing_surface(here: Collection[str]) -> list[Download]:
    """The downloads that bring the surface files that are not among the names given."""
    absent: dict[Download, list[str]] = {}
    for names, download in SURFACE_FILES.items():
        if not set(names) & set(here):
            absent.setdefault(download, []).append(names[0])
    return [replace(download, what=", ".join(files)) for download, files in absent.items()]


def everything() -> dict[str, list[Download]]:
    """All real data that slimdp can use, by data set; what several splits share comes once."""
    downloads = {}
    for dataset, splits in SPLITS.items():
        each = [one for split in splits for one in (split.download, split.image_download)]
        downloads[dataset] = list(dict.fromkeys(each))
    return {**downloads, SURFACE: missing_surface(())}
