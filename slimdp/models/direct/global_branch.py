"""The global IUV branch (Direct Dense Pose, 3.4): one map of dense pose for everybody in a picture."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slimdp.models.direct.normalise import Members
from slimdp.models.direct.residual_fcn import ResidualFcn
from slimdp.models.direct.sites import ActiveSites
from slimdp.models.regions import to_corners
from slimdp.structures import DensePoseMaps
from slimdp.surface.layout import PartLayout

#: Score of background where the convolutions do not look: the parts have 0 there.
_BACKGROUND = 10.0


class GlobalBranch(nn.Module):
    """Features of pictures, where people are, to scores of background and parts and u, v of each part.

    The paper counts 75 channels, u and v of background too; nothing teaches or reads those two, which are
    left out.

    Args:
        channels: of the features.
        layout: the parts of the surface.
        sparse: look at people alone; False: everywhere, by dense convolutions.
        instance_aware: normalise person by person; False: by batch norm.
    """

    def __init__(self, channels: int, layout: PartLayout, sparse: bool, instance_aware: bool) -> None:
        super().__init__()
        self.parts, self.sparse = len(layout.parts), sparse
        self.fcn = ResidualFcn(channels, instance_aware)
        self.to_maps = nn.Linear(channels, 1 + 3 * self.parts)
        with torch.no_grad():
            self.to_maps.bias[1 + self.parts :] = 0.5  # u and v start in the middle of their range
        members = torch.from_numpy(layout.coarse_of_part)
        self.register_buffer("coarse_of_part", members, persistent=False)
        self.coarse_parts = len(layout.coarse_parts)

    def forward(self, features: Tensor, masks: Tensor, image_index: Tensor) -> DensePoseMaps:
        """Maps of the raster of the features.

        Args:
            features: (B, channels, h, w).
            masks: (K, h, w) bool, of people, in `image_index` (K,) int64; their union is looked at, widened
                by one px, so that what is read between the pixels of a body's edge is of the body.
        """
        batch, _, height, width = features.shape
        widened = F.max_pool2d(masks[:, None].float(), 3, stride=1, padding=1)[:, 0] > 0
        if self.sparse:
            people = torch.zeros(batch, height, width, device=masks.device)
            sites = ActiveSites.of(people.index_add(0, image_index, widened.float()) > 0)
        else:
            sites = ActiveSites.everywhere((batch, height, width), masks.device)
        members = Members.of(widened, image_index, sites)
        values = self.to_maps(self.fcn(sites.gather(features), sites, members))
        elsewhere = values.new_zeros(values.shape[1])
        elsewhere[0] = _BACKGROUND
        maps = sites.scatter(values, elsewhere)
        fine_segm, u, v = maps.split([1 + self.parts, self.parts, self.parts], dim=1)
        return DensePoseMaps(fine_segm, u, v, self._coarse(fine_segm))

    def _coarse(self, fine_segm: Tensor) -> Tensor:
        """Scores (B, 1 + coarse, h, w): the likelihood of a coarse part is that of its parts together."""
        together = [
            fine_segm[:, self.coarse_of_part == number].logsumexp(1)
            for number in range(1 + self.coarse_parts)
        ]
        return torch.stack(together, dim=1)


def person_maps(
    maps: DensePoseMaps, dense_pose: Tensor, image_index: Tensor, window: Tensor, side: int,
    strides: tuple[int, int],
) -> DensePoseMaps:  # fmt: skip
    """The maps (D, ..., side, side) of D people over windows: the global ones within each mask.

    A pixel is as likely the person as by the dense-pose mask, and less where the global maps say background.

    Args:
        maps: of the pictures.
        dense_pose: (D, h, w) logits of each person's dense-pose mask.
        image_index: (D,) int64.
        window: (D, 4) x, y, width, height, px of the pictures.
        strides: px of the pictures to one of the maps and of the masks.
    """
    from torchvision.ops import roi_align

    corners = to_corners(window)

    def over_windows(values: Tensor, index: Tensor, stride: int) -> Tensor:
        rows = torch.cat([index[:, None].to(values.dtype), corners.to(values.dtype)], dim=1)
        found: Tensor = roi_align(values, rows, side, 1 / stride, sampling_ratio=1, aligned=True)
        return found

    everybody = torch.arange(len(window), device=window.device)
    person = over_windows(dense_pose[:, None], everybody, strides[1])
    whole = torch.cat([maps.fine_segm, maps.u, maps.v], dim=1)
    fine_segm, u, v = over_windows(whole, image_index, strides[0]).split(
        [maps.fine_segm.shape[1], maps.u.shape[1], maps.v.shape[1]], dim=1
    )
    parts = fine_segm[:, 1:].logsumexp(1, keepdim=True)
    odds = person + (parts - fine_segm[:, :1]).clamp(max=0)
    # Both kinds of scores are summed to one person's odds (`person_log_odds`): these here, and 0.
    fine_segm = torch.cat([parts, fine_segm[:, 1:]], dim=1)
    coarse_parts = maps.coarse_segm.shape[1] - 1
    even = torch.full_like(odds, -math.log(coarse_parts)).expand(-1, coarse_parts, -1, -1)
    found = DensePoseMaps(fine_segm, u, v, torch.cat([-odds, even], dim=1))
    # The layout in which maps are enlarged several times as fast.
    return found.map(lambda each: each.contiguous(memory_format=torch.channels_last))
