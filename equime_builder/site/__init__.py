"""The page of a dataset, for people: clips that play slowed down beside their AU curves, figures, access, terms.

choice.py    which clips may be shown, and which of them are
clips.py     what the page holds of a clip: a still, a video, labels and curves
figures.py   composition, quality and verdicts, as numbers
markup.py    numbers and words as HTML in which no word is markup
document.py  the whole page; `page/` holds its frame, style and scripts
folder.py    the folder that is written
"""
