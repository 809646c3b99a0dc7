"""Curation: every portrait is scored once, and subjects are chosen by thresholds and by requested marginals.

`thresholds` says what is asked for (a profile's section), `scores` measures a picture and says why it cannot be
taken, `scoring` does so for many files, `choosing` picks subjects, `survey` puts it together, `table` is what stays.
"""
