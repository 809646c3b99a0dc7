"""Fairness: bias of a dataset, subsets that have less of it, and what a model does to each group."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from equime_loader.fairness.bias import BiasReport, bias_report
from equime_loader.fairness.counterfactuals import CounterfactualSets, counterfactuals
from equime_loader.fairness.performance import fairness_report
from equime_loader.fairness.predictions import Predictions, PredictionsFault, read_predictions
from equime_loader.fairness.report import FairnessReport
from equime_loader.fairness.subsets import BalancedSubset, balanced

if TYPE_CHECKING:
    from equime_loader.fairness import plots as plots

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
    "plots",
    "read_predictions",
]


def __getattr__(name: str) -> Any:
    if name == "plots":  # with it comes matplotlib, which nothing else here needs
        return importlib.import_module("equime_loader.fairness.plots")
    raise AttributeError(f"module 'equime_loader.fairness' has no attribute {name!r}")
