"""Rendering what was rendered before costs nothing in some of these tests."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from slimdp.surface import BodySurface
from slimdp.synthetic import items
from slimdp.synthetic.scene import Scene


def _remembering(make: Callable[..., Any]) -> Callable[..., Any]:
    """The same call with its generator in the same state gives the same object, and leaves the same state."""
    known: dict[str, tuple[Any, ...]] = {}

    def remembered(*arguments: Any) -> Any:
        (rng,) = (each for each in arguments if isinstance(each, np.random.Generator))
        key = repr([rng.bit_generator.state, *(_told_apart(each) for each in arguments if each is not rng)])
        if key not in known:
            # The arguments are kept, so that nothing else takes the place by which a scene is known.
            known[key] = make(*arguments), copy.deepcopy(rng.bit_generator.state), arguments
        result, rng.bit_generator.state, _ = known[key]
        return result

    return remembered


def _told_apart(argument: object) -> object:
    if isinstance(argument, BodySurface):
        return argument.name
    return id(argument) if isinstance(argument, Scene) else argument


@pytest.fixture(scope="module")
def remembered_scenes() -> Iterator[None]:
    """The scenes and frames of a module's sets are made once for each state of chance.

    That seed and item alone decide them is tested where nothing is remembered.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("random_scene", "render_frame"):
            patch.setattr(items, name, _remembering(getattr(items, name)))
        yield
