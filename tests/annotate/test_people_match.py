"""Who is who in two frames: by the track, else by the box, and never two who are known to be two."""

from __future__ import annotations

import numpy as np
import pytest

from slimdp.annotate.people_match import Located, match_people

LEFT, RIGHT = (40, 10, 35, 180), (100, 10, 35, 180)


def at(track: int | None, box: tuple[int, ...] = LEFT, dx: float = 0) -> Located:
    return Located(track, np.array(box, dtype=np.float64) + [dx, 0, 0, 0])


@pytest.mark.parametrize("tracks", [(None, None), (None, 5), (3, None), (3, 5)])
def test_who_has_no_common_track_is_known_by_the_box(tracks: tuple[int | None, int | None]) -> None:
    track_0, track_1 = tracks
    pictures = [{track} for track in tracks if track is not None]
    assert match_people([at(track_0)], [at(None, RIGHT), at(track_1, dx=5)], pictures) == [1]
    assert match_people([at(track_0)], [at(track_1, RIGHT)], pictures) == [None]
    assert match_people([at(track_0)], [], []) == [None]


def test_two_people_who_are_near_get_the_boxes_that_fit_best() -> None:
    people_0 = [at(None), at(None, dx=8)]
    assert match_people(people_0, [at(None, dx=7), at(None, dx=1)], []) == [1, 0]
    # One box alone is of the second, and the first finds nobody.
    assert match_people(people_0, [at(None, dx=7)], []) == [None, 0]


def test_a_track_is_believed_wherever_the_box_is() -> None:
    assert match_people([at(3)], [at(None), at(3, RIGHT)], []) == [1]
    assert match_people([at(3), at(None)], [at(3, dx=3)], []) == [0, None]


def test_tracks_that_one_picture_shows_are_of_two_people() -> None:
    assert match_people([at(3)], [at(5)], [{3}, {5}]) == [0]
    assert match_people([at(3)], [at(5)], [{3}, {5}, {3, 5}]) == [None]
    # The track of somebody else in frame 0.
    assert match_people([at(None), at(5, RIGHT)], [at(5)], []) == [None, 0]
