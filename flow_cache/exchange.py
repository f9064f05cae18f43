"""Flow to and from other programs: Middlebury's .flo and KITTI's 16-bit PNG, a file a field.

VIDEO/000003+1.flo is the flow from frame 3 to frame 4. Programs number the files of a video in their own
ways: FlowNet2 000000.flo, Sintel frame_0001.flo, Middlebury flow10.flo, KITTI 000000_10.png, from-to pairs
0001_0002.flo. A field that is taken for its neighbour's makes all labels wrong and shows nowhere, so a number
is believed only where nothing else fits, or a user says it.
"""

from __future__ import annotations

import itertools
import json
import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

import cv2
import numpy as np

from flow_cache.codec import encode_known
from flow_cache.errors import FlowCacheError
from flow_cache.images import content_of, decode_unchanged
from flow_cache.runtime.atomic import write_bytes
from flow_cache.runtime.progress import tracked
from flow_cache.runtime.words import listed
from flow_cache.schema import starts, step_name
from flow_cache.store import FlowStore
from flow_cache.video import VideoSource, is_name, name_source, open_video
from flow_cache.writer import FlowWriter

_MAGIC = b"PIEH"  # 202021.25 as float32
#: Middlebury's mark of an unknown displacement, and the least absolute value that is read as one.
_UNKNOWN, _UNKNOWN_FROM = np.float32(1e10), 1e9
_KITTI_UNITS_PER_PX, _KITTI_ZERO = 64.0, 2**15
_OF_KITTI = "wanted a 16-bit PNG of three channels, as KITTI has them"


def write_flo(path: Path, flow: np.ndarray) -> None:
    """Write flow (2, H, W) px, x first, as Middlebury does: float32, exact; NaN as 1e10, unknown."""
    known = np.where(np.isfinite(flow), flow, _UNKNOWN).astype("<f4")
    height, width = flow.shape[1:]
    write_bytes(path, _MAGIC + struct.pack("<ii", width, height) + known.transpose(1, 2, 0).tobytes())


def read_flo(path: Path) -> np.ndarray:
    """Read Middlebury's format: (2, H, W) float32 px, x first, NaN where unknown; else FlowCacheError."""
    width, height = flo_size(path)
    content = path.read_bytes()
    wanted = 12 + 8 * width * height
    if width < 1 or height < 1 or len(content) != wanted:
        raise FlowCacheError(
            f"{path} has {len(content)} bytes; its {width} x {height} px need {wanted}: it is damaged"
        )
    flow = np.frombuffer(content, "<f4", offset=12).reshape(height, width, 2).transpose(2, 0, 1).copy()
    flow[:, (np.abs(flow) > _UNKNOWN_FROM).any(axis=0)] = np.nan
    return flow


def flo_size(path: Path) -> tuple[int, int]:
    """Width and height px that a .flo file announces; FlowCacheError where it is none."""
    with open(path, "rb") as file:
        head = file.read(12)
    if head[:4] != _MAGIC or len(head) < 12:
        raise FlowCacheError(f"{path} is no .flo file: it begins with {head[:4]!r}; wanted {_MAGIC!r}")
    return struct.unpack("<ii", head[4:])


def png_size(path: Path) -> tuple[int, int]:
    """Width and height px that a PNG announces; FlowCacheError where it is none."""
    with open(path, "rb") as file:
        head = file.read(24)
    if head[:8] != b"\x89PNG\r\n\x1a\n" or len(head) < 24:
        raise FlowCacheError(f"{path} is no picture; {_OF_KITTI}")
    return struct.unpack(">II", head[16:])


def write_kitti(path: Path, flow: np.ndarray) -> None:
    """Write flow (2, H, W) px, x first, as KITTI does: 16-bit PNG, 1/64 px, and a channel of what is known.

    Raises FlowCacheError for a displacement of 512 px or more, which the format cannot hold.
    """
    known = np.isfinite(flow).all(axis=0)
    # Rounded before the large zero is added, which in single precision would round a first time.
    stored = np.rint(np.where(known, flow, 0) * _KITTI_UNITS_PER_PX) + _KITTI_ZERO
    if stored.min() < 0 or stored.max() > 65535:
        raise FlowCacheError(
            f"{path}: displacements up to {np.nanmax(np.abs(flow)):.0f} px; KITTI's format ends at 512 px; "
            "use .flo"
        )
    x, y = stored.astype(np.uint16)
    _, content = cv2.imencode(".png", np.stack([known.astype(np.uint16), y, x], axis=-1))
    write_bytes(path, content.tobytes())


def read_kitti(path: Path) -> np.ndarray:
    """Read KITTI's format: (2, H, W) float32 px, x first, NaN where unknown; else FlowCacheError."""
    image = decode_unchanged(path, content_of(path))
    if image.dtype != np.uint16 or image.ndim != 3 or image.shape[2] != 3:
        raise FlowCacheError(f"{path} is {image.dtype} {image.shape}; {_OF_KITTI}")
    known, y, x = np.moveaxis(image, -1, 0)
    flow = (np.stack([x, y]).astype(np.float32) - _KITTI_ZERO) / np.float32(_KITTI_UNITS_PER_PX)
    flow[:, known == 0] = np.nan
    return flow


