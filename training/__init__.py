"""Baselines, protocols and reports: `python -m training --help`.

Runs from the checkout. Importing this package imports nothing heavy.
"""
