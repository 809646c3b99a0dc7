"""A Ray cluster: a task per shard, or an actor per GPU that keeps its model loaded.

The folder lies on a filesystem that all nodes share. A shard is a pure function of the plan, so Ray may try it again
wherever a worker or a node is lost. Each shard is given to one task at a time, and the lock that a lost node may leave
is waited for: NFS 4 drops it when the node's lease ends.
"""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import threading
import time
from collections import abc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

from equime_builder import manifest
from equime_builder.executors.node import Beacon, beacon, complaint, while_lit
from equime_builder.executors.work import Run, Work
from equime_builder.generators.protocol import Generator
from equime_builder.manifest import FolderError
from equime_builder.plan import Shard

# How often a shard is tried again when its worker or node is lost.
RETRIES = 5
# A lost NFS client keeps its locks until its lease ends: 90 s by default in Linux (nfsd's `nfsv4leasetime`).
LOST_NODE_PATIENCE_S = 180.0
# A client may believe for that long that a file of another node is not there (`acdirmax` of nfs(5): 60 s by default).
VISIBILITY_PATIENCE_S = 90.0
# What is being built gets this long to remove its temporary files when the build is stopped.
STOP_PATIENCE_S = 10.0
CONNECT_PATIENCE_S = 10.0

# Gives a shard to a worker and returns Ray's reference to the result.
Hand = Callable[[Shard], Any]


@dataclass(frozen=True, slots=True)
class RayExecutor:
    """Shards on a Ray cluster.

    Attributes:
        address: as `ray.init` takes it; None: the one that `RAY_ADDRESS` names or that runs on this machine, else a
            cluster of this machine alone, for as long as the build lasts.
        workers: shards that are built at once; None: all that the cluster has room for.

    Raises:
        ValueError: workers below 1. FolderError: Ray is not installed.
    """

    address: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers={self.workers} must be at least 1")
        if find_spec("ray") is None:  # before anything is planned
            raise FolderError("--executor ray needs the extra `ray`: pip install 'equime[ray]'")

    @contextmanager
    def open(self, work: Work) -> Iterator[Run]:
        """See `Executor.open`."""
        import ray

        work = replace(work, root=work.root.absolute())
        with _without_ray_output(), _connected(ray, self.address), beacon(work.root) as lit:
            _check_nodes(ray, lit)
            yield partial(_finished, ray, work, lit, _hands(ray, work, lit, self.workers))


def _hands(ray: Any, work: Work, lit: Beacon, workers: int | None) -> Callable[[int], Sequence[Hand]]:
    """What gives the hands for a number of shards: each takes one shard at a time."""
    kind = "GPU" if work.needs_gpu else "CPU"
    room = int(ray.cluster_resources().get(kind, 0))
    if not room and workers is None:
        raise FolderError(f"no node of the Ray cluster has a {kind}; if some will start on demand, give --workers")
    if work.needs_gpu:
        keeper = ray.remote(num_cpus=1, num_gpus=1, max_restarts=-1, max_task_retries=RETRIES)(Keeper)
        keepers: list[Any] = []

        def actors(count: int) -> list[Hand]:
            keepers.extend(keeper.remote(work, lit) for _ in range(len(keepers), min(count, workers or room)))
            return [actor.build.remote for actor in keepers]

        return actors
    task = ray.remote(num_cpus=1, max_retries=RETRIES, scheduling_strategy="SPREAD")(_build)
    return lambda count: [partial(task.remote, work, lit)] * min(count, workers or count)


def _build(work: Work, lit: Beacon, shard: Shard, generator: Generator | None = None) -> None:
    """Build one shard on whatever node this is."""
    why = complaint(lit)
    if why is None:
        try:
            with while_lit(lit):
                work.build(shard, generator, patience_s=LOST_NODE_PATIENCE_S)
            return
        except KeyboardInterrupt:
            why = "stopped"
        except (ValueError, OSError) as error:
            why = str(error)
    raise FolderError(f"node {socket.gethostname()}: {why}")


class Keeper:
    """Actor that loads the plan's generator once and keeps it."""

    def __init__(self, work: Work, lit: Beacon) -> None:
        self._work, self._lit = work, lit
        self._generator: Generator | None = None

    def build(self, shard: Shard) -> None:
        """Build one shard. The generator is loaded here, so that its failure is the build's and not the actor's."""
        if self._generator is None:
            try:
                self._generator = self._work.load()
            except (ValueError, OSError) as error:
                raise FolderError(f"node {socket.gethostname()}: {error}") from error
        _build(self._work, self._lit, shard, self._generator)


