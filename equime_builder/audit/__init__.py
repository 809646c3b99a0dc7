"""The audit: what a finished, encoded clip shows, against what its label claims.

`claim` says what is claimed, `thresholds` where the line runs, `auditor` looks at a clip, `verdict` judges. In between,
all pure: `footage` (frames), `motion` (what moved, when), `timing` (onset, apex, offset of a curve), `features` and
`responses` (which AUs answered), `regions` (where they show), `pose` (the head), `identity` (whose face).
"""
