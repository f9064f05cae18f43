"""The stacked hourglass (Newell et al., ECCV 2016) with dense-pose outputs (Slim DensePose, 5.1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slimdp.config import ModelSettings, ModelSpec
from slimdp.config.base import Wanted, within
from slimdp.models.heads import convolution, float_images, keypoints_layer, maps_layer, output_channels
from slimdp.models.model import DensePoseModel
from slimdp.structures import DensePoseMaps, ModelOutput, PoseBatch
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE

_Channels = Wanted(
    "a multiple of 4, at least 8", lambda n: n >= 8 and n % 4 == 0, {"minimum": 8, "multipleOf": 4}
)
#: Times that an hourglass halves its map (Newell et al., 3.1: from 64 px down to 4 px).
DEPTH = 4
#: The features of a stack that can be asked for (Slim DensePose, table 7): what each is, its channels and
#: its side for crops of S px. The paper names the two ends alone (level 4 is the output of each stack, level
#: 0 the first layer) and worked best with the features before the output layers (3.2.2): level 3 here. Its
#: rows "4, segm." and "4, UV" are parts of level 4.
FEATURES = {
    "level_0": "what enters the stack: from the stem, or from the stack before (features, S / 4)",
    "level_1": "what the smaller scales of the hourglass found, before it is enlarged (features, S / 8)",
    "level_2": "the end of the hourglass, all scales added (features, S / 4)",
    "level_3": "the features before the output layers (features, S / 4)",
    "level_4": "the output: part scores, u, v, coarse part scores (S / 4)",
    "segmentation": "the part scores of the output (1 + parts, S / 4)",
    "uv": "u and v of the output (2 parts, S / 4)",
}
#: The maps are a quarter as wide as the crop, and halve DEPTH times; equivariance worked best at level 3.
SPEC = ModelSpec(stride=4, size_multiple=4 * 2**DEPTH, features=tuple(dict.fromkeys(["level_3", *FEATURES])))
#: What comes before the stacks, in stacks: 1, 2, 3 and 6 took 44, 70, 100 and 207 ms (64 px, one core).
_STEM_STACKS = 0.4


class HourglassSettings(ModelSettings):
    """The stacked hourglass."""

    STAGES: ClassVar[str | None] = "stacks"

    name: Literal["hourglass"] = "hourglass"
    stacks: Annotated[int, within(1, 16)] = 2
    features: Annotated[int, _Channels] = 256  # channels

    @property
    def spec(self) -> ModelSpec:
        return SPEC

    @property
    def cost(self) -> float:
        return self.features / 64 * (_STEM_STACKS + self.stacks) / (_STEM_STACKS + 1)

    def build(self, layout: PartLayout) -> StackedHourglass:
        return StackedHourglass(self.stacks, self.features, self.keypoints, layout)


class Residual(nn.Module):
    """Pre-activation bottleneck: 1x1 to half the width, 3x3, 1x1 back (Newell et al., figure 4, left).

    (B, inputs, h, w) -> (B, outputs, h, w).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = outputs // 2
        # A convolution before a batch norm needs no bias: the norm would take it away.
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), convolution(inputs, middle, 1, bias=False),
            nn.BatchNorm2d(middle), nn.ReLU(inplace=True), convolution(middle, middle, 3, bias=False),
            nn.BatchNorm2d(middle), nn.ReLU(inplace=True), convolution(middle, outputs, 1),
        )  # fmt: skip
        self.skip = nn.Identity() if inputs == outputs else convolution(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.body(x)


class Hourglass(nn.Module):
    """Halve the map `depth` times and come back, adding what each scale saw (Newell et al., figure 3).

    (B, features, h, w) -> the same shape; h and w are multiples of 2 ** depth.
    """

    def __init__(self, depth: int, features: int) -> None:
        super().__init__()
        self.same_scale = Residual(features, features)
        self.down = Residual(features, features)
        self.inner = Hourglass(depth - 1, features) if depth > 1 else Residual(features, features)
        self.up = Residual(features, features)

    def forward(self, x: Tensor) -> Tensor:
        return self.merge(x, self.smaller(x))

    def smaller(self, x: Tensor) -> Tensor:
        """What the smaller scales found: (B, features, h / 2, w / 2)."""
        return self.up(self.inner(self.down(F.max_pool2d(x, 2))))

    def merge(self, x: Tensor, smaller: Tensor) -> Tensor:
        """Add that to what this scale sees."""
        return self.same_scale(x) + F.interpolate(smaller, scale_factor=2.0, mode="nearest")


class Stack(nn.Module):
    """One hourglass and its outputs: maps of channels as of `output_channels`, heat maps of keypoints."""

    def __init__(self, features: int, outputs: tuple[int, int, int, int], keypoints: int = 0) -> None:
        super().__init__()
        self.hourglass = nn.Sequential(Hourglass(DEPTH, features), Residual(features, features))
        self.to_features = nn.Sequential(
            convolution(features, features, 1, bias=False), nn.BatchNorm2d(features), nn.ReLU(inplace=True)
        )
        self.to_maps = maps_layer(features, outputs)
        self.to_keypoints = keypoints_layer(features, keypoints)

    def forward(self, x: Tensor) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """(B, features, h, w) -> the levels 0..4 of `FEATURES`, the heat maps (B, K, h, w) if there are."""
        hourglass, residual = self.hourglass
        assert isinstance(hourglass, Hourglass)
        smaller = hourglass.smaller(x)
        whole = hourglass.merge(x, smaller)
        features = self.to_features(residual(whole))
        heat = None if self.to_keypoints is None else self.to_keypoints(features)
        return (x, smaller, whole, features, self.to_maps(features)), heat


class Stacks(nn.Module):
    """Hourglasses one after another, each correcting the one before it, each with outputs of its own.

    What one finds, its features and its maps, goes back into what the next one sees (Newell et al., figure 4,
    right).

    Args:
        stacks: number of hourglasses.
        features: channels throughout.
        outputs: channels of the maps, as `output_channels` gives them.
        keypoints: number of heat maps.
        corrects: whether the first one, too, corrects something: the maps of another head.
        stem: what makes features of pictures, where that is theirs to do.
    """

    def __init__(
        self,
        stacks: int,
        features: int,
        outputs: tuple[int, int, int, int],
        keypoints: int = 0,
        corrects: bool = False,
        stem: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.maps_channels, self.corrects = outputs, corrects
        if stem is not None:
            self.stem = stem
        self.stacks = nn.ModuleList(Stack(features, outputs, keypoints) for _ in range(stacks))

        def returns(channels: int) -> nn.ModuleList:
            return nn.ModuleList(
                convolution(channels, features, 1) for _ in range(stacks if corrects else stacks - 1)
            )

        self.return_features = returns(features)
        self.return_maps = returns(sum(outputs))
        self.return_keypoints = returns(keypoints) if keypoints else None

    def run(
        self, x: Tensor, before: tuple[Tensor, Tensor, Tensor | None] | None = None
    ) -> list[tuple[tuple[Tensor, ...], DensePoseMaps]]:
        """The levels of `FEATURES` and the maps of each stack.

        Args:
            x: (B, features, h, w), h and w multiples of 2 ** `DEPTH`.
            before: what the first one corrects: features, maps and heat maps on the same raster; of the
                kind that `corrects`.
        """
        found = []
        for i, stack in enumerate(self.stacks):
            if before is not None:
                x = self._with_returned(x, i if self.corrects else i - 1, *before)
            levels, heat = stack(x)
            before = (*levels[3:], heat)
            fine_segm, u, v, coarse_segm = levels[4].split(self.maps_channels, dim=1)
            found.append((levels, DensePoseMaps(fine_segm, u, v, coarse_segm, heat)))
        return found

    def _with_returned(
        self, x: Tensor, which: int, features: Tensor, maps: Tensor, heat: Tensor | None
    ) -> Tensor:
        x = x + self.return_features[which](features) + self.return_maps[which](maps)
        if heat is not None and self.return_keypoints is not None:
            x = x + self.return_keypoints[which](heat)
        return x


class StackedHourglass(Stacks, DensePoseModel):
    """A stem and `Stacks`.

    With 256 features and no heat maps it has 3.4 M parameters for one stack, 6.6 M for two, 25.7 M for
    eight.

    Args:
        stacks: number of hourglasses; Slim DensePose compares 1 to 8.
        features: channels throughout, a multiple of 4; 256 in the papers.
        keypoints: names of the heat maps, in the order of their channels.
        layout: the parts of the surface.
    """

    FOLDS = True

    def __init__(
        self, stacks: int, features: int, keypoints: Sequence[str] = (), layout: PartLayout = PEOPLE
    ) -> None:
        if stacks < 1 or features < 4 or features % 4:
            raise ValueError(
                f"stacks = {stacks}, features = {features}: wanted at least one stack and a multiple of 4"
            )
        first = features // 4
        stem = nn.Sequential(
            convolution(3, first, 7, stride=2, bias=False), nn.BatchNorm2d(first), nn.ReLU(inplace=True),
            Residual(first, features // 2),
            nn.MaxPool2d(2),
            Residual(features // 2, features // 2),
            Residual(features // 2, features),
        )  # fmt: skip
        super().__init__(stacks, features, output_channels(layout), len(keypoints), stem=stem)
        self.spec, self.keypoints, self.layout = SPEC, tuple(keypoints), layout

    def forward(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        """Predict from crops, a stage a stack, maps S / 4 wide; raises ValueError for images of other shapes.

        Args:
            batch: its images alone are looked at: (B, 3, S, S) RGB, float in 0..1 or uint8, S a multiple
                of 64.
            features: names of `FEATURES` to give of each stack. They are computed in any case; to ask for
                them keeps them in memory.
        """
        image = float_images(batch.images, SPEC.size_multiple, next(self.parameters()).dtype)
        # A picture's values have a mean near 0.5 and a deviation near 0.25: bring them to 0 and 1.
        found = self.run(self.stem((image - 0.5) / 0.25))
        asked = tuple({name: _feature(name, levels, maps) for name in features} for levels, maps in found)
        return ModelOutput(tuple(maps for _, maps in found), asked)


def _feature(name: str, levels: Sequence[Tensor], maps: DensePoseMaps) -> Tensor:
    """What a name of `FEATURES` means at one stack."""
    if name == "segmentation":
        return maps.fine_segm
    if name == "uv":
        return torch.cat([maps.u, maps.v], dim=1)
    return levels[int(name.removeprefix("level_"))]
