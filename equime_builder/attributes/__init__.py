"""Attributes: apparent age, gender, race and expression of a portrait, as an estimator sees them.

`estimates` is the protocol, `deepface` and `tabled` are the estimators, `running` runs one over many portraits once,
`agreement` compares them with what a source declares. Nobody is identified: labels say how a face appears to whom.
"""
