"""What `slimdp video` costs beside its bare network: computing time by step, and frames a second.

    python tools/bench_video.py juggle.mp4 --detector yolox:yolox_nano.onnx [--weights stage_stills.pt]
        [--every 4] [--smooth flow] [--write overlay] [--preset veryfast] [--frames 120] [--one-look]
        [--threads 1]

First the whole command runs as users run it: decoding, the network, smoothing and writing each have a thread.
Then its steps run one after another, and the time of each is told apart: decode, boxes, tracking (flow and
matching), crops, network, looks (the mean of two looks at a crop), smoothing, answers (maps to parts, u and
v), painting (answers to the frame's pixels), drawing, H.264 with the change to its colours, writing (the rest
of that). `network` is the network alone on the same crops in the same batches, which it sees twice, as the
command has it; `--one-look`: once. Without weights those that come with slimdp run; `--weights random` takes
a hourglass as of experiments/people_128.yaml with random ones, which see people anywhere.

Times are of the processor, all threads together, in ms a frame, so that a busy machine disturbs them little.
Of the clock are frames a second, and `longer_by_network`: how much longer the whole command takes than the
network in one thread, by that. They say something where the machine does nothing else. Prints one JSON line
last.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from measuring import make_parser, one_thread, tell

import slimdp.inference.person_maps as person_maps
import slimdp.inference.video as video
from slimdp.config import TrainConfig
from slimdp.inference.detectors import DetectorRequest, make_detector
from slimdp.inference.error_bars import ErrorBars, load_error_bars
from slimdp.inference.mirrored import mirror_symmetry
from slimdp.inference.person_maps import CropNetwork
from slimdp.inference.smoothing import SMOOTHERS
from slimdp.inference.tracking import FlowTracker, TrackSettings
from slimdp.inference.video import VideoPipeline, write_video
from slimdp.inference.video_encoder import PRESET, VideoEncoder
from slimdp.inference.video_frames import FrameSource, open_frames
from slimdp.inference.video_records import FramePose, OutputWriter, VideoFrame
from slimdp.inference.weights import DEFAULT, find_weights
from slimdp.inference.writers import WRITERS
from slimdp.inference.writers.picture_video import PictureVideo
from slimdp.models import DensePoseModel
from slimdp.training import load_model
from slimdp.training.checkpoint import build_model
from slimdp.training.distributed import to_device

Item = TypeVar("Item")


class Stopwatch:
    """Seconds of the processor by step; a step within another one stops the outer one's."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.clock: dict[str, float] = {}  # seconds on the wall, of calls
        self._running: list[str] = []
        self._since = time.process_time()

    def _note(self) -> None:
        now = time.process_time()
        if self._running:
            step = self._running[-1]
            self.seconds[step] = self.seconds.get(step, 0.0) + now - self._since
        self._since = now

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        """Count the block for a step."""
        self._note()
        self._running.append(step)
        try:
            yield
        finally:
            self._note()
            self._running.pop()

    def items(self, step: str, items: Iterable[Item]) -> Iterator[Item]:
        """The same items, the making of each counted for a step."""
        made = iter(items)
        while True:
            with self.of(step):
                try:
                    item = next(made)
                except StopIteration:
                    return
            yield item

    def call(self, step: str, function: Any) -> Any:
        """The same function, counted for a step."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            with self.of(step):
                result = function(*args, **kwargs)
            self.clock[step] = self.clock.get(step, 0.0) + time.perf_counter() - began
            return result

        return counted


class TimedSource:
    """A video whose frames are counted as decode."""

    def __init__(self, source: FrameSource, watch: Stopwatch) -> None:
        self.info, self._source, self._watch = source.info, source, watch

    def frames(self, start: int = 0) -> Iterator[VideoFrame]:
        """As `FrameSource`."""
        return self._watch.items("decode", self._source.frames(start))

    def fingerprint(self, name: str | None = None) -> str:
        """As `FrameSource`."""
        return self._source.fingerprint(name)


class TimedWriter:
    """A writer whose pieces and joining are counted as writing."""

    def __init__(self, writer: OutputWriter, watch: Stopwatch) -> None:
        self.name, self._writer, self._watch = writer.name, writer, watch

    @contextmanager
    def piece(self, *args: Any) -> Iterator[Any]:
        """As `OutputWriter`."""
        writer = self._writer
        if isinstance(writer, PictureVideo):
            writer = replace(writer, draw=self._watch.call("drawing", writer.draw))
        with self._watch.of("writing"), writer.piece(*args) as take:

            def timed(pose: FramePose) -> None:
                with self._watch.of("painting"):
                    _ = pose.painted.part, pose.painted.track
                with self._watch.of("writing"):
                    take(pose)

            yield timed

    def join(self, *args: Any) -> Path:
        """As `OutputWriter`."""
        with self._watch.of("writing"):
            return self._writer.join(*args)


def main(arguments: list[str] | None = None) -> int:
    """Run, and tell."""
    parser = make_parser(__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--detector-side", type=int)
    parser.add_argument("--weights", default=DEFAULT)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--smooth", default="flow")
    parser.add_argument("--write", nargs="*", default=["overlay"])
    parser.add_argument("--preset", default=PRESET)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--one-look", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.threads == 1:
        one_thread()
    else:
        torch.set_num_threads(options.threads)
    model, config, bars = _network(options.weights)
    symmetry = mirror_symmetry(False if options.one_look else None, model.spec, config.surface)
    writers = [_with_preset(WRITERS[name], options.preset) for name in options.write]

    def pipeline() -> VideoPipeline:
        source = open_frames(options.video)
        request = DetectorRequest(frames=source, side=options.detector_side)
        detector, _ = make_detector(options.detector, request)
        network = CropNetwork(model, config.crop, options.batch, symmetry, bars)
        tracker = FlowTracker(TrackSettings(every=options.every))
        smoother = SMOOTHERS[options.smooth](2, None)
        return VideoPipeline(source, detector, tracker, network, smoother, options.frames)

    whole = _whole_command(pipeline(), writers)
    steps, clock_ms, crops = _by_step(pipeline(), writers)
    network_ms = steps["network"]
    others_ms = sum(steps.values()) - network_ms
    tell({
        "frames": options.frames, "crops": crops, **whole, "network_frames_a_second": 1000 / clock_ms,
        "longer_by_network": 1000 / whole["command_frames_a_second"] / clock_ms - 1,
        "ms_a_frame": steps, "network_ms": network_ms, "others_ms": others_ms,
        "others_by_network": others_ms / network_ms,
    })  # fmt: skip
    return 0


def _network(weights: str) -> tuple[DensePoseModel, TrainConfig, ErrorBars | None]:
    if weights == "random":
        stage = {"name": "none", "steps": 1, "data": [{"annotations": "none.json", "images": "."}]}
        network = {"name": "hourglass", "stacks": 2, "features": 64}
        config = TrainConfig.parse({"model": network, "crop": {"size": 128}, "stages": [stage]})
        return to_device(build_model(config).eval(), torch.device("cpu")), config, None
    path = find_weights(weights)
    model, config = load_model(path)
    return to_device(model, torch.device("cpu")), config, load_error_bars(path)


def _with_preset(writer: OutputWriter, preset: str) -> OutputWriter:
    return replace(writer, preset=preset) if isinstance(writer, PictureVideo) else writer


def _whole_command(pipeline: VideoPipeline, writers: Sequence[OutputWriter]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        clock, processor = time.perf_counter(), time.process_time()
        write_video(pipeline, writers, Path(folder) / "out", {})
        seconds, busy = time.perf_counter() - clock, time.process_time() - processor
    frames = pipeline.frames or 1
    return {
        "command_frames_a_second": frames / seconds,
        "command_ms": 1000 * busy / frames,
        "frames_a_processor_second": frames / busy,
    }


def _by_step(pipeline: VideoPipeline, writers: Sequence[OutputWriter]) -> tuple[dict[str, float], float, int]:
    """Processor ms a frame by step, the network's ms a frame on the clock, and the crops."""
    watch = Stopwatch()
    counted = {"crops": 0}

    def predict(model: DensePoseModel, crops: Any, *args: Any) -> Any:
        counted["crops"] += len(crops)
        with watch.of("looks"):
            return original_predict(model, crops, *args)

    original_predict, network = person_maps.predict_crops, pipeline.network.model
    replaced = [
        (person_maps, "predict_crops", predict),
        (network, "forward", watch.call("network", network.forward)),
        (person_maps, "crop_image", watch.call("crops", person_maps.crop_image)),
        (video, "instance_of", watch.call("answers", video.instance_of)),
        (video, "read_ahead", lambda items, depth: items),
        (VideoEncoder, "write", watch.call("H.264", VideoEncoder.write)),
        (VideoEncoder, "__exit__", watch.call("H.264", VideoEncoder.__exit__)),  # frames that still wait
    ]
    pipeline.source = TimedSource(pipeline.source, watch)  # type: ignore[assignment]
    pipeline.detector.detect = watch.call("boxes", pipeline.detector.detect)  # type: ignore[method-assign]
    for name in ("due", "update"):
        setattr(pipeline.tracker, name, watch.call("tracking", getattr(pipeline.tracker, name)))
    smooth = pipeline.smoother.smooth

    def smooth_timed(maps: Any) -> Any:
        return watch.items("smoothing", smooth(watch.items("rest", maps)))

    pipeline.smoother.smooth = smooth_timed  # type: ignore[method-assign]
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
    try:
        for owner, name, function in replaced:
            setattr(owner, name, function)
        with tempfile.TemporaryDirectory() as folder, watch.of("rest"):
            timed = [TimedWriter(writer, watch) for writer in writers]
            write_video(pipeline, timed, Path(folder) / "out", {})
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)
    frames = pipeline.frames or 1
    return (
        {step: 1000 * seconds / frames for step, seconds in watch.seconds.items()},
        1000 * watch.clock["network"] / frames,
        counted["crops"],
    )


if __name__ == "__main__":
    sys.exit(main())
