"""Dense pose of your own videos from a few labelled frames."""

from slimdp.fit.plan import FitSettings
from slimdp.fit.run import FitStopped, fit

__all__ = ["FitSettings", "FitStopped", "fit"]
