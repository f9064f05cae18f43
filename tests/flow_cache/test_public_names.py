from __future__ import annotations

import sys
from types import ModuleType

import flow_cache
import flow_cache.precompute  # the module that is named like the function


def test_every_public_name_is_what_it_says_whatever_was_imported_before() -> None:
    for name in flow_cache.__all__:
        assert not isinstance(getattr(flow_cache, name), ModuleType), name
    assert isinstance(sys.modules["flow_cache.precompute"], ModuleType)
    assert callable(flow_cache.precompute)
