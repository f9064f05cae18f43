from __future__ import annotations

from flow_cache.choices import ESTIMATOR_NAMES, FILTER_NAMES, FORMAT_NAMES
from flow_cache.estimators import ESTIMATORS
from flow_cache.exchange import FORMATS
from flow_cache.schema import FILTERS


def test_the_names_are_those_of_the_tables() -> None:
    assert tuple(ESTIMATORS) == ESTIMATOR_NAMES
    assert tuple(FORMATS) == FORMAT_NAMES
    assert tuple(FILTERS) == FILTER_NAMES
