"""How fast sets are rendered, and where the time goes.

    python tools/render_speed.py --clips 8 --frames 8 --processes 2

Renders clips with all labels on every frame and the exact flow of all steps, as `slimdp synthesize` does,
into a temporary folder: once with the processes asked for, for the speed, and fewer clips once more in this
process under the profiler, for the shares. A person-frame is a person who is seen well enough to be labelled,
in a frame. The body is built before the clock starts; starting the processes counts, so that many clips look
better than few. Prints one JSON line last.
"""

from __future__ import annotations

import cProfile
import pstats
import resource
import sys
import tempfile
import time
from pathlib import Path

from measuring import make_parser, tell

from slimdp.data import read_annotations
from slimdp.surface import load_surface
from slimdp.synthetic.dataset import SetPlan, synthesize

#: What a file of the project works on; a folder stands for its files, and functions for themselves.
WORK = {
    "stage.py:blocked": "shadows",
    "stage.py:cast": "casting",
    **dict.fromkeys(["makehuman.py", "open_body.py"], "making people"),
    **dict.fromkeys(["scene.py", "world.py", "objects.py", "assets.py", "presets.py"], "setting the scene"),
    **dict.fromkeys(["motion", "person.py"], "posing"),
    **dict.fromkeys(["looks"], "colours of people"),
    **dict.fromkeys(["textures.py", "stage.py", "render.py", "camera.py"], "shading"),
    **dict.fromkeys(["photograph.py"], "photograph"),
    **dict.fromkeys(["exact_flow.py"], "flow"),
    **dict.fromkeys(["labels.py", "body.py", "box_frame.py", "rle.py"], "labels"),
    **dict.fromkeys(["flow_cache", "data", "dataset.py", "items.py", "atomic.py"], "writing"),
}
ROOT = Path(__file__).resolve().parents[1]
Function = tuple[str, int, str]  # file, line, name: as the profiler calls it


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=8, help="of a clip")
    parser.add_argument("--size", type=int, default=256, help="px")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    load_surface("open")
    speed = _speed(options.clips, options.frames, options.size, options.processes, options.seed)
    shares = _shares(max(options.clips // 2, 1), options.frames, options.size, options.seed)
    for work, share in sorted(shares.items(), key=lambda item: -item[1]):
        print(f"{100 * share:5.1f} %  {work}")
    tell({**speed, "shares": {work: round(share, 3) for work, share in shares.items()}})
    return 0


def _render(folder: Path, clips: int, frames: int, size: int, processes: int, seed: int) -> int:
    """Render clips with everything; returns the person-frames."""
    plan = SetPlan(
        stills=0,
        train_clips=clips,
        val_clips=0,
        frames=frames,
        labelled=tuple(range(frames)),
        val_frames=1,
        val_labelled=(0,),
        size=size,
    )
    synthesize(folder / "set", plan, seed, processes, quiet=True)
    return len(read_annotations(folder / "set" / "clips_train.json", folder / "set").people)


def _speed(clips: int, frames: int, size: int, processes: int, seed: int) -> dict[str, float]:
    used = [resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN]
    before = sum(resource.getrusage(who).ru_utime for who in used)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        seen = _render(Path(folder), clips, frames, size, processes, seed)
        seconds = time.perf_counter() - start
    cpu = sum(resource.getrusage(who).ru_utime for who in used) - before
    return {
        "size": size,
        "processes": processes,
        "frames": clips * frames,
        "person_frames": seen,
        "seconds": round(seconds, 2),
        "person_frames_a_second": round(seen / seconds, 2),
        "user_cpu_ms_a_person_frame": round(1000 * cpu / max(seen, 1), 1),
        "user_cpu_ms_a_frame": round(1000 * cpu / (clips * frames), 1),
    }


def _shares(clips: int, frames: int, size: int, seed: int) -> dict[str, float]:
    """Shares of the time by work; what libraries take counts for who called them."""
    profile = cProfile.Profile(time.process_time)
    with tempfile.TemporaryDirectory() as folder:
        profile.runcall(_render, Path(folder), clips, frames, size, 1, seed)
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    total: dict[str, float] = {}
    for function, (_, _, own, _, callers) in stats.items():
        for work, seconds in _owners(stats, function, own, callers, depth=0).items():
            total[work] = total.get(work, 0.0) + seconds
    everything = sum(total.values())
    return {work: seconds / everything for work, seconds in total.items()}


def _owners(stats: dict, function: Function, seconds: float, callers: dict, depth: int) -> dict[str, float]:
    """Who of the project a function's own seconds belong to: itself, or whoever called a library."""
    work = _work_of(function)
    if work is not None or not callers or depth > 12:
        return {work or "other": seconds}
    whole = sum(edge[3] for edge in callers.values()) or 1.0
    shared: dict[str, float] = {}
    for caller, edge in callers.items():
        up = _owners(stats, caller, seconds * edge[3] / whole, stats[caller][4], depth + 1)
        for work, part in up.items():
            shared[work] = shared.get(work, 0.0) + part
    return shared


def _work_of(function: Function) -> str | None:
    path, name = Path(function[0]), function[2]
    if not path.is_relative_to(ROOT) or path == Path(__file__).resolve():
        return None
    for key in (f"{path.name}:{name}", path.name, path.parent.name):
        if key in WORK:
            return WORK[key]
    return f"other ({path.parent.name}/{path.name})"


if __name__ == "__main__":
    sys.exit(main())
