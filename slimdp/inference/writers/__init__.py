"""What a video's dense pose is written as: a writer a kind of output, by the name that `--write` takes."""

from __future__ import annotations

from slimdp.inference.video_records import OutputWriter
from slimdp.inference.writers.contours import draw_contours
from slimdp.inference.writers.error import draw_error
from slimdp.inference.writers.iuv_file import IuvFile
from slimdp.inference.writers.iuv_frames import IuvFrames
from slimdp.inference.writers.overlay import draw_overlay
from slimdp.inference.writers.palettes import ALPHA, Palette
from slimdp.inference.writers.people import PeopleFolder
from slimdp.inference.writers.picture_video import PictureVideo
from slimdp.inference.writers.results import ResultsJson
from slimdp.inference.writers.texture import TextureAtlases

#: Every writer by its name.
WRITERS: dict[str, OutputWriter] = {
    writer.name: writer
    for writer in (
        PictureVideo("overlay", draw_overlay),
        # As detectron2 draws its fine segmentation, u and v.
        PictureVideo("parts-viridis", Palette("part", "viridis", ALPHA).draw),
        PictureVideo("parts-parula", Palette("part", "parula", ALPHA).draw),
        PictureVideo("u", Palette("u", "parula", ALPHA).draw),
        PictureVideo("v", Palette("v", "parula", ALPHA).draw),
        # As MagicAnimate and those after it want them: pure colours, and those that vid2densepose makes.
        PictureVideo("parts-viridis-canvas", Palette("part", "viridis", 1, canvas=True).draw),
        PictureVideo("parts-parula-canvas", Palette("part", "parula", 1, canvas=True).draw),
        PictureVideo("vid2densepose", Palette("part", "viridis", ALPHA, canvas=True).draw),
        PictureVideo("contours", draw_contours),
        PictureVideo("error", draw_error),
        IuvFrames("iuv", "IUV"),
        IuvFrames("vui", "VUI"),  # as HDNet reads it
        IuvFile(),
        ResultsJson(),
        TextureAtlases(),
        PeopleFolder(),
    )
}

__all__ = ["WRITERS"]
