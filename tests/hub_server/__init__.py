"""A small Hub on loopback that the real `huggingface_hub` and `datasets` talk to.

`state` is what a Hub knows, `answers` what it says to whom, `server` the wire, with the faults that a test plans.
"""

from hub_server.server import DONE, HALF, LOST, LocalHub, serving_hub

__all__ = ["DONE", "HALF", "LOST", "LocalHub", "serving_hub"]
