"""What a store of many files costs each process that reads it.

    python tools/bench_flow_shards.py --files 1000 3000 > shards.json

Makes stores of so many files with a small video each, and measures in new processes, by processor time and
resident memory: the names of all videos without the index, the same with it, and crops from random files with
few files open; and beside it h5py as many use it, with every file open. Prints one JSON line last, and the
table on stderr.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measuring import make_parser, tell

from flow_cache import FlowWriter, VideoRecord
from flow_cache.store_files import INDEX

_BEFORE = """
import json, os, sys, time
from pathlib import Path
import h5py
import numpy as np
from flow_cache.store import FlowStore

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

"""
_READ = """
before, began = resident(), time.process_time()
store = FlowStore(sys.argv[1])
videos = store.videos()
opened = time.process_time()
places = np.random.default_rng(0).integers(0, len(videos), 300)
for place in places:
    store.read(videos[place], 0, 1, (0, 0, 32, 32))
crops = time.process_time()
print(json.dumps({
    "videos": len(videos), "names_s": opened - began, "crop_ms": 1000 * (crops - opened) / len(places),
    "mb": (resident() - before) / 1e6, "files_open": len(os.listdir("/proc/self/fd")),
}))
"""
_ALL_OPEN = """
before, began = resident(), time.process_time()
files = [h5py.File(path, "r") for path in sorted(Path(sys.argv[1]).glob("*.h5"))]
names = [name for file in files for name in file]
print(json.dumps({
    "videos": len(names), "names_s": time.process_time() - began, "mb": (resident() - before) / 1e6,
    "files_open": len(os.listdir("/proc/self/fd")),
}))
"""


def make_store(folder: Path, files: int) -> None:
    """Write as many files, each with two fields of a video of 96 x 64 px."""
    flow = np.zeros((2, 64, 96), np.float32)
    for number in range(files):
        name = f"video{number:06d}"
        record = VideoRecord(name, 96, 64, ("0.png", "1.png", "2.png"), "", "", "dis", "{}", "")
        with FlowWriter(folder / f"shard-{number:06d}.h5") as writer:
            writer.add_video(record, (-1, 1))
            for frame in range(2):
                writer.write(name, frame, 1, flow)


def measure(folder: Path, code: str) -> dict[str, float]:
    """What a new process says of itself."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, "-c", _BEFORE + code, str(folder)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode:  # such as with every file open under a low limit
        return {"failed": run.stderr.strip().splitlines()[-1]}
    return {key: round(value, 4) for key, value in json.loads(run.stdout).items()}


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[1000])
    parser.add_argument("--folder", type=Path, help="where to write")
    options = parser.parse_args()
    rows = []
    for files in options.files:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            make_store(folder, files)
            row = {"files": files, "first": measure(folder, _READ)}
            measure(folder, _READ)  # entries that were too fresh for the first index count from here on
            row |= {"indexed": measure(folder, _READ), "all_open": measure(folder, _ALL_OPEN)}
            row["index_bytes"] = os.path.getsize(folder / INDEX) if (folder / INDEX).exists() else 0
        rows.append(row)
        print("\n".join(f"{key}: {value}" for key, value in row.items()), file=sys.stderr, flush=True)
    tell({"cores": os.cpu_count(), "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
