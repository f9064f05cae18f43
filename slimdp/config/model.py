"""What the settings of every network have, and what all that is not the network may know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from slimdp.config.base import Chosen, Many, Settings, Wanted

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ModelSpec:
    """What a network takes and gives."""

    stride: int  # px of the image to a px of the maps: map px m averages stride m .. stride (m + 1) - 1
    size_multiple: int  # of the image's sides, px: the coarsest map has one px for so many
    features: tuple[str, ...] = ()  # that can be asked for; losses that name none compare the first
    input: Literal["crop", "image"] = "crop"  # a person's crop, or a whole picture with the people in it
    detects: bool = False  # finds the people of pictures itself; without, their boxes must be given


_Names = Wanted(
    "names that differ, none of them empty", lambda names: all(names) and len(set(names)) == len(names)
)


class ModelSettings(Settings):
    """Settings of a network; a subclass stands beside each one, and in `slimdp.models.MODELS` by its name."""

    #: The key that counts the network's stages (stacks of an hourglass, steps of a cascade), if one does.
    STAGES: ClassVar[str | None] = None

    name: str
    # Names of the keypoints that get heat maps, e.g. [nose, left_knee, ...].
    keypoints: Annotated[Many[str], _Names] = ()

    @property
    def spec(self) -> ModelSpec:
        """What the network takes and gives."""
        raise NotImplementedError

    @property
    def reads_masks(self) -> bool:
        """Whether it learns from the outlines of people (`segmentation`), which take memory."""
        return False

    @property
    def cost(self) -> float:
        """Of training on one crop, about, relative to other networks' crops of the same size."""
        return 1.0

    def build(self, layout: Any) -> nn.Module:
        """The network itself, a `slimdp.models.DensePoseModel`, its weights drawn from torch's generator.

        Args:
            layout: a `slimdp.surface.layout.PartLayout`, the parts that it tells apart.
        """
        raise NotImplementedError

    def load_pretrained(self, model: Any) -> str | None:
        """Put weights that a training begins with into a network as it was built; returns what they are.

        None: it begins as built. It is asked once a run, and never by what reads a checkpoint. Raises
        ConfigError, beginning with the key, where they are not to be had or do not fit.
        """
        return None


MODEL = Chosen("slimdp.models", "hourglass")
