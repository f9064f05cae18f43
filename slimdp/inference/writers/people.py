"""The people of a video as an annotation file without labels, and what the network says of them: `people/`.

people/people.json        boxes and track ids, for training (`unlabelled: true`, or `taught`)
people/images/NAME/       the frames, 000012.jpg by their numbers from 0
people/predictions.h5     the same people's dense pose (`slimdp.evaluation.predictions`)

Of a longer video it takes frames evenly apart, `MOST_FRAMES` at most: neighbours show much the same. Where
nobody knows beforehand how many frames will come, pieces hold one a second, which the whole thins out. Boxes
are those of a detector or of following, so `box_source` says that the person may reach out of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import cv2

from flow_cache.images import encode_image
from slimdp.data.write import write_annotations
from slimdp.evaluation.predictions import PredictionFile, PredictionWriter
from slimdp.inference.video_records import FramePose, VideoInfo
from slimdp.inference.writers.folders import replaced_folder, share_file
from slimdp.settings_file import ConfigError
from slimdp.structures import DensePoseInstance, ImageRecord, PersonAnnotation, unlabelled_person
from slimdp.surface.layout import PartLayout

PEOPLE, PREDICTIONS = "people.json", "predictions.h5"
#: Frames of a video that are taken.
MOST_FRAMES = 300
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]
_FRAMES = "frames.json"


class PeopleFolder:
    """Writes everybody of some frames, with the frames; an `OutputWriter`.

    It raises ConfigError for people who are read from iuv.h5: what is taught lies in the network's crops.
    """

    name = "people"

    @contextmanager
    def piece(
        self, folder: Path, info: VideoInfo, layout: PartLayout
    ) -> Iterator[Callable[[FramePose], None]]:
        """As `OutputWriter`."""
        every, frames = frames_apart(info), list[int]()
        with ExitStack() as stack:
            file: list[PredictionWriter] = []

            def write(pose: FramePose) -> None:
                if pose.frame.index % every:
                    return
                frames.append(pose.frame.index)
                picture = encode_image(pose.frame.image, ".jpg", _JPEG)
                (folder / _picture(pose.frame.index)).write_bytes(picture)
                for person in pose.people:
                    if not file:  # the first person tells the size of the crops
                        file.append(stack.enter_context(_writer(folder, person, layout)))
                    _require_crop(person, file[0].crop_size)
                    file[0].write(person)

            yield write
        (folder / _FRAMES).write_text(json.dumps(frames), encoding="utf-8")

    def join(self, pieces: Sequence[Path], out: Path, info: VideoInfo, layout: PartLayout) -> Path:
        """As `OutputWriter`."""
        with replaced_folder(out / self.name) as whole:
            taken = [(piece, index) for piece in pieces for index in _frames(piece)]
            taken = taken[:: max(-(-len(taken) // MOST_FRAMES), 1)]
            images = [_image(whole, info, index) for _, index in taken]
            (whole / "images" / info.name).mkdir(parents=True)
            for piece, index in taken:
                share_file(piece / _picture(index), whole / _file_name(info, index))
            people = _join_said(pieces, whole, {image.id: image for image in images}, layout)
            write_annotations(whole / PEOPLE, images, people)
        return out / self.name


def frames_apart(info: VideoInfo) -> int:
    """Of how many frames one is taken; of a video that does not say how many it has, one a second."""
    if not info.frames:
        return max(round(info.rate), 1)
    return -(-info.frames // MOST_FRAMES)


def _frames(piece: Path) -> list[int]:
    found: list[int] = json.loads((piece / _FRAMES).read_text(encoding="utf-8"))
    return found


def _picture(index: int) -> str:
    return f"{index:06d}.jpg"


def _file_name(info: VideoInfo, index: int) -> str:
    return f"images/{info.name}/{_picture(index)}"


def _writer(folder: Path, person: DensePoseInstance, layout: PartLayout) -> PredictionWriter:
    return PredictionWriter(folder / PREDICTIONS, len(person.part), layout=layout)


def _require_crop(person: DensePoseInstance, size: int) -> None:
    if person.part.shape != (size, size):
        raise ConfigError(
            "people/ takes the network's own crops, and cannot be made from iuv.h5; choose another --out"
        )


def _join_said(
    pieces: Sequence[Path], whole: Path, images: Mapping[int, ImageRecord], layout: PartLayout
) -> list[PersonAnnotation]:
    """Everybody in the images, once what was said of them is in the whole's file, numbered through."""
    people: list[PersonAnnotation] = []
    with ExitStack() as stack:
        writer: PredictionWriter | None = None
        for file in (piece / PREDICTIONS for piece in pieces):
            if not file.is_file():
                continue  # nobody is in its frames
            with PredictionFile(file) as said:
                for person in said:
                    image = images.get(person.image_id + 1)
                    if image is None:
                        continue  # the frame is one too many
                    track = person.annotation_id
                    people.append(unlabelled_person(1 + len(people), image, person.box, track, layout))
                    writer = writer or stack.enter_context(_writer(whole, person, layout))
                    writer.write(replace(person, image_id=image.id, annotation_id=people[-1].id))
    return people


def _image(whole: Path, info: VideoInfo, index: int) -> ImageRecord:
    name = _file_name(info, index)
    return ImageRecord(
        index + 1, whole / name, name, info.width, info.height, info.name, index, labelled=False
    )
