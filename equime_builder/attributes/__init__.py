"""Attributes: apparent age, gender, race and expression of a portrait, as an estimator sees them.

`estimates` is the protocol, `deepface` the estimator, `running` runs one over many portraits once or reads a table in
its place, `agreement` compares them with what a source declares. Nobody is identified: labels say how a face appears to
whom.
"""
