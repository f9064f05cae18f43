"""What people look like: procedural clothes, skin, hair and shoes, on any surface of a body."""

from slimdp.synthetic.looks.cloth import PATTERNS, Cloth, random_colours
from slimdp.synthetic.looks.look import (
    Dressed,
    Look,
    clothed_skin,
    dress,
    garment_thickness,
    random_look,
    surface_colour,
)
from slimdp.synthetic.looks.normal_offset import moved_out

__all__ = [
    "PATTERNS",
    "Cloth",
    "Dressed",
    "Look",
    "clothed_skin",
    "dress",
    "garment_thickness",
    "moved_out",
    "random_colours",
    "random_look",
    "surface_colour",
]
