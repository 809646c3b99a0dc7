"""The order in which samples are read: pure functions, no files, no state to lose.

`Order` says what an order depends on, `epoch_order` gives the samples of one epoch, `rank_share` the part of one rank
in batches, `state_dict` and `load_state_dict` stop and go on. Samples are positions within a selection, 0 … n - 1.
"""

from equime_loader.order.arrange import open_shards
from equime_loader.order.division import ENDS, Batch, Share, rank_share
from equime_loader.order.epochs import Order, epoch_order
from equime_loader.order.sampling import Balanced, Sampling, Uniform, Weighted
from equime_loader.order.state import Position, load_state_dict, state_dict

__all__ = [
    "ENDS",
    "Balanced",
    "Batch",
    "Order",
    "Position",
    "Sampling",
    "Share",
    "Uniform",
    "Weighted",
    "epoch_order",
    "load_state_dict",
    "open_shards",
    "rank_share",
    "state_dict",
]
