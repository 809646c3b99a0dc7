"""Curation: every portrait is scored once, and subjects are chosen by thresholds and by requested marginals.

`thresholds` says what is asked for (a profile's section), `measures` and `scores` measure a picture and say why it
cannot be taken, `scoring` does so for many files, `choosing` picks subjects, `survey` puts it together, `table` is what
stays. `running` is the work of `equime curate`, `store` its folder, `sheet` its picture.
"""
