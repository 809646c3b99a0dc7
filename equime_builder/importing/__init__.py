"""Importing: a corpus as its copy holds it, to a dataset folder like those that are built.

cuts       which frames of a recording become an event's clip
plan       every clip that will exist, and what was left out before any frame is decoded
pictures   picture files and videos to frames for the encoder
labels     what the schema says of an event
shard      the clips of one shard, written and committed
origin     the plan's files, and what finishing and verifying ask of an imported folder
card       card and terms
run        plan, shards, finish; and mending
"""
