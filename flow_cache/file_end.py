"""Whether the last bytes of a video file are those of a whole one, for formats that announce no length.

A decoder fills in what is missing of a last picture, mostly without a word. Where a format says in what
pieces it comes, a file that ends within a piece was cut off; one that ends between two pieces cannot be told.
"""

from __future__ import annotations

import os
from pathlib import Path

_TS_SYNC = 0x47
#: Bytes of a transport stream's packet, and how many of them come before its sync byte (Blu-ray: a time).
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))
_OGG_PAGE = b"OggS"
_OGG_HEAD, _OGG_LARGEST = 27, 27 + 255 + 255 * 255  # bytes of a page (RFC 3533, 6)
_GIF_TRAILER, _JPEG_END = b";", b"\xff\xd9"
_TAIL = 2 * _OGG_LARGEST


def ends_within_a_piece(path: Path, form: str) -> bool:
    """Whether a file surely lacks its end.

    Args:
        path: the file.
        form: FFmpeg's name of its format; of those that are not known here nothing is said.
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
    if form == "gif":
        return not tail.rstrip(b"\0").endswith(_GIF_TRAILER)
    if form in ("mjpeg", "jpeg_pipe"):
        return not tail.rstrip(b"\0").endswith(_JPEG_END)
    return False


def _ts_packet(head: bytes) -> int:
    """Bytes of a packet; 0 where the file does not begin with one."""
    for packet, before in _TS_PACKETS:
        syncs = head[before::packet][:4]
        if len(syncs) > 1 and set(syncs) == {_TS_SYNC}:
            return packet
    return 0


def _ogg_page_is_cut(tail: bytes) -> bool:
    """Whether the last page of an Ogg file is longer than what is there of it."""
    start = tail.rfind(_OGG_PAGE)
    if start < 0:
        return False
    page = tail[start:]
    if len(page) < _OGG_HEAD:
        return True
    segments = page[_OGG_HEAD - 1]
    return len(page) < _OGG_HEAD + segments + sum(page[_OGG_HEAD : _OGG_HEAD + segments])