class FlowFormat(NamedTuple):
    """How one flow is kept in a file of its own."""

    suffix: str
    size: Callable[[Path], tuple[int, int]]  # width, height px, from the head of the file
    read: Callable[[Path], np.ndarray]
    write: Callable[[Path, np.ndarray], None]


FORMATS = {
    "flo": FlowFormat(".flo", flo_size, read_flo, write_flo),
    "kitti": FlowFormat(".png", png_size, read_kitti, write_kitti),
}


def export_flow(store: FlowStore, out: Path, format: str) -> int:
    """Write every finished field of a store to a file of its own; returns how many.

    What is not stored is written as unknown. Each video gets a folder in `out`, of several folders where its
    name has several; `format` is a key of `FORMATS`. Raises FlowCacheError for no such format, a video whose
    name would lead out of the folder, or a displacement that the format cannot hold.
    """
    kind = _format(format)
    for video in store.videos():
        if not is_name(video):
            raise FlowCacheError(
                f"video {video!r} cannot be a folder of {out}: a store that says so was made by something "
                "else, or changed"
            )
    fields = [
        (video, frame, step)
        for video in store.videos()
        for step in store.steps(video)
        for frame in np.flatnonzero(store.finished(video, step)).tolist()
    ]
    for video, frame, step in tracked(fields, "export", "fields"):
        flow = store.read(video, frame, step).displacement
        kind.write(out / video / f"{frame:06d}{step_name(step)}{kind.suffix}", flow)
    return len(fields)


def import_flow(
    folder: Path,
    source: Path | str | VideoSource,
    out: Path,
    format: str,
    *,
    step: int | None = None,
    first: int | None = None,
    log: Callable[[str], None] | None = None,
) -> int:
    """Add flow that another program made to a store; returns how many fields. Unknown pixels read as NaN.

    The files of `folder` are named by frame and step, as `export_flow` names them, or numbered
    (`number_files`, with `step` and `first`). `source` is the video or folder of images that the flow is of,
    or NAME=PATH; `out` the .h5 file to write; `format` a key of `FORMATS`. `log` is told for which frames
    files are taken. Raises FlowCacheError for no such files, a name, size or frame that does not fit the
    video, or a damaged file; names and sizes of all are checked before the first is stored.
    """
    kind, video = _format(format), open_video(name_source(source))
    files = [path for path in folder.glob(f"*{kind.suffix}") if not path.name.startswith(".")]
    if not files:
        raise FlowCacheError(f"{folder} holds no *{kind.suffix}, such as 000003+1{kind.suffix}")
    numbered = number_files(files, video.frame_names, step, first)
    for path in numbered.fields.values():
        if (found := kind.size(path)) != (video.width, video.height):
            raise FlowCacheError(
                f"{path} is of {found[0]} x {found[1]} px, the frames of {video.path} of "
                f"{video.width} x {video.height} px"
            )
    if log is not None:
        log(numbered.said)
    record = video.record("imported", json.dumps({"format": format}), f"imported {format}")
    with FlowWriter(out) as writer:
        writer.add_video(record, tuple(sorted({step for _, step in numbered.fields})), numbered.fields)
        for (frame, by), path in tracked(numbered.fields.items(), "import", "fields"):
            flow = kind.read(path)
            try:
                stored = encode_known(flow, np.isfinite(flow).all(axis=0))
            except FlowCacheError as error:
                raise FlowCacheError(f"{path}: {error}") from error
            writer.write(video.name, frame, by, stored)
    return len(numbered.fields)


def _format(name: str) -> FlowFormat:
    if name not in FORMATS:
        raise FlowCacheError(f"format {name!r}; choices: {listed(FORMATS, name)}")
    return FORMATS[name]


_OWN_NAME = re.compile(r"(\d+)([+-]\d+)")
_NUMBER = re.compile(r"\d+")


class NumberedFiles(NamedTuple):
    """Files by the field that they hold, and how that was told."""

    fields: dict[tuple[int, int], Path]  # (frame, step)
    said: str


def number_files(
    files: Sequence[Path], frame_names: Sequence[str], step: int | None = None, first: int | None = None
) -> NumberedFiles:
    """Tell the fields of a video's files.

    Names such as 000003+1 say frame and step. Others are taken as flow to the next frame, or to the one
    `step` later: from the frame of the same name where there is one for each file; else the numbers, which
    must follow one another and be as many as there are frames with such flow, begin at the first of these.
    Two numbers may lead from frame to frame, and so say the step.
    `first` is the number that the first frame of the video has in names; None: it is found out. Raises
    FlowCacheError for names of another kind, or of two readings, two files of one field, or one that leaves.
    """
    files = sorted(files, key=lambda file: [int(number) for number in _NUMBER.findall(file.stem)])
    own = [_OWN_NAME.fullmatch(file.stem) for file in files]
    if step is None and first is None and all(own):
        numbered = [(int(match[1]), int(match[2])) for match in own if match]
        return _checked(files, numbered, frame_names, "named by frame and step")
    if first is None and (frames := _frames_by_name(files, frame_names, step or 1)):
        numbered = [(frame, step or 1) for frame in frames]
        return _checked(files, numbered, frame_names, "from the frame of the same name")
    froms, named_step = _varying_numbers(files, len(frame_names))
    step = step or named_step or 1
    if first is not None:
        frames, how = [number - first for number in froms], f"number {first} is the first frame"
    else:
        frames, how = _frames_in_order(files, froms, frame_names, step)
    return _checked(files, [(frame, step) for frame in frames], frame_names, how)


