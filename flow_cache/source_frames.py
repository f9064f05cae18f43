"""Where the frames are that the flow of a store was computed from, as long as they are there and the same."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from flow_cache.errors import FlowCacheError
from flow_cache.file_hashes import hash_of_all, hash_of_file
from flow_cache.schema import VideoRecord
from flow_cache.video import Video, as_video, folder_names

#: A store's hash of frames; flow that was rendered has another text there.
SHA256 = re.compile("[0-9a-f]{64}")


def source_places(record: VideoRecord) -> tuple[Path, ...]:
    """Where the source of a store's flow may be, most likely places first.

    It is at its absolute path, or, where it moved together with the store, at an end of that path in the
    folder of the store or one of the two above (a store may be a folder itself). Older stores and rendered
    sets have a relative path, which may be taken from there, too, or from here.
    """
    source = Path(record.source)
    if record.store is None:
        return (source,)
    folder = record.store.absolute().parent
    ends = folder_names(source) if source.is_absolute() else [record.source]
    beside = [above / end for above in (folder, *list(folder.parents)[:2]) for end in ends]
    return (source, *beside) if source.is_absolute() else (*beside, source)


def has_source(record: VideoRecord, place: Path) -> bool:
    """Whether the frames at a place are those of the flow, byte for byte; by their names of rendered flow."""
    files = [place / name for name in record.frame_names] if place.is_dir() else [place]
    if not all(file.is_file() for file in files):
        return False
    if not SHA256.fullmatch(record.source_hash):
        return True
    with suppress(FlowCacheError):  # one cannot be read
        found = hash_of_all(files, hash_of_file) if place.is_dir() else hash_of_file(place).hex()
        return found == record.source_hash
    return False


def find_source_frames(record: VideoRecord) -> Video:
    """The frames that the flow of a store was computed from; FlowCacheError where they are gone or others."""
    places = source_places(record)
    for place in places:
        if has_source(record, place):
            return replace(as_video(record), path=place)
    if there := next((place for place in places if place.exists()), None):
        raise FlowCacheError(f"{there} is not what the flow of {record.name} was estimated from")
    tried = f"{record.source}, and beside the store"
    raise FlowCacheError(f"the frames of video {record.name!r} are not there; looked at: {tried}")
