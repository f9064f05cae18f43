"""The sparse residual FCN of the global IUV branch (Direct Dense Pose, 3.4, figure 3)."""

from __future__ import annotations

from torch import Tensor, nn

from slimdp.models.direct.normalise import InstanceAwareNorm, Members, SiteBatchNorm
from slimdp.models.direct.sites import ActiveSites, SiteConv

BLOCKS = 3


class SubBlock(nn.Module):
    """A convolution over active sites, a normalisation and a ReLU.

    Args:
        inputs, outputs: channels.
        instance_aware: statistics a person; False: batch norm over all sites.
    """

    def __init__(self, inputs: int, outputs: int, instance_aware: bool) -> None:
        super().__init__()
        self.conv = SiteConv(inputs, outputs)
        self.norm = (InstanceAwareNorm if instance_aware else SiteBatchNorm)(outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, values: Tensor, sites: ActiveSites, members: Members) -> Tensor:
        """(N, inputs) at the sites -> (N, outputs)."""
        result: Tensor = self.relu(self.norm(self.conv(values, sites), members))
        return result


class ResidualFcn(nn.Module):
    """Three residual blocks: two sub-blocks with a skip, and behind all but the last block a third one.

    Args:
        channels: of what comes in and goes out.
        instance_aware: as of `SubBlock`.
    """

    def __init__(self, channels: int, instance_aware: bool = True) -> None:
        super().__init__()

        def sub_block() -> SubBlock:
            return SubBlock(channels, channels, instance_aware)

        self.firsts = nn.ModuleList(sub_block() for _ in range(BLOCKS))
        self.seconds = nn.ModuleList(sub_block() for _ in range(BLOCKS))
        self.thirds = nn.ModuleList(sub_block() for _ in range(BLOCKS - 1))

    def forward(self, values: Tensor, sites: ActiveSites, members: Members) -> Tensor:
        """(N, channels) at the sites -> (N, channels)."""
        for block, (first, second) in enumerate(zip(self.firsts, self.seconds)):
            values = values + second(first(values, sites, members), sites, members)
            if block < len(self.thirds):
                values = self.thirds[block](values, sites, members)
        return values
