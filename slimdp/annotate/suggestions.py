"""Which pictures to label next, for the page.

Evenly spread ones are named at once. To look at all pictures with the network of `--weights`, or to follow
the flow of `--flow`, takes longer: a thread does it once, and the page asks meanwhile how far it is. What has
labels is looked at anew each time, so the ranking follows the labels.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache import FlowCacheError, FlowStore
from flow_cache.runtime.progress import Standing
from slimdp.annotate.changes import Entry
from slimdp.annotate.loading import importing
from slimdp.annotate.people import EditError
from slimdp.annotate.session import Session
from slimdp.motion.reach import FrameReach
from slimdp.structures import LabelSource
from slimdp.suggest.frames import VideoKnowledge, suggest_frames
from slimdp.suggest.video import AskedVideo, video_reach

_LOG = logging.getLogger(__name__)
#: Pictures that are named together.
COUNT = 5
#: Frames over which flow would carry labels, as of `slimdp suggest`.
_REACH = 24
_STORE_BYTES = 2**28


@dataclass(frozen=True)
class _Looked:
    """What has been found of the pictures; None: not looked for."""

    features: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    reach: FrameReach | None = None


class _StoppedError(Exception):
    """The thread shall end."""


class Suggestions:
    """Ranks a session's pictures; `flow` is a store with the flow of its video, None for none.

    Close it before Python ends: a thread that is within torch then would abort the process.
    """

    def __init__(self, session: Session, flow: Path | None = None) -> None:
        self._session, self._flow = session, flow
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None
        self._stopped = threading.Event()
        self._standing = Standing("beginning", "pictures", 0)
        self._looked = _Looked()
        self._failure = ""

    @property
    def method(self) -> str:
        """The method of `suggest_frames` that what is given allows."""
        if self._failure:
            return "even"
        if self._flow is not None:
            return "flow"
        return "even" if self._session.weights is None else "features"

    def ask(self) -> dict[str, Any]:
        """The pictures to label next, the best first, or how far the work is that must come before.

        After a failure of network or flow `note` says what is wrong, and the pictures are spread evenly.
        Raises EditError where every picture has labels.
        """
        if self._is_working():
            standing = self._standing
            return {"working": {"title": standing.title, "done": standing.done, "total": standing.total}}
        entries = self._session.entries()
        labelled = tuple(number for number, people in enumerate(entries) if any(map(is_labelled, people)))
        if len(labelled) == len(entries):
            raise EditError("every picture has labels already")
        looked = self._looked
        known = VideoKnowledge(len(entries), labelled, looked.features, looked.uncertainty, looked.reach)
        found = suggest_frames(self.method, known, COUNT, np.random.default_rng(0))
        return {
            "working": None, "method": self.method, "note": self._failure,
            "suggested": [each.frame for each in found],
        }  # fmt: skip

    def close(self) -> None:
        """Stop looking at the pictures, and wait until the thread has ended, after one picture at most."""
        with self._lock:
            self._stopped.set()
        if self._worker is not None:
            self._worker.join()

    def _is_working(self) -> bool:
        """Begin to look at the pictures at the first call, and say whether that goes on."""
        with self._lock:
            if self._worker is None and self.method != "even" and not self._stopped.is_set():
                # No daemon: Python waits for it, too, where `close` is interrupted.
                self._worker = threading.Thread(target=self._look)
                self._worker.start()
            return self._worker is not None and self._worker.is_alive()

    # ---- in a thread of its own

    def _look(self) -> None:
        try:
            self._looked = self._found()
        except _StoppedError:
            return
        except Exception as error:  # whatever it is, the page shall not wait for ever
            foreseen = isinstance(error, (EditError, FlowCacheError, ValueError, OSError))
            _LOG.warning("no picture is suggested by network or flow: %s", error, exc_info=not foreseen)
            self._failure = str(error) or type(error).__name__

    def _found(self) -> _Looked:
        boxes = self._session.boxes()
        found = _Looked()
        if self._session.weights is not None:
            with importing():
                from slimdp.annotate.network import load_network
                from slimdp.suggest.network import describe_frames

            self._go_on(self._standing)  # torch takes seconds to load
            network = load_network(self._session.weights)
            pictures = self._pictures(boxes)
            features, uncertainty = describe_frames(network.model, pictures, network.crop)
            found = _Looked(features, uncertainty)
        if self._flow is not None:
            self._go_on(Standing("following the flow", "pictures", 0))
            found = dataclasses.replace(found, reach=self._measured(self._flow, boxes))
        return found

    def _pictures(
        self, boxes: dict[int, list[np.ndarray]]
    ) -> Iterator[tuple[np.ndarray, Sequence[np.ndarray]]]:
        media = self._session.media
        for number, image in enumerate(media.in_order()):
            self._go_on(Standing("looking at the pictures", "pictures", number, len(media)))
            yield image, boxes.get(number, ())

    def _measured(self, flow: Path, boxes: dict[int, list[np.ndarray]]) -> FrameReach:
        media = self._session.media
        name = media.pictures[0].video
        if name is None:
            raise EditError("--flow is of the frames of a video; these are pictures")
        names = tuple(Path(picture.file_name).name for picture in media.pictures)
        asked = AskedVideo(name, media.source, names, boxes=boxes)
        with FlowStore(flow, keep_bytes=_STORE_BYTES) as store:
            return video_reach(asked, store, _REACH, self._followed)

    def _followed(self, number: int) -> None:
        total = len(self._session.media)
        self._go_on(Standing("following the flow", "pictures", number, total))

    def _go_on(self, standing: Standing) -> None:
        """Say how far it is; raises _StoppedError where nobody waits for it any more."""
        if self._stopped.is_set():
            raise _StoppedError
        self._standing = standing


def is_labelled(entry: Entry) -> bool:
    """Whether an annotator labelled somebody: has points that flow alone did not bring, or outlines that it
    did not bring either, and that do not wait as proposals."""
    if entry.get("dp_x"):
        source = entry.get("dp_source")
        return not source or any(each != int(LabelSource.PROPAGATED) for each in source)
    pending = (entry.get("dp_help") or {}).get("pending_parts")
    return any(entry.get("dp_masks") or ()) and not (pending or entry.get("dp_propagated"))
