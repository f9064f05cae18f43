"""The Python interface: a trained network, and the dense pose of pictures and videos.

from slimdp import DensePose

model = DensePose.load()
for person in model("picture.jpg"):
    print(person.box, person.iuv.shape)
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flow_cache import FlowCacheError
from flow_cache.images import UPRIGHT, ImageError, orientation_of_opened
from slimdp.inference.detectors import (
    AUTO,
    DetectorError,
    DetectorRequest,
    FollowDetector,
    VideoWantedError,
    checked,
    make_detector,
)
from slimdp.inference.detectors.checked import checked_boxes, checked_xywh
from slimdp.inference.detectors.detector import LEAST_SCORE, no_boxes, require_score
from slimdp.inference.error_bars import load_error_bars
from slimdp.inference.image_pose import ImagePose, PersonPose
from slimdp.inference.mirrored import mirror_symmetry
from slimdp.inference.outline_tracking import OutlineTracker
from slimdp.inference.person_maps import CropNetwork, tracked_maps
from slimdp.inference.predictor import instance_of
from slimdp.inference.tracking import make_tracker
from slimdp.inference.video import VideoPipeline, bars_to_write, video_origin, write_video
from slimdp.inference.video_frames import FrameSource, open_frames
from slimdp.inference.video_records import Boxes, Detector, FrameMaps, Smoother, TrackedPerson, VideoFrame
from slimdp.inference.weights import find_weights
from slimdp.registry import lookup
from slimdp.surface.layout import PartLayout
from slimdp.surface.load import check_surface_name, surface_layout
from slimdp.training import load_model
from slimdp.training.distributed import choose_device, to_device

_LOG = logging.getLogger(__name__)
#: Modes of PIL whose values are those of 8 bits, which become RGB as everywhere (`flow_cache.images`).
_MODES = ("RGB", "RGBA", "RGBX", "L", "LA", "P", "1", "CMYK", "YCbCr")
#: Modes of 16 bits, which Pillow's `convert` would cut off at 255.
_MODES_OF_16_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
#: By the type of an array's values, how they become uint8.
_AS_UINT8 = {
    "float": "(255 * image).astype('uint8') of one in 0..1",
    "uint16": "(image // 256).astype('uint8') of one in 0..65535",
}


@dataclass(frozen=True)
class DensePose:
    """A trained network with what finds people for it; made by `load`."""

    network: CropNetwork
    #: Finds people; words of one that is made for each video; None: boxes are given, or one person is looked
    #: for, as by "follow".
    detector: Detector | str | None
    surface: str  # whose charts (u, v) are of: "open", or a folder with DensePose's files or a mesh
    weights: Path  # the checkpoint
    score: float | None = None  # the least of a box, where somebody chose it

    @staticmethod
    def load(
        weights: str | Path | None = None,
        detector: str | Detector | None = "auto",
        surface: str | Path | None = None,
        device: str | None = None,
        score: float | None = None,
    ) -> DensePose:
        """Load a trained network.

        Args:
            weights: stage_NAME.pt of a training, or "people-192" or "people-128", which come with slimdp;
                None: the former.
            detector: what finds people: "auto", "yolox:FILE" and so on, as of `slimdp video --detector`;
                "boxes:FILE" is of videos, and `video` reads it; an object of yours
                (`slimdp.inference.video_records.Detector`; pictures need its `detect` alone);
                None: nothing does, and without boxes one person is looked for in the whole picture, as
                "follow" does: the network looks again in the box of its own outline. "auto" comes to that
                where no detector is at hand, and a warning says so.
            surface: whose charts the network was trained on, "open" or a folder; None: what its settings say.
            device: "cpu", "cuda", "cuda:1"; None: the GPU if there is one.
            score: the least score of a box, 0..1, with which somebody begins in a video, too; None: 0.3, and
                0.5 to begin. Of what an object of yours finds all counts, and `score` is of beginning alone.

        Raises:
            ValueError: no such weights, detector, surface or device, a score that cannot be, or parts that
                are not the network's.
        """
        if score is not None:
            require_score(score)
        path, place = find_weights(weights), choose_device(device or "auto")
        if isinstance(detector, str):
            with contextlib.suppress(VideoWantedError):  # `video` makes it
                words, detector = detector, _named(detector, score, device=str(place))
                if words == AUTO and isinstance(detector, FollowDetector):
                    _LOG.warning(
                        "no detector is at hand, so one person is looked for in the whole picture, and "
                        "followed in a video. For everybody: detector='torchvision', which downloads its "
                        "weights at first use, 'yolox:FILE.onnx' (docs/video.md), or boxes of yours; for one "
                        "person without this warning: detector='follow'"
                    )
        model, config = load_model(path)
        name = str(surface or config.surface)
        if surface is not None:
            check_surface_name(name)
            model.layout.check_same_labels(surface_layout(name), str(path), name)
        network = CropNetwork(to_device(model, place), config.crop, error_bars=load_error_bars(path))
        return DensePose(network, detector, name, path, score)

    @property
    def layout(self) -> PartLayout:
        """The parts that the network tells apart: `layout.part_names` of 0..P."""
        return self.network.model.layout

    def __call__(
        self,
        image: np.ndarray | Image.Image | str | Path,
        boxes: np.ndarray | Sequence[Sequence[float]] | None = None,
    ) -> ImagePose:
        """The dense pose of the people in a picture.

        Args:
            image: (H, W, 3) uint8 RGB (OpenCV reads BGR: `image[..., ::-1]`), a PIL image, or a file. An
                orientation tag is not applied, as everywhere in slimdp; a warning tells of it, and of a file
                that holds several pictures, the first of which is taken.
            boxes: (N, 4) or (4,) x, y, width, height, px; None: the detector finds them.

        Returns:
            Everyone, the surest first; those in given boxes in their order.

        Raises:
            ValueError: a picture of another shape or type, boxes that are none or lie outside of it, given
                or found, a detector of videos alone.
            ImageError: a file that is missing or damaged, or holds no picture.
        """
        frame = VideoFrame(0, Fraction(0), _pixels(image))
        maps = self._followed(frame) if boxes is None and self._follows else self._found(frame, boxes)
        people = [instance_of(person, 0, self.network.error_bars) for person in maps.people]
        return ImagePose(
            frame.image, tuple(PersonPose(frame.image, each, self.layout, self.surface) for each in people)
        )

    def video(
        self,
        video: str | Path,
        out: str | Path,
        write: str | Sequence[str] = ("overlay",),
        smooth: str = "flow",
        reach: int = 2,
        every: int | None = None,
        tracker: str | None = None,
        flip_test: bool | None = None,
        frames: int | None = None,
        rate: Fraction | float | None = None,
        batch: int = 8,
    ) -> list[Path]:
        """Write the dense pose of a video into a folder, as `slimdp video` does (docs/video.md).

        Args:
            video: a video file, a folder of images, or an image.
            out: the folder; a run that was stopped goes on in it.
            write: outputs: overlay, iuv, parts-viridis and so on, or one of them.
            smooth: over time: flow, causal (past frames alone) or none.
            reach: frames to each side for that.
            every: the detector looks at every so many frames; None: 4, of boxes in a file 1.
            tracker: flow or outline; None: as the detector needs it.
            flip_test: average with the mirrored crop, in twice the network's time (None: of crops).
            frames: only the first so many.
            rate: images a second of a folder; None: 25.
            batch: crops that go through the network together.

        Returns:
            The outputs, in the order of `write`.

        Raises:
            ValueError: an input that is missing or damaged, an unknown output, an `out` of something else, a
                detector of yours that finds what no boxes are, a number that cannot be.
        """
        _require_whole(reach=reach, every=every, frames=frames, batch=batch)
        source = open_frames(Path(video), rate)
        names = list(dict.fromkeys([write] if isinstance(write, str) else write))
        writers = [lookup("slimdp.writers", name, "write") for name in names]
        detector = self._detector_of(source)
        follower = make_tracker(tracker, detector, source.info, every, self.score, "tracker")
        smoother: Smoother = lookup("slimdp.smoothers", smooth, "smooth")(reach, None)
        symmetry = mirror_symmetry(flip_test, self.network.model.spec, self.surface)
        bars = bars_to_write(self.network.error_bars, names, self.surface)
        network = replace(self.network, batch=batch, flip_symmetry=symmetry, error_bars=bars)
        pipeline = VideoPipeline(source, detector, follower, network, smoother, frames)
        origin: dict[str, Any] = video_origin(source, self.weights)
        return write_video(pipeline, writers, Path(out), origin)

    def _detector_of(self, source: FrameSource) -> Detector:
        """What finds people in a video."""
        if not isinstance(self.detector, str | None):
            return checked(self.detector)
        device = next(self.network.model.parameters()).device
        words = FollowDetector.name if self.detector is None else self.detector
        return _named(words, self.score, device=str(device), frames=source)

    @property
    def _follows(self) -> bool:
        """Whether nothing finds people but the network's own outline."""
        return isinstance(self.detector, FollowDetector | None)

    def _followed(self, frame: VideoFrame) -> FrameMaps:
        """The one person of a picture, looked at again until the outline stands still, as in a video."""
        detector = FollowDetector() if self.detector is None else self.detector
        assert isinstance(detector, FollowDetector)
        (maps,) = tracked_maps([frame], detector, OutlineTracker(), self.network, 1, lambda last: None)
        return maps

    def _found(self, frame: VideoFrame, boxes: np.ndarray | Sequence[Sequence[float]] | None) -> FrameMaps:
        """The people of a picture in given boxes, or in those that the detector finds, the surest first."""
        if boxes is None:
            found = self._find(frame.image)
        else:
            xywh = checked_xywh(boxes, frame.image)
            found = Boxes(xywh, np.ones(len(xywh)))
        tracked = [
            TrackedPerson(number, box, float(score))
            for number, (box, score) in enumerate(zip(found.xywh, found.score, strict=True), start=1)
        ]
        (maps,) = self.network.predict([(frame, tracked)])
        return maps

    def _find(self, image: np.ndarray) -> Boxes:
        """People in a picture, the surest first."""
        assert self.detector is not None
        if isinstance(self.detector, str):
            raise DetectorError(
                f"the detector {self.detector} is of videos (model.video), but this is a picture; give the "
                "boxes in it: model(image, boxes=...)"
            )
        whose = f"detector {getattr(self.detector, 'name', type(self.detector).__name__)}"
        found = checked_boxes(self.detector.detect(image), image, whose)
        if found is None:
            return no_boxes()
        order = np.argsort(-found.score, kind="stable")
        return Boxes(found.xywh[order], found.score[order])


