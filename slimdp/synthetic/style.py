"""What makes a rendered world hard: for the network, and for optical flow."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class SceneStyle:
    """The difficulty of scenes, all of it in one place."""

    tempo: float = 1.0  # people move and turn this many times as fast
    patterned: float = 0.7  # share of garments with stripes, checks, dots or a print
    objects: tuple[int, int] = (8, 30)  # in a place: the fewest, and one over the most
    people: tuple[float, ...] = (0.6, 0.25, 0.1, 0.05)  # shares of scenes with one, two, three, ... people
    passers_by: float = 0.3  # of the scenes with several people, this share has one walk by in front
    occluders: float = 0.35  # share of scenes where things stand or move before people
    moving_camera: float = 0.7  # share of clips whose camera moves
    pictures: float = 0.7  # share of scenes before a user's picture, if there are any
    recorded: float = 0.7  # share of people who move as a user's recordings, if there are any
    shadows: bool = True
    shutter: float = 0.5  # longest share of the time between frames that it is open: motion blur
    defocus: float = 0.4  # share of scenes where what is far from the people is blurred
    noise: float = 1.0  # of the sensor: 1 is that of a telephone indoors

    def __post_init__(self) -> None:
        low, high = self.objects
        if not (self.tempo >= 0 and 0 <= self.patterned <= 1 and 0 <= low < high):
            raise ValueError(f"{self}: wanted tempo >= 0, patterned in 0..1, objects with 0 <= low < high")
        shares = ("passers_by", "occluders", "moving_camera", "pictures", "recorded", "shutter", "defocus")
        for name in (field.name for field in fields(self) if field.name in shares):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}, but a share in 0..1 is wanted")
        if not (
            1 <= len(self.people) <= 10 and min(self.people) >= 0 and abs(sum(self.people) - 1) < 1e-6
        ):  # ids leave room for ten people in a picture
            raise ValueError(
                f"people = {self.people}, but shares of scenes with one to ten people, sum 1, are wanted"
            )
        if not self.noise >= 0:
            raise ValueError(f"noise = {self.noise}, but 0 or more is wanted")
