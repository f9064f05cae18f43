"""What lies in a folder: a rendered set, annotation files, pictures, videos, flow stores, surface files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flow_cache.formats import FORMATS
from flow_cache.images import IMAGE_SUFFIXES
from slimdp.doctor.catalogue import SURFACE_FILES, find_split
from slimdp.doctor.flow_stores import is_flow_store
from slimdp.doctor.media import is_video_file
from slimdp.doctor.rendered import PLAN
from slimdp.doctor.result_files import is_predictions

#: Annotation files and surface files are looked for this many folders down.
DEPTH = 4
#: COCO's own annotation files: no DensePose in them, and hundreds of megabytes to parse.
_COCO_PREFIXES = ("captions_", "instances_", "person_keypoints_", "image_info_", "stuff_", "panoptic_")


@dataclass(frozen=True)
class Contents:
    """What lies in a folder; paths are absolute or relative as the folder was given, sorted."""

    folder: Path
    rendered: bool  # dataset.json is there
    annotations: tuple[Path, ...]  # JSON files that may be annotation files
    passed_over: tuple[Path, ...]  # COCO's own annotation files
    surface: tuple[Path, ...]
    flow: tuple[Path, ...]
    flow_files: tuple[Path, ...]  # fields in files of their own, as other programs write them
    videos: tuple[Path, ...]  # video files
    checkpoints: tuple[Path, ...]
    predictions: tuple[Path, ...]  # HDF5 files that are no flow stores
    folders: tuple[Path, ...]  # itself first, then those that may hold pictures
    pictures: tuple[Path, ...]  # whether anything names them or not
    odd: tuple[tuple[Path, str], ...]  # what cannot be looked at, and why

    def name(self, path: Path) -> str:
        """A path as findings call it."""
        return path.relative_to(self.folder).as_posix()

    def nearest_folders(self, file: Path) -> list[Path]:
        """Folders that may hold the pictures of an annotation file: those around it first."""
        around = [folder for folder in (file.parent, *file.parents) if folder in set(self.folders)]
        return list(dict.fromkeys([*around, *self.folders]))


def run_status(folder: Path) -> Contents:
    """Find out what lies in a folder; links to folders are followed.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such folder.
    """
    if not folder.exists():
        raise FileNotFoundError(f"no folder {folder}")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; give the folder of a data set")
    rendered = (folder / PLAN).is_file()
    surface_names = {name for file in SURFACE_FILES for name in file.files}
    annotations, passed_over, surface, flow, folders = [], [], [], [], []
    pictures, videos, checkpoints, predictions, flow_files = [], [], [], [], []
    odd: list[tuple[Path, str]] = []
    for here, names in _walk(folder, DEPTH, odd):
        folders.append(here)
        for name in names:
            path, suffix = here / name, Path(name).suffix.lower()
            if suffix in IMAGE_SUFFIXES:
                pictures.append(path)
            elif name in surface_names:
                surface.append(path)
            elif suffix == ".h5" and is_flow_store(path):
                flow.append(path)
            elif suffix == ".h5" and is_predictions(path):
                predictions.append(path)
            elif suffix == FORMATS["flo"].suffix:
                flow_files.append(path)
            elif suffix == ".pt":
                checkpoints.append(path)
            elif is_video_file(path):
                videos.append(path)
            elif suffix == ".json" and name.startswith(_COCO_PREFIXES) and find_split(name) is None:
                passed_over.append(path)
            elif suffix == ".json" and not (rendered and path == folder / PLAN):
                annotations.append(path)
    return Contents(
        folder, rendered, tuple(annotations), tuple(passed_over), tuple(surface), tuple(flow),
        tuple(flow_files), tuple(videos), tuple(checkpoints), tuple(predictions),
        tuple(folders), tuple(pictures), tuple(odd),
    )  # fmt: skip


def _walk(folder: Path, depth: int, odd: list[tuple[Path, str]]) -> Iterator[tuple[Path, list[str]]]:
    """Folders and the names of the files in them, sorted, from the top; hidden ones are left out.

    What is neither goes to `odd`: to read from a pipe would wait for ever.
    """
    folders, files, here = [], [], folder.resolve()
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    # A link to a folder around this one leads round and round.
                    if not (entry.is_symlink() and here.is_relative_to(Path(entry.path).resolve())):
                        folders.append(entry.name)
                elif entry.is_file():
                    files.append(entry.name)
                else:
                    what = "a link to nothing" if entry.is_symlink() else "no regular file"
                    odd.append((Path(entry.path), what))
    except OSError as error:
        odd.append((folder, f"cannot be looked into: {error.strerror}"))
        return
    yield folder, files
    if depth:
        for name in folders:
            yield from _walk(folder / name, depth - 1, odd)
