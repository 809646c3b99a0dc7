"""Trying again: how often, how long after, and what is said when nothing helped."""

from __future__ import annotations

import email.utils
import logging
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TypeVar

import numpy as np

from equime_loader.arguments import check_kind
from equime_loader.storage.errors import Failure

_log = logging.getLogger("equime_loader.storage")
_Answer = TypeVar("_Answer")

# Answers that another attempt may change: too many requests, a server or a gateway in trouble, a slow request.
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Retries:
    """How a store deals with a server in trouble.

    The waits grow from `first_delay_s` by `factor` up to `longest_delay_s`; each is shortened by a random share of at
    most `jitter`, so that many workers do not come back at once. A server that names a time (``Retry-After``) is left
    alone for that long, but never for longer than `longest_delay_s`. Answers 401, 403 and 404 are final.

    Attributes:
        attempts: requests for one range, the first included, 1-100.
        first_delay_s, longest_delay_s: seconds.
        factor: at least 1.
        jitter: 0 (none) to 1.
        timeout_s: seconds without a byte after which an attempt is given up. An answer that drips is given up, too:
            a whole attempt may take `timeout_s` and a second for every 16 KiB.
        seed: of the jitter.

    Raises:
        TypeError: something else than numbers. ValueError: one out of its bounds.
    """

    attempts: int = 7
    first_delay_s: float = 0.5
    factor: float = 2.0
    longest_delay_s: float = 60.0
    jitter: float = 0.5
    timeout_s: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        bounds = {
            "attempts": (1, 100),
            "first_delay_s": (0, 3600),
            "factor": (1, 100),
            "longest_delay_s": (0, 3600),
            "jitter": (0, 1),
            "timeout_s": (0.001, 3600),
            "seed": (0, 2**63),
        }
        for name, (low, high) in bounds.items():
            whole = name in ("attempts", "seed")
            value = getattr(self, name)
            check_kind(name, value, Integral if whole else Real, "a whole number" if whole else "a number")
            if not low <= value <= high:
                raise ValueError(f"{name}={value} must lie within {low}..{high}")

    def delays(self, what: str) -> Iterator[float]:
        """Seconds before the second, third … attempt; `what` sets the jitter of one range apart from another's."""
        rng = np.random.default_rng([self.seed, zlib.crc32(what.encode())])
        delay = self.first_delay_s
        for _ in range(self.attempts - 1):
            delay = min(delay, self.longest_delay_s)
            yield delay * (1 - self.jitter * float(rng.random()))
            delay *= self.factor


def persist(
    attempt: Callable[[], _Answer | Failure],
    retries: Retries,
    what: str,
    given_up: threading.Event | None = None,
) -> _Answer:
    """The first answer that is no failure.

    Args:
        what: what is read, for messages.
        given_up: set when nobody waits for the answer any more: then no other attempt is made.

    Raises:
        StorageError: the last failure, where another attempt cannot help or none is left. A subclass where it says so.
    """
    given_up = given_up or threading.Event()
    delays = retries.delays(f"{what} {threading.get_native_id()}")
    for number in range(1, retries.attempts + 1):
        answer = attempt()
        if not isinstance(answer, Failure):
            return answer
        failure, delay = answer, next(delays, None)
        if not failure.again or delay is None or given_up.is_set():
            break
        delay = max(delay, min(failure.wait_s, retries.longest_delay_s))
        level = logging.WARNING if number > 1 else logging.INFO
        _log.log(level, "%s: %s; attempt %d comes in %.1f s", what, failure.reason, number + 1, delay)
        given_up.wait(delay)
    tried = f" (attempt {number} of {retries.attempts})" if failure.again else ""
    raise failure.error(f"{what}: {failure.reason}{tried}")


def asked_wait_s(headers: Mapping[str, str]) -> float:
    """Seconds that a server asks to be left alone, 0 where it does not say.

    Reads ``Retry-After`` (RFC 9110, 10.2.3: seconds or a date) and the ``RateLimit`` of the Hub (``"api";r=0;t=55``).
    """
    after = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d*)?", after):
        return float(after)
    if after:
        try:
            return max(0.0, email.utils.parsedate_to_datetime(after).timestamp() - time.time())
        except (ValueError, OverflowError):
            return 0.0
    limit = re.search(r";\s*r=0\s*;\s*t=(\d{1,9})", headers.get("RateLimit", ""))
    return float(limit[1]) if limit else 0.0
