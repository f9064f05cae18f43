"""Kill `python -m flow_cache precompute` at random moments, and see whether anything is lost (Linux).

    python tools/flow_kill_test.py vtest.avi --kills 20 --frames 0:24 --steps -1:1
    python tools/flow_kill_test.py clip/ --estimator raft_small --weights raft-small.pth --processes 2
    python tools/flow_kill_test.py vtest.avi --frames 0:24 --processes 2 --victim worker

One run is left alone; another is killed with SIGKILL and run again, as often as asked. In turn a kill falls
into the start-up, into the estimation, or into a commit, each at a random moment of it: commits are made as
often as possible, and a kill that is to fall into one waits until its journal appears. After each kill no
process may be left, and a copy of the store must open and hold, value by value, at least the fields that it
held before. In the end the store must equal that of the undisturbed run in every field, flag, name and
attribute; where a run ends before it is killed, that is seen then, and the next begins anew. Killing a worker
instead must end the run with an error that says so. Prints one JSON line last; the exit code is 1 where
anything went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from measuring import tell

from flow_cache.journal import journal_of, unfinished_journal_of
from flow_cache.store import FlowStore

SECONDS_TO_END = 60.0
MOMENTS = ("start-up", "estimation", "commit")


@dataclass(frozen=True)
class Bench:
    """What is run and killed."""

    video: Path
    settings: list[str]  # of precompute
    victim: str  # main or worker
    whole: Path  # the store of the undisturbed run
    store: Path  # that of the killed ones
    ready_s: float  # from the start until a run begins to write
    reach_s: float  # and from then until the latest moment of a kill


@dataclass
class Tally:
    """What the kills did."""

    moments: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MOMENTS, 0))
    in_commit: int = 0  # a journal was there at the kill, whole or not
    half_applied: int = 0  # of these, with a journal that the next run had to apply
    fields: list[int] = field(default_factory=list)  # finished after each kill
    longest_to_end_s: float = 0.0  # until the last worker was gone
    faults: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the test; returns the exit code."""
    options, settings = _parser().parse_known_args(arguments)
    rng, tally = random.Random(options.seed), Tally()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        whole, store = folder / "whole" / "flow.h5", folder / "killed" / "flow.h5"
        began = time.monotonic()
        _run(options.video, whole, [*settings, "--commit-seconds", "0"])
        seconds = time.monotonic() - began
        ready_s = _seconds_until_store(options.video, folder / "ready" / "flow.h5", settings)
        reach_s = options.reach * (seconds - ready_s)
        bench = Bench(options.video, settings, options.victim, whole, store, ready_s, reach_s)
        for number in range(options.kills):
            moment = MOMENTS[(number + options.seed) % len(MOMENTS)]
            while not _kill_at(moment, bench, rng, tally):
                _check_whole(bench, tally)
                shutil.rmtree(store.parent)
                tally.fields.append(0)
            _check_kept(bench, tally)
            print(f"kill {number + 1} in {moment}: {tally.fields[-1]} fields", file=sys.stderr, flush=True)
        _run(options.video, store, settings)
        _check_whole(bench, tally)
    tell({"undisturbed_s": round(seconds, 1), **vars(tally)})
    return 1 if tally.faults else 0


def differences(first: Path, second: Path) -> list[str]:
    """Where two HDF5 files differ in what is there, its layout, its attributes or its values."""
    found = []
    with h5py.File(first) as one, h5py.File(second) as other:
        names: list[list[str]] = [["/"], ["/"]]
        one.visit(names[0].append)
        other.visit(names[1].append)
        if sorted(names[0]) != sorted(names[1]):
            return [f"other objects: {sorted(set(names[0]) ^ set(names[1]))}"]
        for name in names[0]:
            if _described(one[name]) != _described(other[name]):
                found.append(f"{name}: {_described(one[name])} and {_described(other[name])}")
            elif isinstance(one[name], h5py.Dataset):
                rows = range(len(one[name]))
                found += [
                    f"{name}, row {row}"
                    for row in rows
                    if not np.array_equal(one[name][row], other[name][row])
                ]
    return found


def _described(item: h5py.Group | h5py.Dataset) -> tuple:
    attributes = {key: (str(np.asarray(value).dtype), repr(value)) for key, value in item.attrs.items()}
    if not isinstance(item, h5py.Dataset):
        return (attributes,)
    plist = item.id.get_create_plist()
    filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
    return attributes, item.shape, str(item.dtype), item.chunks, repr(item.fillvalue), filters


