"""DensePose's results, the JSON that any evaluator reads: `results.json`.

`image_id` is the number of the frame from 1, as ids of pictures are; `track_id` is the person. A person's
map is that of the box alone, whoever stands before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from slimdp.evaluation.densepose_results import result_line, write_result_lines
from slimdp.evaluation.predictions import as_detection
from slimdp.inference.painting import smooth_window
from slimdp.inference.video_records import FramePose, VideoInfo
from slimdp.surface.layout import PartLayout

_PIECE = "piece.jsonl"


class ResultsJson:
    """Writes one detection a person and frame; an `OutputWriter`."""

    name = "results"

    @contextmanager
    def piece(
        self, folder: Path, info: VideoInfo, layout: PartLayout
    ) -> Iterator[Callable[[FramePose], None]]:
        """As `OutputWriter`."""
        with open(folder / _PIECE, "w", encoding="utf-8") as file:

            def write(pose: FramePose) -> None:
                for person in pose.people:
                    found = replace(as_detection(person, smooth_window), image_id=pose.frame.index + 1)
                    file.write(result_line(found, track_id=person.annotation_id) + "\n")

            yield write

    def join(self, pieces: Sequence[Path], out: Path, info: VideoInfo, layout: PartLayout) -> Path:
        """As `OutputWriter`."""
        lines = itertools.chain.from_iterable(_lines(folder / _PIECE) for folder in pieces)
        write_result_lines(out / "results.json", lines)
        return out / "results.json"


def _lines(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8") as file:
        yield from (line.rstrip("\n") for line in file)
