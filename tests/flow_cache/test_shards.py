from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_cache.errors import FlowCacheError
from flow_cache.estimators import DenseInverseSearch
from flow_cache.precompute import precompute
from flow_cache.shards import assign_shards, plan_shards, shard_name
from flow_cache.video import VideoProbe

NAMES = st.text("abcdefgh", min_size=1, max_size=3)
WORK = st.dictionaries(NAMES, st.integers(1, 50), min_size=1)
FILES = st.sampled_from(["shard-1-of-2.h5", "shard-2-of-3.h5", "shard-3-of-3.h5", "mine.h5"])


def owners(plan: list[dict[str, tuple[str, ...]]]) -> dict[str, tuple[int, str]]:
    return {name: (job, file) for job, share in enumerate(plan) for file in share for name in share[file]}


@given(work=WORK, kept=st.dictionaries(NAMES, FILES), count=st.integers(1, 5))
def test_every_video_goes_to_one_job_and_stays_in_its_file(
    work: dict[str, int], kept: dict[str, str], count: int
) -> None:
    plan = plan_shards(work, kept, count)
    assert len(plan) == count
    assert sorted(name for share in plan for names in share.values() for name in names) == sorted(work)
    files = [file for share in plan for file in share]
    assert len(files) == len(set(files))  # no file has two writers
    for name, (job, file) in owners(plan).items():
        assert file == kept.get(name, shard_name(job + 1, count))
        if file in {shard_name(number, count) for number in range(1, count + 1)}:
            assert file == shard_name(job + 1, count)


@given(work=WORK, count=st.integers(1, 5))
def test_shares_are_balanced_whatever_the_order_and_stay_when_kept(work: dict[str, int], count: int) -> None:
    plan = plan_shards(work, {}, count)
    loads = [sum(work[name] for names in share.values() for name in names) for share in plan]
    # Whoever is given a video had the least work before.
    assert max(loads) - min(loads) <= max(work.values())
    assert owners(plan_shards(dict(reversed(work.items())), {}, count)) == owners(plan)
    kept = {name: file for name, (_, file) in owners(plan).items()}
    assert plan_shards(work, kept, count) == plan


def test_shares_by_hand() -> None:
    plan = plan_shards({"a": 5, "b": 9, "c": 4, "d": 4, "e": 3}, {}, 2)
    assert plan == [{"shard-1-of-2.h5": ("b", "d")}, {"shard-2-of-2.h5": ("a", "c", "e")}]
    # A file of another number of jobs goes to one job as a whole, before new videos are shared out.
    plan = plan_shards({"a": 5, "b": 9, "c": 4}, {"a": "shard-1-of-1.h5", "c": "shard-1-of-1.h5"}, 2)
    assert plan == [{"shard-1-of-1.h5": ("a", "c")}, {"shard-2-of-2.h5": ("b",)}]


def glances(**frames: int) -> list[VideoProbe]:
    return [VideoProbe(Path("videos") / name, name, count, 100) for name, count in frames.items()]


def names(assigned: list[list]) -> list[list[tuple[str, list[str]]]]:
    return [[(shard.path.name, [v.name for v in shard.videos]) for shard in share] for share in assigned]


def test_a_longer_list_or_another_number_of_jobs_never_moves_a_video(tmp_path: Path) -> None:
    out = tmp_path / "flow"
    first = assign_shards(out, glances(a=5, b=9, c=4), 2)
    assert names(first) == [[("shard-1-of-2.h5", ["b"])], [("shard-2-of-2.h5", ["a", "c"])]]
    longer = assign_shards(out, glances(long=90, a=5, b=9, c=4), 2)
    assert names(longer) == [[("shard-1-of-2.h5", ["long", "b"])], [("shard-2-of-2.h5", ["a", "c"])]]
    three = assign_shards(out, glances(a=5, b=9, c=4, d=1), 3)
    assert names(three) == [
        [("shard-1-of-2.h5", ["b"])],
        [("shard-2-of-2.h5", ["a", "c"])],
        [("shard-3-of-3.h5", ["d"])],
    ]


def test_files_from_elsewhere_keep_their_videos(tmp_path: Path, make_folder: Callable[..., Path]) -> None:
    out = tmp_path / "flow"
    folder = make_folder()
    precompute([folder], out / "mine.h5", (1,), DenseInverseSearch("ultrafast"), progress=False)
    assigned = assign_shards(out, glances(walk=6, run=5), 2)
    assert names(assigned) == [[("mine.h5", ["walk"])], [("shard-2-of-2.h5", ["run"])]]
    # From then on it is known, and not opened again: a writer may be at it.
    (out / "mine.h5").write_bytes(b"")
    assert names(assign_shards(out, glances(walk=6, run=5), 2)) == names(assigned)
    (out / "jobs" / "shards.json").unlink()
    with pytest.raises(FlowCacheError, match=r"mine\.h5 is no HDF5 file"):
        assign_shards(out, glances(walk=6, run=5), 2)


def test_bad_folders_and_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        FlowCacheError, match=r"videos of one name: videos/a, other/a; write them to different"
    ):
        assign_shards(tmp_path, [*glances(a=3), VideoProbe(Path("other/a"), "a", 5, 100)], 2)
    with pytest.raises(
        FlowCacheError, match=r"flow\.h5: shards are files of a folder; name a folder, such as"
    ):
        assign_shards(tmp_path / "flow.h5", glances(a=3), 2)
    (tmp_path / "file").touch()
    with pytest.raises(FlowCacheError, match="name a folder"):
        assign_shards(tmp_path / "file", glances(a=3), 2)
    shutil.rmtree(tmp_path)
    assert names(assign_shards(tmp_path, glances(a=3), 2)) == [[("shard-1-of-2.h5", ["a"])], []]