def _finished(
    ray: Any, work: Work, lit: Beacon, hands_for: Callable[[int], Sequence[Hand]], shards: Sequence[Shard]
) -> abc.Generator[Shard, None, None]:
    """Give the shards out, and yield each when it is committed and can be seen here."""
    free, left = list(hands_for(len(shards))), list(reversed(shards))
    busy: dict[Any, tuple[Hand, Shard]] = {}
    try:
        while left or busy:
            while free and left:
                hand, shard = free.pop(), left.pop()
                busy[hand(shard)] = hand, shard
            for reference in ray.wait(list(busy), num_returns=1)[0]:
                hand, shard = busy.pop(reference)
                _result(ray, reference, shard)
                _await(work, shard)
                free.append(hand)
                yield shard
    finally:
        _stop(ray, lit, list(busy))


def _result(ray: Any, reference: Any, shard: Shard) -> None:
    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, (ValueError, OSError)) else error from None
    except ray.exceptions.RayError as error:
        why = str(error).strip().split("\n")[0]
        raise FolderError(
            f"shard {shard.name}: its worker was lost {RETRIES + 1} times (out of memory?); what is committed is kept, "
            f"run the same command again ({why})"
        ) from None


def _await(work: Work, shard: Shard) -> None:
    """Wait until this machine sees what a node has committed: shared filesystems show it after a moment."""
    plan, until = str(manifest.read_header(work.root)["plan_sha256"]), time.monotonic() + VISIBILITY_PATIENCE_S
    while manifest.pending(work.root, [shard], plan):
        if time.monotonic() > until:
            raise FolderError(
                f"{work.root}: shard {shard.name} was committed by a node and cannot be seen here after "
                f"{VISIBILITY_PATIENCE_S:.0f} s; does the folder lie on a filesystem that all nodes share?"
            )
        time.sleep(0.1)


def _stop(ray: Any, lit: Beacon, references: list[Any]) -> None:
    """Interrupt what is being built, so that it leaves no temporary files.

    The beacon goes out, and the nodes stop by themselves: `ray.cancel` of a task that is just ending may end Ray's own
    process with a failed check.
    """
    if not references:
        return
    lit.path.unlink(missing_ok=True)
    with suppress(ray.exceptions.RayError):
        ray.wait(references, num_returns=len(references), timeout=STOP_PATIENCE_S)


@contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """A session with a cluster: the caller's own where there is one, which then stays open."""
    if ray.is_initialized():
        yield
        return
    _check_answer(ray, address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError:
        where = address or os.environ.get("RAY_ADDRESS") or "of this machine"
        raise FolderError(
            f"Ray cluster {where}: not found; start one with `ray start --head`, or name it by --ray-address HOST:PORT"
        ) from None
    except (ValueError, RuntimeError) as error:
        raise FolderError(f"Ray cluster {address or 'of this machine'}: {error}") from None
    try:
        yield
    finally:
        with redirect_stdout(io.StringIO()):  # Ray holds repeated messages back and prints them now
            ray.shutdown()


def _check_answer(ray: Any, address: str | None) -> None:
    """Refuse an address where nobody listens: Ray itself would try for minutes."""
    host, _, port = (address or os.environ.get("RAY_ADDRESS") or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    if host in ("localhost", "127.0.0.1"):  # Ray takes this to mean the machine's own address
        host = ray.util.get_node_ip_address()
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_PATIENCE_S).close()
    except OSError as error:
        raise FolderError(f"Ray cluster {host}:{port}: does not answer ({error.strerror or error})") from None


def _check_nodes(ray: Any, lit: Beacon) -> None:
    """Ask every node whether it can take part.

    Raises:
        FolderError: one cannot; the message names it.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def ask(fields: dict[str, Any]) -> str | None:  # travels by value: the node may not have equime
        try:
            from equime_builder.executors import node
        except ImportError as error:
            return f"cannot import equime ({error})"
        return node.complaint(node.Beacon(**fields))

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    task, answers = ray.remote(num_cpus=0, max_retries=RETRIES)(ask), {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        answers[task.options(scheduling_strategy=there).remote(asdict(lit))] = node
    for reference, node in answers.items():
        try:
            why = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            why = str(error).strip().split("\n")[-1]
        except ray.exceptions.RayError:
            continue  # lost in the meantime; Ray gives no shard to it
        if why is not None:
            raise FolderError(f"node {node['NodeManagerHostname']} ({node['NodeManagerAddress']}): {why}")


class _Muted(io.TextIOBase):
    """Standard output without what Ray's threads print, which tell of lost workers between a command's results."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return int(self._stream.write(text) or 0)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return bool(self._stream.isatty())

    def fileno(self) -> int:
        return int(self._stream.fileno())


@contextmanager
def _without_ray_output() -> Iterator[None]:
    with redirect_stdout(_Muted(sys.stdout)):
        yield
