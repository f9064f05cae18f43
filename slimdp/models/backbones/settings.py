"""Settings of networks that stand on a backbone."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator
from typing_extensions import Self

from slimdp.config import ConfigError, ModelSettings
from slimdp.config.base import require
from slimdp.models.backbones.backbone import Backbone
from slimdp.models.backbones.weights import load_weights
from slimdp.registry import lookup


class BackboneSettings(ModelSettings):
    """Which backbone, and what it begins with; a network of these settings has it as `backbone`."""

    BACKBONE_STRIDE: ClassVar[int] = 32  # of the coarsest features

    backbone: str = (
        "resnet18"  # that it stands on; or resnet34, resnet50, resnet101, efficientnet_lite0, blazepose
    )
    # That the backbone begins with: none (drawn at random), a name that it has (docs/networks.md), or a file.
    weights: str = "none"

    @property
    def backbone_kind(self) -> type[Backbone]:
        """The class of the backbone."""
        return lookup("slimdp.backbones", self.backbone, "backbone")  # type: ignore[no-any-return]

    @model_validator(mode="after")
    def _check_backbone(self) -> Self:
        able = self.BACKBONE_STRIDE in self.backbone_kind.STRIDES
        require(able, "backbone", self.backbone, f"one of stride {self.BACKBONE_STRIDE}")
        return self

    def load_pretrained(self, model: Any) -> str | None:
        if self.weights == "none":
            return None
        try:
            digest = load_weights(model.backbone, self.weights)
        except ConfigError as error:
            raise ConfigError(f"weights = {self.weights!r}: {error}") from error
        return f"{self.backbone}, {self.weights}, sha256 {digest}"