def _kill_at(moment: str, bench: Bench, rng: random.Random, tally: Tally) -> bool:
    """Run and kill; False where the run ended before."""
    process = _start(bench.video, bench.store, [*bench.settings, "--commit-seconds", "0"])
    wait_s = rng.uniform(0, bench.ready_s)
    _wait(process, wait_s if moment == "start-up" else bench.ready_s + rng.uniform(0, bench.reach_s))
    victims = [process.pid]
    if bench.victim == "worker":
        workers = [pid for pid in _processes(process.pid) if pid != process.pid and not _is_tracker(pid)]
        victims = workers or victims
    if moment == "commit":
        _wait_for_commit(process, bench.store)
        time.sleep(rng.uniform(0, 0.002))
    if process.poll() is not None:
        if process.returncode:
            tally.faults.append(f"exit code {process.returncode}: {process.communicate()[1]}")
        return False
    with contextlib.suppress(ProcessLookupError):  # a worker that ends with its work
        os.kill(rng.choice(victims), signal.SIGKILL)
    # Now, not when all has ended: where a worker is killed, the run itself still ends its commit.
    tally.in_commit += journal_of(bench.store).exists() or unfinished_journal_of(bench.store).exists()
    tally.moments[moment] += 1
    _check_ended(process, bench, victims != [process.pid], tally)
    tally.half_applied += journal_of(bench.store).exists()
    return True


def _check_ended(process: subprocess.Popen, bench: Bench, killed_worker: bool, tally: Tally) -> None:
    """Wait until no process of a run is left; a killed worker is an error, unless all its work was done."""
    began = time.monotonic()
    _, said = process.communicate(timeout=SECONDS_TO_END)
    if killed_worker and process.returncode == 0:
        _check_whole(bench, tally)
    elif killed_worker and (process.returncode != 2 or "was killed (SIGKILL)" not in said):
        tally.faults.append(f"exit code {process.returncode} after a worker was killed: {said[-500:]}")
    while left := _processes(process.pid):
        if time.monotonic() - began > SECONDS_TO_END:
            tally.faults.append(f"processes {left} are left {SECONDS_TO_END} s after the kill")
            return
        time.sleep(0.01)
    tally.longest_to_end_s = max(tally.longest_to_end_s, round(time.monotonic() - began, 2))


def _check_whole(bench: Bench, tally: Tally) -> None:
    left = [path.name for path in bench.store.parent.iterdir() if path != bench.store]
    tally.faults += differences(bench.whole, bench.store) + [f"{name} was left behind" for name in left]


def _check_kept(bench: Bench, tally: Tally) -> None:
    """Look at a copy, with its journal, so that it is the next run that recovers the store itself."""
    if not bench.store.exists():
        tally.fields.append(0)
        return
    count = 0
    with tempfile.TemporaryDirectory(dir=bench.store.parent.parent) as folder:
        for path in bench.store.parent.iterdir():
            shutil.copy(path, folder)
        with FlowStore(Path(folder) / bench.store.name) as kept, FlowStore(bench.whole) as expected:
            for video in kept.videos():
                for step in kept.steps(video):
                    for frame in np.flatnonzero(kept.finished(video, step)).tolist():
                        flow, wanted = (s.read(video, frame, step).displacement for s in (kept, expected))
                        if not np.array_equal(flow, wanted, equal_nan=True):
                            tally.faults.append(f"after a kill, {video} {frame} {step:+d} differs")
                        count += 1
    if tally.fields and count < tally.fields[-1]:
        tally.faults.append(f"{tally.fields[-1]} fields before a kill, {count} after it")
    tally.fields.append(count)


def _start(video: Path, store: Path, settings: list[str]) -> subprocess.Popen:
    command = [sys.executable, "-m", "flow_cache", "precompute", str(video), "--out", str(store), *settings]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _run(video: Path, store: Path, settings: list[str]) -> None:
    process = _start(video, store, settings)
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {said}")


def _seconds_until_store(video: Path, store: Path, settings: list[str]) -> float:
    """How long a run takes until it begins to write; it is killed then."""
    began = time.monotonic()
    process = _start(video, store, settings)
    while not store.exists() and process.poll() is None:
        time.sleep(0.01)
    seconds = time.monotonic() - began
    process.kill()
    process.communicate()
    return seconds


def _wait(process: subprocess.Popen, seconds: float) -> None:
    """Sleep, unless the process ends before."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _wait_for_commit(process: subprocess.Popen, store: Path) -> None:
    journal, unfinished = journal_of(store), unfinished_journal_of(store)
    while process.poll() is None and not (unfinished.exists() or journal.exists()):
        pass


def _processes(session: int) -> list[int]:
    """The processes of a session that are not zombies."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state, _, _, its_session = (folder / "stat").read_text().rpartition(") ")[2].split()[:4]
            except OSError:  # it has ended
                continue
            if int(its_session) == session and state != "Z":
                found.append(int(folder.name))
    return found


def _is_tracker(pid: int) -> bool:
    try:
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], epilog="Other options are those of precompute."
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--victim", choices=("main", "worker"), default="main")
    parser.add_argument(
        "--reach",
        type=float,
        default=0.3,
        help="the latest moment of a kill, as a share of the undisturbed run's work (default: %(default)g)",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="for the stores (default: that of temporary files)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
