"""Hours and bytes of the flow of whole data sets, from what the benchmarks measured.

    python tools/bench_flow_storage.py vtest.avi juggle.mp4 --weights raft-small.pth > storage.json
    python tools/bench_flow_estimators.py juggle.mp4 --weights raft-small.pth > estimators.json
    python tools/flow_at_scale.py storage.json estimators.json

Of each file the last line counts, a JSON object: of the first "sets", with estimator, width, height and
bytes by format; of the second "rows", with estimator, width, height, processes and fields_a_second. Both are
carried over by the number of pixels, from the size nearest to the data set's; bytes are the mean over its
videos. Jobs share the fields evenly, which the shards of `precompute` come near to. One JSON line last.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

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
FORMATS = {"store": "store, zstd", "flo": "flo", "half": "HDF5, float16, gzip"}


def main() -> int:
    """Parse, compute, print; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("storage", type=Path, help="what bench_flow_storage.py printed")
    parser.add_argument("estimators", type=Path, help="what bench_flow_estimators.py printed")
    options = parser.parse_args()
    sets, speeds = _last_line(options.storage)["sets"], _last_line(options.estimators)["rows"]
    rows = [row for data_set in DATA_SETS for row in extrapolate(data_set, sets, speeds)]
    print(f"| data set | estimator | processes | fields a second | hours | hours, {JOBS} jobs |", end="")
    print(" store, TB | .flo, TB | float16 + gzip, TB |\n" + "|---" * 9 + "|")
    for row in rows:
        terabytes = (row["bytes"] or {}).get
        cells = [row["data_set"], row["estimator"], row["processes"], f"{row['fields_a_second']:.3g}"]
        cells += [f"{row['hours']:,.0f}", f"{row['hours'] / JOBS:.3g}"]
        cells += ["" if terabytes(key) is None else f"{terabytes(key) / 1e12:.3g}" for key in FORMATS]
        print("| " + " | ".join(map(str, cells)) + " |")
    print(json.dumps({"jobs": JOBS, "rows": rows}))
    return 0


def extrapolate(
    data_set: DataSet, sets: list[dict[str, Any]], speeds: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """A row for every estimator and number of processes that was measured.

    Args:
        data_set: how many fields of which size.
        sets: of `bench_flow_storage.py`.
        speeds: rows of `bench_flow_estimators.py`.

    Returns:
        Rows with hours on one machine and with bytes by format, None where the estimator's flow was not
        stored.
    """
    rows = []
    for estimator, processes in dict.fromkeys((s["estimator"], s["processes"]) for s in speeds):
        measured = [s for s in speeds if (s["estimator"], s["processes"]) == (estimator, processes)]
        speed = fmean(
            s["fields_a_second"] * _pixels(s) / data_set.pixels for s in _nearest(data_set, measured)
        )
        stored = _nearest(data_set, [s for s in sets if s["estimator"] == estimator])
        row = {"data_set": data_set.name, "fields": data_set.fields, "estimator": estimator}
        row |= {"processes": processes, "fields_a_second": round(speed, 4)}
        row |= {"hours": round(data_set.fields / speed / 3600, 1)}
        rows.append({**row, "bytes": _bytes(data_set, stored) if stored else None})
    return rows


def _bytes(data_set: DataSet, sets: list[dict[str, Any]]) -> dict[str, int]:
    """Of all fields, by format."""
    return {
        key: round(
            data_set.fields * data_set.pixels * fmean(s["formats"][name]["bytes"] / _pixels(s) for s in sets)
        )
        for key, name in FORMATS.items()
    }


def _nearest(data_set: DataSet, measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was measured at the size that is nearest to the data set's."""
    if not measured:
        return []
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