def _named(words: str, score: float | None, device: str, frames: FrameSource | None = None) -> Detector:
    """The detector that words name; raises as `make_detector`."""
    least = LEAST_SCORE if score is None else score
    request = DetectorRequest(frames=frames, score=least, device=device, load=load_model)
    detector, said = make_detector(words, request)
    _LOG.info(said)
    return detector


def _require_whole(**values: int | None) -> None:
    """Raise ValueError for a value that is no whole number, unless nobody chose it."""
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, Integral)):
            raise ValueError(f"{name} = {value!r}, but a whole number is wanted")


def _pixels(image: np.ndarray | Image.Image | str | Path) -> np.ndarray:
    """A picture as (H, W, 3) uint8 RGB."""
    if isinstance(image, str | Path):
        return _of_file(Path(image))
    if isinstance(image, Image.Image):
        pixels = _of_pil(image)
        if orientation_of_opened(image) != UPRIGHT:  # still, after Pillow loaded it
            _LOG.warning(
                "the PIL image has an orientation tag, which is not applied: people are found best upright; "
                "PIL.ImageOps.exif_transpose(image) turns it"
            )
        return pixels
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f"an image of type {type(image).__name__}; wanted a NumPy array, a PIL image or a path"
        )
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        raise ValueError(
            f"a grey image of shape {image.shape}; wanted (H, W, 3) RGB: np.repeat(image.reshape(*image.shape"
            "[:2], 1), 3, axis=2)"
        )
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        hint = "; drop the transparency: image[..., :3]" if image.ndim == 3 and image.shape[2] == 4 else ""
        raise ValueError(f"an image of shape {image.shape}; wanted (H, W, 3) RGB{hint}")
    if image.dtype != np.uint8:
        kind = "float" if image.dtype.kind == "f" else image.dtype.newbyteorder("=").name
        remedy = _AS_UINT8.get(kind, "image.astype('uint8') of one in 0..255")
        raise ValueError(f"an image of {image.dtype}; wanted uint8 in 0..255: {remedy}")
    return np.ascontiguousarray(image)


