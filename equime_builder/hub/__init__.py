"""A dataset folder on the Hugging Face Hub: what goes there, how it is put there, and who is let in.

Before: `gate` is the form of the card, `checks` what stands against a publication, `files` what it consists of, `words`
the lists that checks compare with. `editing` makes a folder without some subjects, clips or names, out of
`edited_shards`; `people` tells who is who in a plan.

On the way: `client` is the Hub as its owner asks it, `state` what lies there now, `doors` who sees it, `upload` how
bytes come there, `pulls` the pull request that they wait in, `release` the order of steps, `erasing` the end of earlier
versions.

Afterwards: `access` is the requests of people.
"""
