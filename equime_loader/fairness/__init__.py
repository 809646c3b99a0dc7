"""Fairness: bias of a dataset, subsets that have less of it, and what a model does to each group."""

from equime_loader.fairness.bias import BiasReport, bias_report
from equime_loader.fairness.counterfactuals import CounterfactualSets, counterfactuals
from equime_loader.fairness.performance import fairness_report
from equime_loader.fairness.predictions import Predictions, PredictionsFault, read_predictions
from equime_loader.fairness.report import FairnessReport
from equime_loader.fairness.subsets import BalancedSubset, balanced

__all__ = [
    "BalancedSubset",
    "BiasReport",
    "CounterfactualSets",
    "FairnessReport",
    "Predictions",
    "PredictionsFault",
    "balanced",
    "bias_report",
    "counterfactuals",
    "fairness_report",
    "read_predictions",
]
