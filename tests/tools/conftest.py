"""The small data set and run of the training tests."""

from __future__ import annotations

from tests.training.conftest import ellipses, small_run  # noqa: F401
