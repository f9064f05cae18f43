"""What a user brings to the rendering: pictures to stand before, and recorded motions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flow_cache.file_hashes import hash_of_all, hash_of_file
from flow_cache.images import IMAGE_SUFFIXES, check_image
from slimdp.synthetic.motion import BvhMotion, read_bvh
from slimdp.synthetic.world import read_background

MOTION_ENDINGS = (".bvh",)
#: Of every this many files, the last is for the validation clips.
_VALIDATION_EVERY = 5


class AssetError(ValueError):
    """A user's folder or file that cannot be rendered with."""


@dataclass(frozen=True)
class Assets:
    """Files that scenes draw from at random; where there are none, everything is procedural."""

    backgrounds: tuple[Path, ...] = ()  # pictures
    motions: tuple[Path, ...] = ()  # BVH files


def find_assets(backgrounds: Path | None = None, motions: Path | None = None) -> Assets:
    """The pictures and motions in two folders and the folders below them, sorted by path, each file checked.

    Raises AssetError for a folder that is missing, unreadable or without such files, a picture that is
    damaged, or a motion that is no whole BVH file of a person; naming it.
    """
    images = _files(backgrounds, "--backgrounds", IMAGE_SUFFIXES) if backgrounds is not None else ()
    recordings = _files(motions, "--motions", MOTION_ENDINGS) if motions is not None else ()
    for image in images:
        try:
            check_image(image)
            read_background(image)
        except ValueError as error:
            raise AssetError(f"{error}; or take it out of the --backgrounds folder") from error
    for recording in recordings:
        try:
            BvhMotion(read_bvh(recording))
        except (OSError, ValueError) as error:
            place = "" if str(recording) in str(error) else f"{recording}: "
            raise AssetError(f"{place}{error}; or take it out of the --motions folder") from error
    return Assets(images, recordings)


def split_assets(assets: Assets) -> tuple[Assets, Assets]:
    """A user's files for training and for validation: every fifth for validation, so that none is in both.

    Of two to four files, the last is for validation; a single file serves both.
    """
    sides = [_split(files) for files in (assets.backgrounds, assets.motions)]
    (train_backgrounds, val_backgrounds), (train_motions, val_motions) = sides
    return Assets(train_backgrounds, train_motions), Assets(val_backgrounds, val_motions)


def fingerprint(files: Iterable[Path]) -> str:
    """What a list of files is known by: a hash of their names and content, not of where they lie."""
    known = list(files)
    return f"{len(known)} files, {hash_of_all(known, hash_of_file)[:12]}" if known else "none"


def _split(files: tuple[Path, ...]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    if len(files) < 2:
        return files, files
    val = files[_VALIDATION_EVERY - 1 :: _VALIDATION_EVERY] or files[-1:]
    return tuple(file for file in files if file not in set(val)), val


def _files(folder: Path, option: str, endings: tuple[str, ...]) -> tuple[Path, ...]:
    wanted = f"{option} wants a folder with {', '.join(endings)} files"
    if not folder.exists():
        raise AssetError(f"{folder}: no such folder; {wanted}")
    if not folder.is_dir():
        raise AssetError(f"{folder} is a file; {wanted}")
    found, seen = [], 0

    def refuse(error: OSError) -> None:
        raise AssetError(f"{error.filename}: cannot be read ({error.strerror}); {wanted}") from error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        seen += len(names)
        found += [Path(place, name) for name in names if name.lower().endswith(endings)]
    if not found:
        raise AssetError(f"{folder}: none of its {seen} files is one of those; {wanted}")
    return tuple(sorted(found))
