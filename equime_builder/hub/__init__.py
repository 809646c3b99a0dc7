"""A dataset folder on the Hugging Face Hub: what goes there, how it is put there, and who is let in.

`gate` is the form of the card, `checks` what stands against a publication, `files` what it consists of, `client` the
Hub as this package asks it, `upload` how bytes come there, `release` the order of steps, `withdrawal` a folder without
a subject, `access` the requests of people.
"""
