"""Annotation budgets: what fewer clicks of annotators would have left (Slim DensePose, 5.1 to 5.3)."""

from slimdp.data.budget.apply import apply_budget

__all__ = ["apply_budget"]
