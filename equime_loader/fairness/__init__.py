"""Fairness: bias of a dataset, subsets that have less of it, and what a model does to each group."""
