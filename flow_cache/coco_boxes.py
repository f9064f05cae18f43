"""Which boxes and places of a COCO file can be: the one rule of both packages (docs/data.md)."""

#: Whatever a file says in px that lies farther out is a mistake: the largest pictures are a tenth as wide.
FARTHEST_PX = 1_000_000
#: A box that is narrower or lower has no extent, px.
LEAST_PX = 1e-3
