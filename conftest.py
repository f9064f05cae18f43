"""How many threads the libraries take in tests, said before any of them is loaded."""

from __future__ import annotations

import os

#: Of each process. Tests run side by side: more threads each would only make them wait for one another.
THREADS = os.environ.setdefault("SLIMDP_TEST_THREADS", "1")
# Threads that wait leave the cores to the tests beside them.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Processes that tests start read them too.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
    os.environ.setdefault(_name, THREADS)
