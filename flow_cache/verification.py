"""Whether a store is sound: every finished field reads, and a sample is what its frames give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow_cache.codec import UNITS_PER_PX
from flow_cache.errors import FlowCacheError
from flow_cache.estimators import FlowEstimator, settings_hash
from flow_cache.inspection import count_finished
from flow_cache.plan import Field
from flow_cache.runtime.progress import Tracker, tracked
from flow_cache.schema import step_name
from flow_cache.store import FlowStore
from flow_cache.video import open_video
from flow_cache.writer import FlowWriter


@dataclass(frozen=True)
class Verification:
    """What was found."""

    read: int  # finished fields that were read
    damaged: tuple[str, ...]  # those that could not be: where, and why
    estimated_again: int  # fields of the sample
    different: tuple[str, ...]  # of these, those that came out otherwise: where, and by how much
    damaged_fields: tuple[tuple[str, int, int], ...] = ()  # the damaged ones again: video, frame, step

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damaged and not self.different


def verify_store(
    store: FlowStore, sample: int = 0, estimator: FlowEstimator | None = None, seed: int = 0
) -> Verification:
    """Read every finished field, whose checksums HDF5 compares, and estimate some of them again.

    Where a store holds flow near people alone, what it holds is compared.

    Args:
        store: what to verify.
        sample: how many fields of each video to estimate again, at random.
        estimator: the one that made the store; needed for a sample.
        seed: of the sample.

    Raises:
        FlowCacheError: another estimator or other settings than the store's, or frames that are gone or not
            those that the store was made of.
    """
    if sample and estimator is None:
        raise FlowCacheError("no estimator to estimate a sample again with")
    if sample and estimator is not None:
        for video in store.videos():  # before all that reading
            _check_made_by(store, video, estimator)
    sound, damaged = _read_all(store)
    read = sum(map(len, sound.values())) + len(damaged)
    rng, again = np.random.default_rng(seed), 0
    different: list[str] = []
    if sample and estimator is not None:
        for video, fields in tracked(sound.items(), "estimate again", "videos"):
            chosen = [fields[i] for i in rng.permutation(len(fields))[:sample]]
            if chosen:
                different += _estimate_again(store, video, chosen, estimator)
                again += len(chosen)
    return Verification(read, tuple(damaged.values()), again, tuple(different), tuple(damaged))


def forget_fields(store: FlowStore, fields: Sequence[tuple[str, int, int]]) -> None:
    """Mark fields (video, frame, step) as not there, so that the next precomputation estimates them again.

    The store is closed for that.

    Raises:
        FlowCacheError: another process reads or writes one of its files.
    """
    files = {video: store.file(video) for video, _, _ in fields}
    store.close()
    for file in sorted(set(files.values())):
        with FlowWriter(file) as writer:
            for video, frame, step in fields:
                if files[video] == file:
                    writer.forget(video, frame, step)


def _read_all(store: FlowStore) -> tuple[dict[str, list[Field]], dict[tuple[str, int, int], str]]:
    """Read every finished field: the sound ones by video, and the damaged ones with what is wrong."""
    sound: dict[str, list[Field]] = {video: [] for video in store.videos()}
    damaged: dict[tuple[str, int, int], str] = {}
    with Tracker("verify", "fields", count_finished(store)) as tracker:
        for video, fields in sound.items():
            for step in store.steps(video):
                for frame in np.flatnonzero(store.finished(video, step)).tolist():
                    try:
                        store.read(video, frame, step)
                        fields.append((frame, step))
                    except OSError as error:
                        where = f"{video}, frame {frame}, step {step_name(step)}"
                        damaged[video, frame, step] = f"{where}: {error.__cause__ or error}"
                    tracker.advance()
    return sound, damaged


def _check_made_by(store: FlowStore, video: str, estimator: FlowEstimator) -> None:
    record = store.record(video)
    if record.estimator != estimator.name:
        made = f"was estimated by {record.estimator}, not by {estimator.name}"
    elif record.settings_hash != settings_hash(estimator):
        made = f"was estimated with {record.settings}, not with {estimator.settings()}"
    else:
        return
    raise FlowCacheError(f"{video} {made}; name what made it, or ask for a sample of 0")


def _estimate_again(
    store: FlowStore, video: str, fields: list[tuple[int, int]], estimator: FlowEstimator
) -> list[str]:
    record = store.record(video)
    source = open_video(Path(record.source), record)
    if source.source_hash != record.source_hash:
        raise FlowCacheError(f"{record.source} is not what the flow of {video} was estimated from")
    wanted = sorted({end for frame, step in fields for end in (frame, frame + step)})
    images = dict(source.read(wanted))
    found = []
    for frame, step in fields:
        flow = estimator.estimate(np.stack([images[frame], images[frame + step]]), [(0, 1)])[0]
        field = store.read(video, frame, step)
        compared = field.valid if record.around else np.ones_like(field.valid)
        off = np.abs(flow - field.displacement)[:, compared]
        # NaN: lost from whole frames; near people, at least something is there.
        off_px = float(np.nan_to_num(off, nan=np.inf).max(initial=0 if off.size else np.inf))
        # Half a unit of rounding, and half another for machines that sum in another order.
        if off_px > 1 / UNITS_PER_PX:
            found.append(f"{video}, frame {frame}, step {step_name(step)}: up to {off_px:.1f} px")
    return found
