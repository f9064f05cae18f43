"""From nothing to a measured model of one's own videos, on rendered people: everything once."""

from slimdp.quickstart.run import SETTINGS, QuickstartResult, quickstart

__all__ = ["SETTINGS", "QuickstartResult", "quickstart"]
