"""The contents of a folder by kind: annotation files, pictures, videos, flow stores, surface files, ..."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flow_cache.exchange import FORMATS
from flow_cache.images import IMAGE_SUFFIXES
from slimdp.data.labelled_frames import ABOUT, LABELS
from slimdp.doctor.catalogue import SURFACE_FILES, find_split
from slimdp.doctor.flow_stores import is_flow_store
from slimdp.doctor.media import is_video_file
from slimdp.doctor.stored_files import is_predictions
from slimdp.synthetic.dataset import SET_FILE

#: Annotation files and surface files are looked for this many folders down.
DEPTH = 4
#: COCO's own annotation files: no DensePose in them, and hundreds of megabytes to parse.
_COCO_PREFIXES = ("captions_", "instances_", "person_keypoints_", "image_info_", "stuff_", "panoptic_")
_SURFACE_NAMES = {name for names in SURFACE_FILES for name in names}


@dataclass
class Contents:
    """The files of a folder by kind, sorted; paths are absolute or relative as the folder was given."""

    folder: Path
    rendered: bool  # dataset.json is there
    annotations: list[Path] = field(default_factory=list)  # JSON files that may be annotation files
    passed_over: list[Path] = field(default_factory=list)  # COCO's own annotation files
    surface: list[Path] = field(default_factory=list)
    flow: list[Path] = field(default_factory=list)
    flow_files: list[Path] = field(default_factory=list)  # fields in files as other programs write them
    videos: list[Path] = field(default_factory=list)  # video files
    checkpoints: list[Path] = field(default_factory=list)
    predictions: list[Path] = field(default_factory=list)  # HDF5 files that are no flow stores
    folders: list[Path] = field(default_factory=list)  # itself first, then those that may hold pictures
    images: list[Path] = field(default_factory=list)  # whether anything names them or not
    odd: list[tuple[Path, str]] = field(default_factory=list)  # what cannot be looked at, and why

    def name(self, path: Path) -> str:
        """A path as findings call it."""
        return path.relative_to(self.folder).as_posix()


def scan_folder(folder: Path) -> Contents:
    """Find out what lies in a folder; links to folders are followed.

    Raises FileNotFoundError, NotADirectoryError where there is no such folder.
    """
    if not folder.exists():
        raise FileNotFoundError(f"no folder {folder}")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; give the folder of a data set")
    contents = Contents(folder, (folder / SET_FILE).is_file())
    for here, names in _walk(folder, DEPTH, contents.odd):
        contents.folders.append(here)
        for name in names:
            if (kind := _kind(here / name, contents)) is not None:
                kind.append(here / name)
    return contents


def _kind(path: Path, contents: Contents) -> list[Path] | None:
    """The list that a file belongs to, by its name and, of HDF5, by its content."""
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return contents.images
    if path.name in _SURFACE_NAMES:
        return contents.surface
    if suffix == ".h5" and is_flow_store(path):
        return contents.flow
    if suffix == ".h5" and is_predictions(path):
        return contents.predictions
    if suffix == FORMATS["flo"].suffix:
        return contents.flow_files
    if suffix == ".pt":
        return contents.checkpoints
    if is_video_file(path):
        return contents.videos
    if suffix == ".json" and path.name.startswith(_COCO_PREFIXES) and find_split(path.name) is None:
        return contents.passed_over
    return contents.annotations if suffix == ".json" and not _is_record(path, contents) else None


def _is_record(path: Path, contents: Contents) -> bool:
    """Whether a file says what slimdp made a set of, of rendered people or of labelled frames."""
    of_frames = path.name == ABOUT and (path.parent / LABELS).is_file()
    return of_frames or (contents.rendered and path == contents.folder / SET_FILE)


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
                    odd.append(
                        (Path(entry.path), "a link to nothing" if entry.is_symlink() else "no regular file")
                    )
    except OSError as error:
        odd.append((folder, f"cannot be looked into: {error.strerror}"))
        return
    yield folder, files
    for name in folders if depth else ():
        yield from _walk(folder / name, depth - 1, odd)
