"""Where a run stands, as plain integers and strings: an epoch, a number of samples, and what the order depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from equime_loader.arguments import check_kind
from equime_loader.order.epochs import Order

VERSION = 1  # of the order itself: another version would put the same samples in another order


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a run.

    epoch: from 0. samples: of this epoch, read by all ranks together (`Share.consumed`).
    """

    epoch: int = 0
    samples: int = 0

    def __post_init__(self) -> None:
        for name, value in (("epoch", self.epoch), ("samples", self.samples)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{name} must be an integer >= 0, got {value!r}")


def state_dict(order: Order, position: Position) -> dict[str, str | int]:
    """A position and what its order depends on, ready for JSON.

    It holds neither ranks nor workers nor batch size. Resuming with `load_state_dict` and
    ``rank_share(…, start=position.samples)`` goes on at the exact next sample, nothing lost and nothing twice, if

    - all ranks had taken the same number of batches when `Position.samples` was counted, and used those batches:
      what a loader has read ahead does not count;
    - all ranks resume from one state;
    - all ranks resume with an equal number of ranks, batch size and ends, which may differ from those before.

    Raises:
        ValueError: the position lies beyond the end of an epoch.
    """
    if position.samples > len(order):
        raise ValueError(f"samples must be at most {len(order)}, the length of an epoch, got {position.samples}")
    return {"version": VERSION, "epoch": position.epoch, "samples": position.samples, **order.fingerprint}


def load_state_dict(order: Order, state: Mapping[str, Any]) -> Position:
    """The position that `state` holds, for the same order.

    Raises ValueError that names each field in which the state's order differs from `order`, or that is missing;
    TypeError where the state is no mapping.
    """
    check_kind("state", state, Mapping, "what state_dict() gave")
    wanted: dict[str, str | int] = {"version": VERSION, **order.fingerprint}
    if missing := [name for name in (*wanted, "epoch", "samples") if name not in state]:
        raise ValueError(f"the state lacks {', '.join(missing)}: it was not saved by this loader")
    changed = [f"{name} was {state[name]!r}, is {now!r}" for name, now in wanted.items() if state[name] != now]
    if changed:
        raise ValueError(
            f"the state belongs to another order: {'; '.join(changed)}. Load it with what it was saved with"
        )
    position = Position(epoch=state["epoch"], samples=state["samples"])
    if position.samples > len(order):
        raise ValueError(f"samples must be at most {len(order)}, the length of an epoch, got {position.samples}")
    return position
