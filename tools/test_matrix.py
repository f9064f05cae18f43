"""The test suite under other kernels, threads, seeds and load than this machine gives it by itself.

    python tools/test_matrix.py                        # every cell that the processor can run
    python tools/test_matrix.py --cells threads_2 seed_1 -- tests/training -k "not killed"

Each cell is a set of environment variables; the suite runs once in each. Sums come in another order there,
so what passes here by the luck of one kernel fails in some cell. What follows `--` goes to pytest in place of
the whole suite. Prints a line for each cell, and one line of JSON last: for each cell what passed and failed,
CPU seconds of the run and the processes that it waited for, wall seconds, and the kernels that took effect.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from measuring import make_parser, tell

ROOT = Path(__file__).resolve().parents[1]
SUITE = ("-m", "not slow", "-n", "2", "--dist", "loadfile")
_AVX2, _AVX512 = ("avx2", "fma"), ("avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd")
#: Which kernels torch and numpy's OpenBLAS really took, of which the latter has no call in numpy.
_IN_EFFECT = """
import ctypes, glob, json, os, numpy, torch
found = {"torch": torch.backends.cpu.get_cpu_capability(), "openblas": None}
libraries = os.path.join(os.path.dirname(os.path.dirname(numpy.__file__)), "numpy.libs", "*openblas*")
for library in map(ctypes.CDLL, glob.glob(libraries)):
    for name in ("scipy_openblas_get_corename64_", "openblas_get_corename64_", "openblas_get_corename"):
        if hasattr(library, name):
            call = getattr(library, name)
            call.restype = ctypes.c_char_p
            found["openblas"] = call().decode()
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Cell:
    """One way to run the suite."""

    environment: Mapping[str, str] = field(default_factory=dict)
    instructions: tuple[str, ...] = ()  # that the processor must have, as /proc/cpuinfo calls them
    load: bool = False  # beside processes that take all cores


CELLS = {
    "plain": Cell(),
    "aten_default": Cell({"ATEN_CPU_CAPABILITY": "default"}),
    "aten_avx2": Cell({"ATEN_CPU_CAPABILITY": "avx2"}, _AVX2),
    "openblas_haswell": Cell({"OPENBLAS_CORETYPE": "Haswell"}, _AVX2),
    "openblas_skylakex": Cell({"OPENBLAS_CORETYPE": "SkylakeX"}, (*_AVX2, *_AVX512)),
    "openblas_zen": Cell({"OPENBLAS_CORETYPE": "Zen"}, _AVX2),
    "openblas_nehalem": Cell({"OPENBLAS_CORETYPE": "Nehalem"}, ("sse4_2",)),
    "threads_1": Cell({"SLIMDP_TEST_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}),
    "threads_2": Cell({"SLIMDP_TEST_THREADS": "2", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}),
    "mkl_compatible": Cell({"MKL_CBWR": "COMPATIBLE"}),
    "seed_1": Cell({"SLIMDP_TEST_SEED": "1"}),
    "under_load": Cell(load=True),
}


def main() -> int:
    """Run the cells that are asked for; 1 where a test failed in one of them."""
    parser = make_parser(__doc__)
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), default=list(CELLS), metavar="CELL")
    parser.add_argument("pytest", nargs="*", help="after --: arguments of pytest in place of the whole suite")
    options = parser.parse_args()
    instructions, results = _instructions(), {}
    for name in options.cells:
        absent = [each for each in CELLS[name].instructions if instructions and each not in instructions]
        if absent:
            results[name] = {"skipped": f"the processor has no {', '.join(absent)}"}
            print(f"{name}: not run: {results[name]['skipped']}", flush=True)
            continue
        results[name] = _run(CELLS[name], options.pytest or SUITE)
        print(f"{name}: {json.dumps(results[name])}", flush=True)
    tell({"cells": results})
    return int(any(result.get("exit_code") for result in results.values()))


def _instructions() -> set[str]:
    """Of this processor; none where the system does not list them."""
    about = Path("/proc/cpuinfo")
    found = re.search(r"^flags\s*:(.*)$", about.read_text(), re.MULTILINE) if about.is_file() else None
    return set(found[1].split()) if found else set()


def _run(cell: Cell, arguments: Sequence[str]) -> dict[str, object]:
    environment = {**os.environ, **cell.environment, "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        [sys.executable, "-c", _IN_EFFECT],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    with tempfile.TemporaryDirectory() as folder, _busy_cores(cell.load):
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            *arguments,
        ]
        start = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        counts = _counts(report)
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    return {
        **counts,
        "exit_code": process.returncode,
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime),
        "wall_seconds": round(time.monotonic() - start),
        "failures": failed,
        "in_effect": json.loads(told.stdout),
    }


@contextmanager
def _busy_cores(wanted: bool) -> Iterator[None]:
    """A process a core that does nothing but take it, where that is wanted."""
    endless = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(endless) for _ in range(os.cpu_count() or 1)] if wanted else []
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _counts(report: Path) -> dict[str, int]:
    """Tests passed, failed and skipped, from pytest's report; {} where it wrote none."""
    if not report.is_file():
        return {}
    suite = next(ElementTree.parse(report).iter("testsuite"))
    ran, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    return {"passed": ran - failed - skipped, "failed": failed, "skipped": skipped}


if __name__ == "__main__":
    sys.exit(main())
