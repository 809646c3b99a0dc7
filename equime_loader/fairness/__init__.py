"""Fairness: bias of a dataset, subsets that have less of it, and what a model does to each group."""

from equime_loader.fairness.counterfactuals import CounterfactualSets, counterfactuals
from equime_loader.fairness.subsets import BalancedSubset, balanced

__all__ = ["BalancedSubset", "CounterfactualSets", "balanced", "counterfactuals"]
