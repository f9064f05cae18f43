"""What makes a rendered world hard: for the network, and for optical flow."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from slimdp.config.base import Many, NotNegative, Settings, Share, Wanted

_Range = Annotated[
    tuple[int, int],
    Field(strict=False),
    Wanted("two numbers, 0 <= first < second", lambda ends: 0 <= ends[0] < ends[1]),
]
# Ids leave room for ten people in a picture.
_Shares = Annotated[
    Many[float],
    Wanted(
        "shares of scenes with one to ten people, sum 1",
        lambda shares: 1 <= len(shares) <= 10 and min(shares) >= 0 and abs(sum(shares) - 1) < 1e-6,
    ),
]


class SceneStyle(Settings):
    """The difficulty of scenes, all of it in one place."""

    tempo: NotNegative = 1.0  # people move and turn this many times as fast
    patterned: Share = 0.7  # share of garments with stripes, checks, dots or a print
    objects: _Range = (8, 30)  # in a place: the fewest, and one over the most
    people: _Shares = (0.6, 0.25, 0.1, 0.05)  # shares of scenes with one, two, three, ... people
    passers_by: Share = 0.3  # of the scenes with several people, this share has one walk by in front
    occluders: Share = 0.35  # share of scenes where things stand or move before people
    moving_camera: Share = 0.7  # share of clips whose camera moves
    pictures: Share = 0.7  # share of scenes before a user's picture, if there are any
    recorded: Share = 0.7  # share of people who move as a user's recordings, if there are any
    shadows: bool = True
    shutter: Share = 0.5  # longest share of the time between frames that it is open: motion blur
    defocus: Share = 0.4  # share of scenes where what is far from the people is blurred
    noise: NotNegative = 1.0  # of the sensor: 1 is that of a telephone indoors
