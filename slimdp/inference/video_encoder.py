"""H.264 video that browsers play: written in pieces, which are joined without encoding anything again.

- A piece is a NUT file, which keeps any frame time exactly; the whole video is an MP4 whose index comes
  first, so that a browser begins to play before it has all of it.
- Frame times are the source's, also where they are not regular: to the tick of `time_base`, which holds all
  usual rates exactly, and others to within 6 microseconds.
- No frame is predicted from a later one (B-frames). So the first is shown at its own time in every player,
  and pieces follow one another as they are.
- Sizes are the source's. Browsers play 4:2:0 alone, which has even sides: an odd one gets one more column or
  row, that at the edge once more.
- Pixels that are not square stay so. Colours are BT.709 of limited range, and the file says so.
- Encoding takes the same number of threads on any machine, for the bytes depend on it; few where frames are
  low. With two threads, x264 made other bytes of the same frames of 56 rows in 3 of 100 runs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter

from flow_cache.runtime.atomic import atomic_write
from flow_cache.runtime.words import listed
from slimdp.inference.video_records import VideoInfo
from slimdp.settings_file import ConfigError

_LOG = logging.getLogger(__name__)
ENCODER = "libx264"
#: x264's presets, the quickest first, and the one where none is named: an eighth of the time of x264's own.
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
PRESET = "veryfast"
#: Hardly to be told from the source.
OPTIONS = {"crf": "20", "bf": "0"}
MOST_THREADS = 4
#: x264's threads work on frames in a row, each some rows behind the one before; a thread has so many rows.
_ROWS_A_THREAD = 180
#: Ticks a second of MPEG's clock, in which 24, 25, 30, 50, 60 and 30000/1001 frames a second are whole.
_CLOCK = 90_000
#: The time scale of an MP4 is a number of 32 bits, and times should fit in it for hours.
_MOST_TICKS = 4_000_000


def time_base(rate: Fraction) -> Fraction:
    """The tick of a video's frame times, seconds: MPEG's, or finer where its rate asks for it."""
    ticks = math.lcm(_CLOCK, rate.numerator)
    return Fraction(1, ticks if ticks <= _MOST_TICKS else _CLOCK)


def check_encoder() -> None:
    """Raise ConfigError where the PyAV of this machine cannot write H.264."""
    try:
        av.codec.Codec(ENCODER, "w")
    except ValueError:
        raise ConfigError(
            f"the PyAV here (FFmpeg {av.ffmpeg_version_info}) has no {ENCODER}, which writes the videos; "
            "the wheels of PyPI have it (pip install --force-reinstall av), or write outputs that are no "
            "video"
        ) from None


def checked_preset(preset: str) -> str:
    """The same preset; raises ConfigError where x264 has none of that name."""
    if preset not in PRESETS:
        raise ConfigError(f"preset {preset!r} of x264; choices: {listed(PRESETS, preset)}")
    return preset


class VideoEncoder:
    """Encodes frames into a piece of a video; use it as a context manager.

    Args:
        path: the piece, a NUT file.
        info: of the source; its size, rate and shape of pixels are the video's.
        preset: x264's, of `PRESETS`; all pieces of a video have the same.

    Raises:
        ConfigError: no H.264 here.
        OSError: the piece cannot be written.
    """

    def __init__(self, path: Path, info: VideoInfo, preset: str = PRESET) -> None:
        check_encoder()
        self._path, self._info, self._tick = path, info, time_base(info.rate)
        self._last = -1  # ticks, of the last frame
        self._to_yuv = VideoReformatter()
        with _named_errors(path):
            self._container = av.open(f"file:{path}", "w", format="nut")
            options = {**OPTIONS, "preset": preset}
            stream = self._container.add_stream(ENCODER, rate=info.rate, options=options)
            assert isinstance(stream, av.VideoStream)
            self._stream = stream
            self._stream.width, self._stream.height = (side + side % 2 for side in (info.width, info.height))
            self._stream.pix_fmt = "yuv420p"
            self._stream.time_base = self._tick
            codec = self._stream.codec_context
            codec.time_base, codec.thread_count = self._tick, _threads(info.height)
            codec.sample_aspect_ratio = info.pixel_shape
            codec.colorspace, codec.color_range = Colorspace.ITU709, ColorRange.MPEG
            codec.color_primaries, codec.color_trc = ColorPrimaries.BT709, ColorTrc.BT709

    def __enter__(self) -> VideoEncoder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with _named_errors(self._path):
            try:
                if kind is None:
                    self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        """Encode a frame (H, W, 3) uint8 RGB of the video's size, to be shown at a time, seconds."""
        wanted = (self._info.height, self._info.width, 3)
        if image.shape != wanted or image.dtype != np.uint8:
            raise ValueError(f"a frame of shape {image.shape}, {image.dtype}, but {wanted}, uint8 is wanted")
        if image.shape[0] % 2 or image.shape[1] % 2:
            image = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), "edge")
        frame = self._to_yuv.reformat(
            # A copy with room behind it: swscale reads some bytes past the last pixel.
            av.VideoFrame.from_ndarray(image, format="rgb24"),
            format="yuv420p",
            interpolation="AREA",  # a colour is the mean of its four pixels
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        # Two frames never share a time: a container would refuse the second.
        self._last = frame.pts = max(round(time_s / self._tick), self._last + 1)
        frame.time_base = self._tick
        with _named_errors(self._path):
            self._container.mux(self._stream.encode(frame))


def _threads(height: int) -> int:
    return min(max(height // _ROWS_A_THREAD, 1), MOST_THREADS)


def join_video(pieces: Sequence[Path], out: Path, info: VideoInfo) -> Path:
    """Join the pieces of a video, in order, into an MP4; the whole file or nothing.

    Raises:
        ValueError: no piece has a frame.
        OSError: it cannot be written.
    """
    with atomic_write(out) as temporary, _named_errors(out):
        # When the first frame is shown stands in ticks of the whole film, which would be milliseconds.
        options = {"movflags": "+faststart", "movie_timescale": str(time_base(info.rate).denominator)}
        with av.open(f"file:{temporary}", "w", format="mp4", options=options) as video:
            for packet in _packets(pieces, info):
                if not video.streams.video:
                    stream = video.add_stream_from_template(packet.stream)
                    stream.time_base = packet.time_base
                packet.stream = stream
                video.mux(packet)
            if not video.streams.video:
                raise ValueError(f"{out}: none of {len(pieces)} pieces has a frame")
    if info.width % 2 or info.height % 2:
        _LOG.info(
            "%s is %d x %d px, the source %d x %d: videos that browsers play have even sides, so the last "
            "column or row is there twice",
            out, info.width + info.width % 2, info.height + info.height % 2, info.width, info.height,
        )  # fmt: skip
    return out


def _packets(pieces: Sequence[Path], info: VideoInfo) -> Iterator[av.Packet]:
    """The encoded frames of all pieces, each later than the one before; all encoded alike."""
    last, settings = -1, None
    for path in pieces:
        with av.open(f"file:{path}") as piece:
            stream = piece.streams.video[0]
            settings = settings or stream.codec_context.extradata
            assert stream.codec_context.extradata == settings, f"{path} is encoded unlike the pieces before"
            usual = round(1 / (info.rate * stream.time_base))
            for packet in piece.demux(stream):
                if packet.size:
                    assert packet.pts is not None
                    last = packet.pts = packet.dts = max(packet.pts, last + 1)
                    packet.duration = usual  # of the last frame; the others last until the next
                    yield packet


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Raise what FFmpeg says of the disk as OSError with the file's name, other faults as ValueError."""
    try:
        yield
    except av.FFmpegError as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise ValueError(f"{path} cannot be written as video: {error}") from error