def _of_file(path: Path) -> np.ndarray:
    """The picture that a file holds, (H, W, 3) uint8 RGB; ImageError where it is missing or damaged."""
    if not path.exists():
        raise ImageError(f"{path}: no such image file")
    try:
        source = open_frames(path)
    except ImageError:
        raise
    except FlowCacheError as error:  # by its name no picture, so it was opened as a video
        raise ImageError(f"{error}; a picture is wanted, such as a .jpg or .png") from error
    if not source.info.still:
        raise ValueError(f"{path} is a video, but a picture is wanted; model.video(...) predicts videos")
    return next(source.frames()).image


def _of_pil(image: Image.Image) -> np.ndarray:
    """A PIL image as (H, W, 3) uint8 RGB, the same as of its file (`flow_cache.images`)."""
    if image.mode in _MODES_OF_16_BITS:
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):  # of any range
        raise ValueError(
            f"a PIL image of mode {image.mode}; wanted 8 bits a channel: give the name of its file, or its "
            "values as uint8 in 0..255 (image.convert('RGB') would cut them off at 255)"
        )
    if image.mode not in _MODES:
        raise ValueError(
            f"a PIL image of mode {image.mode}; wanted 8 bits a channel, as image.convert('RGB') gives"
        )
    return np.array(image.convert("RGB"))


__all__ = ["DensePose", "DetectorError", "ImagePose", "PersonPose"]
