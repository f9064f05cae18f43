from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath

import pytest

from flow_cache.__main__ import main
from flow_cache.errors import FlowCacheError
from flow_cache.store import FlowStore
from flow_cache.video import VideoSource, find_name, name_source, name_sources, open_video, video_name
from flow_cache.writer import FlowWriter

MakeFolder = Callable[..., Path]


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def names(*sources: Path | str | VideoSource, known: tuple[str, ...] = ()) -> list[str]:
    return [named.name for named in name_sources(sources, known)]


def test_a_video_is_called_by_its_folder_or_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = folder(tmp_path / "set/walk.v2")
    monkeypatch.chdir(walk)
    assert names(walk, "../../clip.one.mp4") == ["walk.v2", "clip.one"]
    assert [video_name(Path(name)) for name in (".", "../walk.v2", "..")] == ["walk.v2", "walk.v2", "set"]


def test_one_video_needs_no_list() -> None:
    for one in ("a/walk", Path("a/walk"), "gait=a/walk"):
        assert name_sources(one) == name_sources([one])


def test_a_link_is_called_as_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    for name in ("SEQ-02", "SEQ-04"):
        (tmp_path / "links" / name).symlink_to(folder(tmp_path / name / "img1"))
    assert names(tmp_path / "links/SEQ-02", tmp_path / "links/SEQ-04") == ["SEQ-02", "SEQ-04"]


def test_as_many_folders_as_tell_videos_apart_are_in_their_names(tmp_path: Path) -> None:
    a, b, c, d = (folder(tmp_path / name) for name in ("a/x/img1", "b/x/img1", "b/y/img1", "d"))
    assert names(a, c, d) == ["x/img1", "y/img1", "d"]
    assert names(a, b, c) == ["a/x/img1", "b/x/img1", "y/img1"]
    assert names(tmp_path / "a/cam.mp4", tmp_path / "b/cam.mp4") == ["a/cam", "b/cam"]
    assert names(a, VideoSource(c, "img1")) == ["x/img1", "img1"]


def test_a_name_that_a_store_has_is_kept(tmp_path: Path) -> None:
    a = folder(tmp_path / "SEQ-02/img1")
    assert names(a, known=("SEQ-02/img1", "SEQ-04/img1")) == ["SEQ-02/img1"]
    assert names(a, known=("img1",)) == ["img1"]
    assert names(a, known=("SEQ-04/img1",)) == ["img1"]


def test_a_user_may_name_a_video(tmp_path: Path) -> None:
    plain, odd = folder(tmp_path / "walk"), folder(tmp_path / "a=b")
    named = name_source(f"SEQ-02/x={plain}")
    assert (named.name, named.path, str(named)) == ("SEQ-02/x", plain, f"SEQ-02/x={plain}")
    assert str(name_source(plain)) == str(plain)
    assert name_source(odd).path == odd
    for wrong in ("..=walk", "a//b=walk", "/a=walk", "=walk", "a=", "a\n=walk", "a%2Fb=walk"):
        with pytest.raises(FlowCacheError, match="no NAME=PATH either: wanted a name such as"):
            name_source(wrong)


def test_what_only_a_user_can_tell_apart_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        FlowCacheError, match=r"two videos named .*cam'.*; name them: NAME_1=\S*mp4 NAME_2=\S*avi"
    ):
        names(tmp_path / "cam.mp4", tmp_path / "cam.avi")
    with pytest.raises(FlowCacheError, match="is given twice"):
        names(tmp_path / "walk", tmp_path / "walk")


def test_a_name_that_a_store_reads_otherwise_is_refused(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stores write a slash as %2F, and took such a folder's flow for that of a video walk/1."""
    walk, out = make_folder("walk%2F1", 3), tmp_path / "flow.h5"
    for given in (walk, VideoSource(walk, "walk%2F1")):
        with pytest.raises(FlowCacheError, match=r"list it as 'walk/1'; give it another name, NAME=\S*%2F1,"):
            name_sources([given])
    settings = ["--preset", "ultrafast", "--steps", "1", "--out", str(out)]
    assert main(["precompute", str(walk), *settings]) == 2
    assert "a flow store reads %2F in a name as a slash" in capsys.readouterr().err
    assert not out.exists()
    with FlowWriter(out) as writer, pytest.raises(FlowCacheError, match="list it as 'walk/1'"):
        writer.add_video(open_video(walk).record("dis", "{}", ""), (1,))
    for name in ("walk_1", "walk/1", "50%", "a%2fb"):
        assert main(["precompute", f"{name}={walk}", *settings]) == 0
    with FlowStore(out) as store:
        assert store.videos() == ("50%", "a%2fb", "walk/1", "walk_1")


def test_frames_are_found_by_the_end_of_their_path() -> None:
    held = ("img1", "SEQ-02/img1")
    assert find_name(held, PurePath("data/SEQ-02/img1")) == "SEQ-02/img1"
    assert find_name(held, PurePath("data/SEQ-04/img1")) == "img1"
    assert find_name(held, PurePath("data/img2")) is None


def test_two_folders_of_one_name_are_two_videos(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SEQ-02", "SEQ-04"):
        folder(tmp_path / name)
        make_folder(f"{name}/img1", 3)
    given = [str(tmp_path / name / "img1") for name in ("SEQ-02", "SEQ-04")]
    settings = ["--preset", "ultrafast", "--steps", "1"]
    assert main(["precompute", *given, *settings, "--out", str(tmp_path / "flow.h5")]) == 0
    with FlowStore(tmp_path / "flow.h5") as store:
        assert store.videos() == ("SEQ-02/img1", "SEQ-04/img1")
    capsys.readouterr()
    assert main(["precompute", given[1], *settings, "--out", str(tmp_path / "flow.h5")]) == 0
    assert "0 fields of SEQ-04/img1 estimated, 2 found" in capsys.readouterr().out
    for number, path in enumerate(given):
        out = tmp_path / "folder" / f"{number}.h5"
        assert main(["precompute", f"SEQ-{number}={path}", *settings, "--out", str(out)]) == 0
    with FlowStore(tmp_path / "folder") as store:
        assert store.videos() == ("SEQ-0", "SEQ-1")