def _frames_by_name(files: Sequence[Path], frame_names: Sequence[str], step: int) -> list[int] | None:
    """The frame of the same name as each file; None where one has no such frame."""
    possible = starts(len(frame_names), step)
    places = {PurePath(name).stem: place for place, name in enumerate(frame_names)}
    by_name = [places.get(file.stem, -1) for file in files]
    named = bool(PurePath(frame_names[0]).suffix)  # frames of a video file are numbered by us alone
    complete = len(files) == len(possible)
    return by_name if set(by_name) <= set(possible) and (named or complete) else None


def _varying_numbers(files: Sequence[Path], frame_count: int) -> tuple[list[int], int | None]:
    """The number in each name that counts, and the step where two numbers lead from frame to frame."""
    patterns = {_NUMBER.sub("#", file.stem): file.name for file in reversed(files)}
    if len(patterns) > 1:
        some = ", ".join(sorted(patterns.values())[:3])
        raise FlowCacheError(
            f"{files[0].parent}: files are named in {len(patterns)} ways ({some}); import each way from a "
            "folder of its own, with --step for its direction"
        )
    columns = list(zip(*([int(number) for number in _NUMBER.findall(file.stem)] for file in files)))
    varying = [column for column in columns if len(set(column)) > 1]
    if len(files) == 1 and (len(columns) == 1 or _is_pair(files[0], frame_count)):
        varying = columns  # there is no other file to tell what varies
    if len(varying) == 2 and len(differences := {b - a for a, b in zip(*varying)} - {0}) == 1:
        return list(varying[0]), differences.pop()
    if len(varying) != 1:
        suffix = files[0].suffix
        raise FlowCacheError(
            f"{files[0]}: {len(varying) or 'none'} of the numbers in the names count; wanted one, as in "
            f"000000{suffix}, two from frame to frame, as in 0001_0002{suffix}, or frame and step, as in "
            f"000003+1{suffix}"
        )
    return list(varying[0]), None


def _is_pair(file: Path, frame_count: int) -> bool:
    """Whether a name has two numbers that can lead from frame to frame, as 0001_0002 has, not cam2_0001."""
    numbers = _NUMBER.findall(file.stem)
    if len(numbers) != 2:
        return False
    alike = len(numbers[0]) == len(numbers[1]) or not any(number.startswith("0") for number in numbers)
    return alike and 0 < abs(int(numbers[1]) - int(numbers[0])) < frame_count


def _frames_in_order(
    files: Sequence[Path], numbers: list[int], frame_names: Sequence[str], step: int
) -> tuple[list[int], str]:
    """The frame that each file's flow starts from where the files are as many as such fields."""
    possible = starts(len(frame_names), step)
    follow = all(after - before == 1 for before, after in itertools.pairwise(numbers))
    if len(files) == len(possible) and follow:
        return list(possible), f"number {numbers[0]} is the first of as many as fit"
    raise FlowCacheError(
        f"{files[0].parent} holds {len(files)} files, numbers {numbers[0]} to {numbers[-1]}"
        f"{'' if follow else ' with gaps'}, whose names are not those of frames; the video has "
        f"{len(frame_names)} frames, {frame_names[0]} to {frame_names[-1]}, and so {len(possible)} fields of "
        f"step {step_name(step)}: say which number the first frame has, --first-frame 0 or --first-frame 1, "
        "and the step if it is another, --step 1"
    )


def _checked(
    files: Sequence[Path], numbered: list[tuple[int, int]], frame_names: Sequence[str], how: str
) -> NumberedFiles:
    fields: dict[tuple[int, int], Path] = {}
    last = len(frame_names) - 1
    for path, (frame, step) in zip(files, numbered, strict=True):
        if step == 0 or not (0 <= frame <= last and 0 <= frame + step <= last):
            raise FlowCacheError(
                f"{path}, taken as frame {frame}, step {step_name(step)} ({how}), leaves the video, whose "
                f"frames are 0 to {last}"
            )
        if (other := fields.setdefault((frame, step), path)) is not path:
            raise FlowCacheError(f"{other} and {path} are the same field; remove one of them")
    (frame, step), path = next(iter(fields.items()))
    ends = f"{frame_names[frame]} to {frame_names[frame + step]}"
    return NumberedFiles(fields, f"{path.name} is the flow from frame {ends}, and so on ({how})")
