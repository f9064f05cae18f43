"""What the command line can be asked for, by name: so `--help` needs no OpenCV and HDF5.

The tables of what the names stand for are `ESTIMATORS`, `exchange.FORMATS` and `schema.FILTERS`.
"""

from __future__ import annotations

ESTIMATOR_NAMES = ("dis", "raft_small", "raft_large")
#: What the name of one of ptlflow's networks begins with.
PTLFLOW = "ptlflow:"
FORMAT_NAMES = ("flo", "kitti")
FILTER_NAMES = ("zstd", "lz4", "blosc2", "gzip")
#: Of `--around`: a share of a box's longer side, on each side.
MARGIN = 0.25
#: At most so much work is lost to a kill.
COMMIT_SECONDS = 5.0
