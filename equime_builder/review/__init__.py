"""Expert review: people watch a sample of clips in slow motion and judge them; what they say is kept and compared.

sample.py      which clips, in which order for whom
judgments.py  what a judgment is, and the checks at the door
store.py       where judgments are kept: SQLite, one file, append-only
opening.py     beginning a review, or going on with one
clips.py       what a reviewer is shown of a clip, blind or open
server.py      the local page behind HTTP; `page/` holds its HTML, CSS and JavaScript
agreement.py   how far reviewers agree, and with the label
consensus.py   one verdict per clip, the columns of the index, the exported table
report.py      tables of it all
"""
