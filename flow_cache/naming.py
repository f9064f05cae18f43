"""What the videos of a store are called: by their folder or file, by several folders, or as a user says.

`walk/` and `walk.mp4` are called walk, as given: a link keeps its own name. Where several given videos would
be called alike, as SEQ-02/img1 and SEQ-04/img1, each takes as many folders into its name as tell them apart:
the name stays the end of the path, and frames in that folder are found by it. NAME=PATH says any other name.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from flow_cache.errors import FlowCacheError
from flow_cache.runtime.shell import quoted


@dataclass(frozen=True)
class VideoSource:
    """A folder of frames or a video file, and the name that its flow has in a store."""

    path: Path
    name: str

    def __str__(self) -> str:
        """How a user gives it: by its path, or as NAME=PATH."""
        return str(self.path) if self.name == video_name(self.path) else f"{self.name}={self.path}"


def video_name(path: Path) -> str:
    """What a video is called by itself: the name of its folder, or that of its file without the suffix."""
    return _names(path)[-1]


def name_sources(
    sources: Iterable[Path | str | VideoSource], known: Collection[str] = ()
) -> list[VideoSource]:
    """Name several videos, paths or NAME=PATH, so that no two are called alike; what has a name keeps it.

    A video keeps the name by which the store to be written knows it (`known`). Raises FlowCacheError for a
    name that cannot be, or two videos that only NAME=PATH can tell apart.
    """
    given = [source if isinstance(source, VideoSource) else _parse(source) for source in sources]
    choices = [[one.name] if isinstance(one, VideoSource) else _choices(one, known) for one in given]
    while clashes := _clashing(choices):
        longer = [names for names in clashes if len(names) > 1]
        if not longer:
            break
        for names in longer:
            names.pop()
    named = [
        VideoSource(one.path if isinstance(one, VideoSource) else one, names[-1])
        for one, names in zip(given, choices, strict=True)
    ]
    _check_different(named)
    return named


def name_source(source: Path | str | VideoSource) -> VideoSource:
    """Name one video; raises as `name_sources`."""
    (named,) = name_sources([source])
    return named


def is_name(name: str) -> bool:
    """Whether a text can be the name of a video: folders below one another, so that it can be a path too."""
    return name.isprintable() and not {"", ".", ".."} & set(name.split("/")) and "\\" not in name


def find_name(names: Collection[str], folder: PurePath) -> str | None:
    """Which of some names is that of the video whose frames lie in a folder: the one of most folders."""
    return next((name for name in folder_names(folder) if name in names), None)


def folder_names(folder: PurePath) -> list[str]:
    """What the video of a folder may be called, most folders first: "set/a/img1", "a/img1", "img1"."""
    parts = [part for part in folder.parts if part not in (folder.anchor, "..")]
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _parse(source: Path | str) -> Path | VideoSource:
    text = str(source)
    if "=" not in text or os.path.lexists(text):
        return Path(source)
    name, _, path = text.partition("=")
    if not path or not is_name(name):
        raise FlowCacheError(
            f"{text!r} is no path that is there, and no NAME=PATH either: wanted a name such as SEQ-02 or "
            "SEQ-02/img1"
        )
    return VideoSource(Path(path), name)


def _names(path: Path) -> list[str]:
    """Names of a video, most folders first."""
    if path.name in ("", ".."):  # only these say nothing; a link is called as it is given
        path = path.resolve()
    whole = Path(os.path.abspath(path))
    return folder_names(whole if path.is_dir() else whole.with_name(whole.stem)) or [str(path)]


def _choices(path: Path, known: Collection[str]) -> list[str]:
    names = _names(path)
    held = next((place for place, name in enumerate(names) if name in known), len(names) - 1)
    return names[: held + 1]


def _clashing(choices: list[list[str]]) -> list[list[str]]:
    count = Counter(names[-1] for names in choices)
    return [names for names in choices if count[names[-1]] > 1]


def _check_different(named: list[VideoSource]) -> None:
    paths: dict[str, Path] = {}
    for video in named:
        if video.name in paths:
            other = paths[video.name]
            if other == video.path:
                raise FlowCacheError(f"{other} is given twice")
            first, second = quoted(f"NAME_1={other}"), quoted(f"NAME_2={video.path}")
            raise FlowCacheError(
                f"two videos named {video.name!r}: {other} and {video.path}; name them: {first} {second}"
            )
        paths[video.name] = video.path
