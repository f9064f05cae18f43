"""Hours and bytes of the flow of whole data sets, from what the benchmarks measured.

    python tools/bench_flow_storage.py vtest.avi juggle.mp4 --weights raft-small.pth > storage.json
    python tools/bench_flow_estimators.py --weights raft-small.pth > estimators.json
    python tools/flow_at_scale.py storage.json estimators.json

Of each file the last line counts. Speeds and bytes are carried over by the number of pixels, from the size
that is nearest to the data set's; bytes are the mean over the videos of that size. An estimator that was
timed in several ways, such as "raft_small 12" (iterations), takes the bytes of "raft_small". Jobs share the
videos evenly, which the shards of `precompute` come near to. Prints a table, and one JSON line last.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from measuring import make_parser, tell

from slimdp.report.tables import format_table

JOBS = 100  # of a job array


@dataclass(frozen=True)
class DataSet:
    """A data set's flow to three frames on either side, as Slim DensePose, 5.4, counts it."""

    name: str
    fields: int
    width: int = 1280  # px; most of both sets' videos
    height: int = 720

    @property
    def pixels(self) -> int:
        """Of a field."""
        return self.width * self.height


DATA_SETS = (DataSet("DensePose-Track", 390_000), DataSet("MPII videos", 5_800_000))
FORMATS = ("store, zstd", "flo", "HDF5, float16, gzip")
KEYS = ("estimator", "device", "processes")


def main() -> int:
    """Parse, compute, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("storage", type=Path, help="what bench_flow_storage.py printed")
    parser.add_argument("estimators", type=Path, help="what bench_flow_estimators.py printed")
    options = parser.parse_args()
    sets, speeds = _last_line(options.storage)["sets"], _last_line(options.estimators)["speeds"]
    rows = [row for data_set in DATA_SETS for row in extrapolate(data_set, sets, speeds)]
    heads = [
        "data set",
        "estimator",
        "device",
        "processes",
        "fields a second",
        "hours",
        f"hours, {JOBS} jobs",
    ]
    heads += [f"{name}, TB" for name in FORMATS]
    body = []
    for row in rows:
        cells = [*(row[key] for key in KEYS), f"{row['fields_a_second']:.3g}"]
        cells = [row["data_set"], *cells, f"{row['hours']:,.0f}", f"{row['hours'] / JOBS:,.1f}"]
        cells += ["" if size is None else f"{size / 1e12:.3g}" for size in row["bytes"].values()]
        body.append([str(cell) for cell in cells])
    print(format_table(heads, body, markdown=True))
    tell({"jobs": JOBS, "rows": rows})
    return 0


def extrapolate(
    data_set: DataSet, sets: list[dict[str, Any]], speeds: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """A row for every estimator, device and number of processes that was measured.

    Args:
        data_set: how many fields of which size.
        sets: of `bench_flow_storage.py`.
        speeds: of `bench_flow_estimators.py`.

    Returns:
        Rows with the hours of one job, and with bytes by format: None where the estimator's flow was not
        stored.
    """
    rows = []
    for kind in dict.fromkeys(_kind(speed) for speed in speeds):
        measured = _nearest(data_set, [speed for speed in speeds if _kind(speed) == kind])
        speed = fmean(m["fields_a_second"] * _pixels(m) / data_set.pixels for m in measured)
        stored = [found for found in sets if found["estimator"] == str(kind[0]).split()[0]]
        rows.append(
            {
                "data_set": data_set.name,
                "fields": data_set.fields,
                **dict(zip(KEYS, kind, strict=True)),
                "fields_a_second": round(speed, 4),
                "hours": round(data_set.fields / speed / 3600, 1),
                "bytes": {name: _bytes(data_set, stored, name) for name in FORMATS},
            }
        )
    return rows


def _kind(speed: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(speed[key] for key in KEYS)


def _bytes(data_set: DataSet, sets: list[dict[str, Any]], name: str) -> int | None:
    """Of all fields in one format."""
    if not sets:
        return None
    of_a_pixel = fmean(s["formats"][name]["bytes"] / _pixels(s) for s in _nearest(data_set, sets))
    return round(data_set.fields * data_set.pixels * of_a_pixel)


def _nearest(data_set: DataSet, measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was measured at the size that is nearest to the data set's."""
    nearest = min(abs(_pixels(m) - data_set.pixels) for m in measured)
    return [m for m in measured if abs(_pixels(m) - data_set.pixels) == nearest]


def _pixels(measured: dict[str, Any]) -> int:
    return int(measured["width"]) * int(measured["height"])


def _last_line(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text().strip().splitlines()[-1])
    except (OSError, IndexError, json.JSONDecodeError) as error:
        raise SystemExit(f"{path} is no output of a benchmark, whose last line is JSON: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
