"""Run the quickstart for several seeds and keep what it scored, how long it took and its largest memory.

    python tools/quickstart_seeds.py --out runs/seeds --seeds 0 1 2 \\
        --results experiments/quickstart/results.json

Seeds that RESULTS already has for this commit are not run again. Prints one JSON line last.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

from measuring import make_parser, tell
from result_rows import ResultRows

from slimdp.report.tables import Spread

VARIANTS = ("without_propagation", "with_propagation")


def main() -> int:
    """Parse, run, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a folder for the runs, one a seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--results", type=Path, required=True, help="the JSON file to write or go on with")
    options = parser.parse_args()
    results = ResultRows(options.results)
    for seed in options.seeds:
        if not results.has(seed):
            results.add(seed, run_seed(options.out / f"seed_{seed}", options.preset, seed))
    tell(summary(results.rows))
    return 0


def run_seed(out: Path, preset: str, seed: int) -> dict[str, object]:
    """Run one quickstart in a process of its own; raises CalledProcessError if it fails."""
    command = [sys.executable, "-m", "slimdp", "quickstart"]
    command += ["--preset", preset, "--seed", str(seed), "--out", str(out)]
    start, cpu = time.monotonic(), _cpu_seconds()
    process = subprocess.Popen(command, start_new_session=True)
    peak = _PeakMemory(process.pid)
    peak.start()
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)
    seconds = time.monotonic() - start
    scores = json.loads((out / "scores.json").read_text())
    return {
        **{variant: scores[variant] for variant in VARIANTS},
        "seconds": round(seconds),
        "cpu_seconds": round(_cpu_seconds() - cpu),
        "seconds_by_stage": scores["seconds"],
        "peak_memory_gb": round(peak.stop() / 1e9, 2),
    }


def _cpu_seconds() -> float:
    """Of all processes that have ended: other work on the machine does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _PeakMemory(threading.Thread):
    """The largest sum of resident memory of all processes of a session, looked at twice a second (Linux)."""

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self._session = session
        self._peak = 0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.5):
            self._peak = max(self._peak, self._now())

    def stop(self) -> int:
        """The peak in bytes."""
        self._done.set()
        self.join()
        return self._peak

    def _now(self) -> int:
        total = 0
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self._session:
                    total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                continue
        return total


def summary(rows: list[dict]) -> dict[str, object]:
    """Mean and spread over the seeds, and what propagation gained in points at 10 cm."""
    gains = [row["with_propagation"]["10cm"] - row["without_propagation"]["10cm"] for row in rows]
    result: dict[str, object] = {"seeds": [row["seed"] for row in rows]}
    for variant in VARIANTS:
        for key in ("5cm", "10cm", "20cm"):
            values = [row[variant][key] for row in rows]
            result[f"{variant}/{key}"] = Spread.of(values).text()
    result["gain_10cm"] = Spread.of(gains).text("+")
    result["gains_10cm"] = [round(gain, 1) for gain in gains]
    result["seconds"] = [row["seconds"] for row in rows]
    result["cpu_seconds"] = [row["cpu_seconds"] for row in rows]
    result["peak_memory_gb"] = max(row["peak_memory_gb"] for row in rows)
    return result


if __name__ == "__main__":
    sys.exit(main())
