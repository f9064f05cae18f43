"""Frames of a video file, decoded by FFmpeg through PyAV, as players show them.

Frames taken out with `ffmpeg -i VIDEO -fps_mode passthrough FRAMES/%06d.png` are the frames here:

- What a file says of turning and mirroring its picture (the display matrix; phones write it) is applied.
- Pixels stay as they are stored: those that are not square are not stretched, fields are not taken apart.
- A frame is what the decoder gives: times do not matter, nothing is repeated or left out to keep a rate.

Colours are those that OpenCV's reader gives, to the bit where a video has eight of them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

import av
import av.logging
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from flow_cache.errors import FlowCacheError
from flow_cache.runtime.words import quoted

_LOG = logging.getLogger(__name__)
#: Pictures that go along with a film, and are not it: the cover of a song, the stills of a seek bar.
_BESIDE_THE_FILM = Disposition.attached_pic | Disposition.timed_thumbnails
#: Containers whose index names every frame, and those whose header says how long they are, in seconds.
_INDEXED, _TIMED = ("mov", "avi"), ("matroska", "flv", "avi", "asf")
#: Containers that flag what follows a seam as corrupt, also where whole pieces were joined.
_SEAMED = "mpegts"
#: An index counts what a writer dropped as well; a file that was cut off misses more.
_MISSING_TOLERANCE = 0.02
_SECONDS_TOLERANCE = 0.1
_USUAL_RATE = 25
_TS_SYNC = 0x47
#: Bytes of a transport stream's packet, and how many of them come before its sync byte (Blu-ray: a time).
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))
_OGG_PAGE = b"OggS"
_OGG_HEAD, _OGG_LARGEST = 27, 27 + 255 + 255 * 255  # bytes of a page (RFC 3533, 6)
_TRAILERS = {"gif": b";", "mjpeg": b"\xff\xd9", "jpeg_pipe": b"\xff\xd9"}
_TAIL = 2 * _OGG_LARGEST


class VideoFile:
    """An open video file, whose frames can be decoded once, in the order in which they are shown.

    Of several streams, without covers, it is the first that is marked as default, else the first. Raises
    FlowCacheError where FFmpeg opens no video or has no decoder, or the file holds less than its index says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # "file:" and the white list: what stands in a name or a playlist must not open anything else.
        options = {"protocol_whitelist": "file"}
        try:
            self._container = av.open(f"file:{path}", metadata_errors="replace", options=options)
        except av.FFmpegError as error:
            raise FlowCacheError(
                f"{path} ({path.stat().st_size} bytes) is no video that FFmpeg can open, or it is cut off: "
                f"{error.strerror}"
            ) from error
        try:
            self._films = _films(path, self._container)
            marked = (film for film in self._films if film.disposition & Disposition.default)
            self._stream = next(marked, self._films[0])
            if self._stream.codec_context is None:
                _refuse_codec(path, self._container)
            self.codec = self._stream.codec_context.codec.canonical_name
            self._stream.thread_type = "AUTO"
            self._check_size()
        except BaseException:
            self._container.close()
            raise
        self._to_rgb = VideoReformatter()
        self._turned = (False, False, False)  # of the last frame, see `_how_turned`
        self._own_pixel_shape: Fraction | None = None  # that of the first frame, as the codec says
        self._count, self._packets = 0, 0  # frames, and packets with a frame in them, so far
        self._ends: dict[int, float] = {}  # s, by stream: up to where it has come
        self._longest_gap = 0.0  # s, between packets of a stream

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *_: object) -> None:
        # Closing waits for the decoder's threads while it holds the interpreter's lock, which one that writes
        # a line of FFmpeg's log waits for: both wait for ever. Emptying the decoder first lets them end.
        self._stream.codec_context.flush_buffers()
        self._container.close()

    @property
    def announced(self) -> int:
        """How many frames the file says that it has, which may be wrong; 0 where it says nothing."""
        if not self._stream.frames:  # of a file in pieces, the index grows as it is read
            return 0
        entries = self._stream.index_entries if self._is(_INDEXED) else ()
        return sum(entry.size > 0 and not entry.is_discard for entry in entries) or self._stream.frames

    @property
    def rate(self) -> Fraction:
        """Frames a second on average, as far as the file says; 25 where it does not."""
        return Fraction(self._stream.average_rate or self._stream.guessed_rate or _USUAL_RATE)

    @property
    def pixel_shape(self) -> Fraction:
        """Width of a pixel by its height, of the last frame as it is shown."""
        own: Fraction | None = self._stream.codec_context.sample_aspect_ratio
        # The container's word counts before the codec's, as in players, until the codec changes its own.
        shape = self._stream.sample_aspect_ratio if own == self._own_pixel_shape else own
        across, _, _ = self._turned
        return 1 / Fraction(shape or 1) if across else Fraction(shape or 1)

    def count_packets(self) -> int:
        """How many pieces of the stream hold a frame, without decoding them; reads the file to its end."""
        return sum(packet.size > 0 for packet in self._container.demux(self._stream))

    def frames(self) -> Iterator[av.VideoFrame]:
        """Decode all frames but those, of a stream that begins in the middle, that lack what came before.

        Raises FlowCacheError where a frame is damaged, or the file is cut off; it says after which frame.
        """
        begins_whole, undecodable, incomplete = True, 0, 0
        try:
            for packet in self._container.demux():
                self._note_time(packet)
                if packet.stream.index != self._stream.index:
                    continue
                if not packet.size and packet.dts is not None:
                    continue  # Theora's way to show a frame longer, which the decoder refuses; no end either
                if packet.size and not packet.is_discard:
                    begins_whole = packet.is_keyframe if not self._packets else begins_whole
                    self._packets += 1
                if packet.is_corrupt and self._container.format.name != _SEAMED:
                    self._refuse("a piece of the file is missing")
                try:
                    decoded = self._stream.decode(packet)
                except av.FFmpegError as error:
                    if begins_whole or self._count:
                        self._refuse(str(error.strerror))
                    undecodable += 1
                    continue
                for frame in decoded:
                    if frame.is_corrupt:
                        if begins_whole or self._count > incomplete:
                            self._refuse("parts of its picture are missing")
                        incomplete += 1
                    if frame.key_frame or not self._count:  # looking costs as much as half of decoding
                        self._turned = _how_turned(self.path, frame)
                    if not self._count:
                        self._own_pixel_shape = self._stream.codec_context.sample_aspect_ratio
                    self._count += 1
                    yield frame
        except av.FFmpegError as error:  # from the container
            self._refuse(str(error.strerror))
        self._check_end()
        self._warn(undecodable, incomplete)

    def shape(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Width and height, px, of the last frame as it is shown."""
        across, _, _ = self._turned
        return (frame.height, frame.width) if across else (frame.width, frame.height)

    def time_s(self, frame: av.VideoFrame) -> Fraction | None:
        """When a frame is shown, s; None where the file does not say."""
        if frame.pts is None or frame.time_base is None:
            return None
        return frame.pts * Fraction(frame.time_base)

    def pixels(self, frame: av.VideoFrame) -> np.ndarray:
        """The last frame as it is shown: (H, W, 3) uint8 RGB."""
        pixels = self._to_rgb.reformat(frame, format="rgb24", interpolation="BICUBIC").to_ndarray()
        across, mirrored, upside_down = self._turned
        if across:
            pixels = pixels.transpose(1, 0, 2)
        pixels = pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
        return np.ascontiguousarray(pixels)

    def _note_time(self, packet: av.Packet) -> None:
        at = packet.pts if packet.pts is not None else packet.dts
        if at is None or packet.time_base is None:
            return
        tick, stream = float(packet.time_base), packet.stream.index
        begin, end = at * tick, (at + (packet.duration or 0)) * tick
        if (before := self._ends.get(stream)) is not None:
            self._longest_gap = max(self._longest_gap, begin - before)
        self._ends[stream] = max(end, before or end)

    def _is(self, kinds: tuple[str, ...]) -> bool:
        return self._container.format.name.startswith(kinds)

    def _check_size(self) -> None:
        """Raise where the file is smaller than its index or its container says."""
        size = self.path.stat().st_size
        if self._is(("matroska",)) and size < (whole := matroska_size(self.path)):
            raise FlowCacheError(
                f"{self.path} is cut off: {size} of the {whole} bytes that it announces are there; "
                "fetch it again"
            )
        if ends_within_a_piece(self.path, self._container.format.name):
            raise FlowCacheError(
                f"{self.path} is cut off: its {size} bytes end within a piece of it; fetch it again, or, to "
                f"go on with what players make of it, {_write_anew(self.path)}"
            )
        if not self._is(_INDEXED):
            return
        ends = [entry.pos + entry.size for entry in self._stream.index_entries if entry.size > 0]
        there = sum(end <= size for end in ends)
        if there < len(ends):
            raise FlowCacheError(
                f"{self.path} is cut off, or damaged after its frame {there - 1}: {there} of the "
                f"{max(len(ends), self._stream.frames)} frames that it announces are in it; fetch it again"
            )

    def _check_end(self) -> None:
        """Raise where the frames that came are too few for a whole file."""
        if self._packets and not self._count:
            self._refuse("nothing comes of it")
        if self._count:
            self._check_size()
        self._check_time()
        announced = self.announced if self._count else 0
        if self._is(_INDEXED) and announced - self._packets > max(1, announced * _MISSING_TOLERANCE):
            self._refuse(f"{self._packets} of the {announced} frames that it announces are in it")

    def _warn(self, undecodable: int, incomplete: int) -> None:
        if undecodable or incomplete:
            _LOG.warning(
                "%s begins in the middle of a recording: its first %d frames cannot be decoded and do not "
                "count, %d more are incomplete", self.path, undecodable, incomplete,
            )  # fmt: skip
        if self._is(_INDEXED) and self._count < self.announced:
            _LOG.warning(
                "%s: %d frames can be decoded, it announces %d; if one is damaged, those after it are "
                "numbered one too low", self.path, self._count, self.announced,
            )  # fmt: skip
        if len(self._films) > 1:
            taken = self._stream.codec_context
            _LOG.warning(
                "%s holds %d videos; number %d is taken, of %d x %d px; take another out with "
                "ffmpeg -i %s -map 0:v:N -c copy",
                self.path, len(self._films), self._films.index(self._stream), taken.width, taken.height,
                quoted(self.path),
            )  # fmt: skip

    def _check_time(self) -> None:
        """Raise where no stream comes near to the end that the header announces: sound is often longer.

        Numbers of frames that follow from a length and a rate say nothing, for the rate may vary.
        """
        if not self._is(_TIMED):
            return
        announced = (self._container.duration or 0) / av.time_base
        if self._is(("avi",)):  # FFmpeg shortens that of a cut file by itself
            announced = max(announced, float(self._stream.frames * (self._stream.time_base or 0)))
        reached = max(self._ends.values(), default=0.0)
        if reached + self._longest_gap + _SECONDS_TOLERANCE < announced:
            raise FlowCacheError(
                f"{self.path} is cut off, or damaged after its frame {self._count - 1}: it announces "
                f"{announced:.1f} s, of which {reached:.1f} are in it; fetch it again, or, if it is whole, "
                f"{_write_anew(self.path, '-c copy ')}"
            )

    def _refuse(self, why: str) -> NoReturn:
        if not self._count:
            raise FlowCacheError(
                f"{self.path}: the first frame of its {self.codec} video cannot be decoded here ({why}); the "
                f"decoder cannot do this kind of it, or the file is damaged; {_ways_on(self.path)}"
            )
        self._check_size()
        raise FlowCacheError(
            f"{self.path} is damaged, or cut off, after its frame {self._count - 1} ({self.codec}: {why}); "
            f"fetch it again, or, to go on with what players make of it, {_write_anew(self.path)}"
        )


def matroska_size(path: Path) -> int:
    """How many bytes a Matroska file says that it has; 0 where it does not, as a recording does not.

    Its one segment, after an EBML header, has a length (RFC 8794, 4 and 6; RFC 9559, 5.1).
    """
    with open(path, "rb") as file:
        head = file.read(4096)
    end = 0
    while end + 12 < len(head):
        width = 9 - head[end + 4].bit_length()  # bytes of the length: zeros before its first 1 bit, and one
        mark = 1 << 7 * width
        length = int.from_bytes(head[end + 4 : end + 4 + width], "big") - mark
        is_segment = head[end : end + 4] == b"\x18\x53\x80\x67"
        if width > 8 or (is_segment and length == mark - 1):  # all ones: unknown
            return 0
        end += 4 + width + length
        if is_segment:
            return end
    return 0


def _films(path: Path, container: av.container.InputContainer) -> list[av.VideoStream]:
    """The video streams of a file, without covers."""
    films = [stream for stream in container.streams.video if not stream.disposition & _BESIDE_THE_FILM]
    if not films:
        if not container.streams:
            raise FlowCacheError(f"{path} has no video in it: it is empty, or cut off; fetch it again")
        held = ", ".join(sorted({stream.type for stream in container.streams}))
        raise FlowCacheError(f"{path} has no video in it ({held}); name a video, or a folder of its frames")
    return films


def _refuse_codec(path: Path, container: av.container.InputContainer) -> NoReturn:
    """PyAV gives a stream without a decoder no context: FFmpeg's own description has the codec's name."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        described: str = container.dumps_format()  # type: ignore[attr-defined]
    finally:
        av.logging.set_level(before)
    _, found, after = described.partition("Video: ")
    codec = after.split(",")[0].strip() if found else "which has no name"
    version = av.ffmpeg_version_info
    raise FlowCacheError(
        f"{path}: the decoder here (FFmpeg {version}) cannot do its codec, {codec}; {_ways_on(path)}"
    )


def _how_turned(path: Path, frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """How a frame is to be turned to be shown: rows and columns exchanged, then mirrored, then upside down.

    The display matrix takes x, y of the stored picture to a x + c y, b x + d y (ISO 14496-12, 6.2.2).
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()  # type: ignore[call-overload]
    if max(abs(b), abs(c)) * 100 < min(abs(a), abs(d)):  # a hundredth: half a degree
        return False, a < 0, d < 0
    if max(abs(a), abs(d)) * 100 < min(abs(b), abs(c)):
        return True, c < 0, b < 0
    raise FlowCacheError(
        f"{path} is to be shown turned by an angle that is no multiple of 90 degrees; {_write_anew(path)}"
    )


def _write_anew(path: Path, words: str = "") -> str:
    copy = path.with_name(f"{path.stem}_again{path.suffix if words else '.mp4'}")
    return f"write it anew: ffmpeg -i {quoted(path)} {words}{quoted(copy)}"


def _ways_on(path: Path) -> str:
    name, copy, folder = quoted(path), quoted(f"{path.stem}_h264.mp4"), quoted(path.with_suffix(""))
    return (
        f"convert it where it can be decoded (ffmpeg -i {name} -c:v libx264 {copy}), or take its frames out "
        f"(mkdir {folder}; ffmpeg -i {name} -fps_mode passthrough -start_number 0 {folder}/%06d.png)"
    )


def ends_within_a_piece(path: Path, form: str) -> bool:
    """Whether a file surely lacks its end; `form` is FFmpeg's name of its format.

    A decoder fills in what is missing of a last picture, mostly without a word. Where a format says in what
    pieces it comes, a file that ends within one was cut off; one that ends between two cannot be told.
    """
    with open(path, "rb") as file:
        head = file.read(1024)
        size = file.seek(0, os.SEEK_END)
        file.seek(-min(size, _TAIL), os.SEEK_END)
        tail = file.read()
    if form == "mpegts":
        packet = _ts_packet(head)
        return packet > 0 and size % packet > 0
    if form == "ogg":
        return _ogg_page_is_cut(tail)
    return form in _TRAILERS and not tail.rstrip(b"\0").endswith(_TRAILERS[form])


def _ts_packet(head: bytes) -> int:
    """Bytes of a packet; 0 where the file does not begin with one."""
    for packet, before in _TS_PACKETS:
        syncs = head[before::packet][:4]
        if len(syncs) > 1 and set(syncs) == {_TS_SYNC}:
            return packet
    return 0


def _ogg_page_is_cut(tail: bytes) -> bool:
    """Whether the last page of an Ogg file is longer than what is there of it."""
    _, found, after = tail.rpartition(_OGG_PAGE)
    page = found + after
    if len(page) < _OGG_HEAD:
        return bool(found)
    segments = page[_OGG_HEAD - 1]
    return len(page) < _OGG_HEAD + segments + sum(page[_OGG_HEAD : _OGG_HEAD + segments])
