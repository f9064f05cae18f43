"""What people look like: procedural clothes, skin, hair and shoes, on any surface of a body."""

from slimdp.synthetic.looks.cloth import PATTERNS, Cloth, random_colours
from slimdp.synthetic.looks.look import (
    Dressed,
    Look,
    clothed_skin,
    dress,
    moved_out,
    random_look,
    tailored_skin,
)

__all__ = [
    "PATTERNS", "Cloth", "Dressed", "Look", "clothed_skin", "dress", "moved_out", "random_colours",
    "random_look", "tailored_skin",
]  # fmt: skip
