"""Which file of a folder holds which video, and which of several jobs fills it.

A video goes to a file once and for all: `jobs/shards.json` in the folder keeps that, and a lock beside it
lets jobs ask at the same time. So a longer list of videos, another number of jobs or a run that goes on never
puts a video into two files.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flow_cache.errors import FlowCacheError
from flow_cache.runtime.atomic import write_json
from flow_cache.runtime.job_array import JOBS_FOLDER
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.lock import held
from flow_cache.store import FlowStore
from flow_cache.store_files import shard_files
from flow_cache.video import VideoProbe, VideoSource


@dataclass(frozen=True)
class Shard:
    """A file of a folder, and the videos that belong in it."""

    path: Path
    videos: tuple[VideoProbe, ...]

    @property
    def sources(self) -> tuple[VideoSource, ...]:
        """The videos as `precompute` takes them."""
        return tuple(VideoSource(video.path, video.name) for video in self.videos)


def shard_name(number: int, count: int) -> str:
    """The file that a job writes new videos to: shard-3-of-8.h5 for the third of eight."""
    return f"shard-{number:0{len(str(count))}}-of-{count}.h5"


def known_videos(out: Path) -> set[str]:
    """The names of the videos that have a file in a folder."""
    return set(_read_record(_record(out)))


def assign_shards(out: Path, videos: Sequence[VideoProbe], count: int) -> list[list[Shard]]:
    """What each of `count` jobs has to do, and keep that; the same answer for everyone who asks.

    For each job the files that it fills, none for a job that no video is left for: its own in the folder
    `out`, which is made where it is missing, and any that runs with another number of jobs have begun. Raises
    FlowCacheError for two videos of one name, an `out` that is a file, or a file in it that is no store.
    """
    named = Counter(video.name for video in videos)
    if twice := [str(video.path) for video in videos if named[video.name] > 1]:
        raise FlowCacheError(f"videos of one name: {', '.join(twice)}; write them to different folders")
    if out.is_file() or out.suffix == ".h5":
        raise FlowCacheError(f"{out}: shards are files of a folder; name a folder, such as {out.stem}")
    with _kept(out) as kept:
        plan = plan_shards({video.name: video.frames * video.area for video in videos}, kept, count)
        kept.update({name: file for job in plan for file, names in job.items() for name in names})
    by_name = {video.name: video for video in videos}
    return [
        [Shard(out / file, tuple(by_name[name] for name in names)) for file, names in job.items()]
        for job in plan
    ]


def plan_shards(
    work: Mapping[str, int], kept: Mapping[str, str], count: int
) -> list[dict[str, tuple[str, ...]]]:
    """Divide videos among `count` jobs so that they have about the same work.

    The largest come first, each to the job with the least work so far: the longest job has at most 4/3 of
    the work that it must have (Graham, Bounds on multiprocessing timing anomalies, 1969). A file of another
    number of jobs goes as a whole. `work` has of each video its frames times their pixels, `kept` the files
    of videos that have one. For each job its files, and the names of their videos in the order of `work`.
    """
    own = [shard_name(number, count) for number in range(1, count + 1)]
    file_of = {name: kept[name] for name in work if name in kept}
    loads: Counter[str] = Counter()
    for name, file in file_of.items():
        loads[file] += work[name]
    job_of = {file: job for job, file in enumerate(own)}
    totals = [loads[file] for file in own]
    for file in sorted(loads.keys() - own, key=lambda file: (-loads[file], file)):
        job_of[file] = totals.index(min(totals))
        totals[job_of[file]] += loads[file]
    for name in sorted(work.keys() - kept.keys(), key=lambda name: (-work[name], name)):
        job = totals.index(min(totals))
        totals[job] += work[name]
        file_of[name] = own[job]
    plan: list[dict[str, tuple[str, ...]]] = [{} for _ in own]
    for file in sorted(set(file_of.values())):
        plan[job_of[file]][file] = tuple(name for name in work if file_of[name] == file)
    return plan


@contextlib.contextmanager
def _kept(out: Path) -> Iterator[dict[str, str]]:
    """The file of each video so far, to be added to while nobody else asks."""
    record = _record(out)
    with held(record.with_suffix(".lock"), wait=True):
        before = _read_record(record)
        kept = dict(before)
        # Files that came from elsewhere. Those that the record knows are not opened: their writers would be
        # refused for that moment.
        for file in sorted(set(shard_files(out)) - {out / name for name in kept.values()}):
            with FlowStore(file) as store:
                kept.update(dict.fromkeys(store.videos(), file.name))
        yield kept
        if kept != before:
            write_json(record, dict(sorted(kept.items())))


def _record(out: Path) -> Path:
    return out / JOBS_FOLDER / "shards.json"


def _read_record(record: Path) -> dict[str, str]:
    """The file of each video; none where nothing was recorded yet."""
    if not record.exists():
        return {}
    files = read_json(record, error=FlowCacheError)
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise FlowCacheError(f"{record}: no record of which file holds which video; remove it")
    return files
