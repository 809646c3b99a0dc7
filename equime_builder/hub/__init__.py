"""A dataset folder on the Hugging Face Hub: what goes there, how it is put there, and who is let in.

`gate` is the form of the card, `checks` what stands against a publication, `editing` a folder without some subjects,
clips or names, `files` what a publication consists of, `client` the Hub as its owner asks it, `upload` how bytes come
there, `release` the order of steps, `access` the requests of people, `words` the lists that checks compare with.
"""
